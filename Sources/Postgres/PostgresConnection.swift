import CPostgres
import Foundation

/// One connection to PostgreSQL, on a thread of its own.
///
/// Methods block that thread and nothing else. Inside `transaction` they are synchronous, so that nothing slow, such as
/// a network call, can happen while a transaction is open.
public actor PostgresConnection {
  private let executor: ThreadExecutor
  private let handle: Handle
  private var isInTransaction = false

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  /// Owns the C object. Used on the executor's thread only, but for its cancel object, which libpq allows anywhere.
  private final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer
    let cancel: OpaquePointer?

    init(_ pointer: OpaquePointer) {
      self.pointer = pointer
      self.cancel = PQgetCancel(pointer)
    }

    deinit {
      PQfreeCancel(cancel)
      PQfinish(pointer)
    }
  }

  private init(executor: ThreadExecutor, handle: Handle) {
    self.executor = executor
    self.handle = handle
  }

  deinit {
    executor.close()
  }

  /// Connects (PQconnectdbParams). The text of errors never holds the password.
  ///
  /// - Parameters:
  ///   - conninfo: libpq's key=value form or a postgresql:// URL; the environment (PGHOST …) fills what it leaves out.
  ///   - applicationName: shown in pg_stat_activity.
  public static func connect(
    _ conninfo: String, applicationName: String
  ) async throws(PostgresError) -> PostgresConnection {
    let executor = ThreadExecutor(name: "postgres \(applicationName)")
    let result: Result<Handle, PostgresError> = await withCheckedContinuation { continuation in
      // Connecting blocks too, and the actor does not exist yet.
      Thread.detachNewThread {
        continuation.resume(returning: open(conninfo, applicationName: applicationName))
      }
    }
    switch result {
    case .success(let handle): return PostgresConnection(executor: executor, handle: handle)
    case .failure(let error):
      executor.close()
      throw error
    }
  }

  private static func open(
    _ conninfo: String, applicationName: String
  ) -> Result<Handle, PostgresError> {
    let parameters = [
      ("dbname", conninfo), ("application_name", applicationName), ("connect_timeout", "10"),
      ("client_encoding", "UTF8"),
      ("options", "-c bytea_output=hex -c datestyle=ISO -c timezone=UTC"),
    ]
    var keywords = parameters.map { strdup($0.0) } + [nil]
    var values = parameters.map { strdup($0.1) } + [nil]
    defer { for text in keywords + values { free(text) } }
    let pointer = keywords.withUnsafeMutableBufferPointer { keys in
      values.withUnsafeMutableBufferPointer { values in
        keys.withMemoryRebound(to: UnsafePointer<CChar>?.self) { keys in
          values.withMemoryRebound(to: UnsafePointer<CChar>?.self) { values in
            PQconnectdbParams(keys.baseAddress, values.baseAddress, 1)
          }
        }
      }
    }
    guard let pointer else { return .failure(.connection("out of memory")) }
    guard PQstatus(pointer) == CONNECTION_OK else {
      let why = message(PQerrorMessage(pointer))
      PQfinish(pointer)
      return .failure(.connection(why))
    }
    // Notices go to the caller's log, not to stderr behind its back.
    PQsetNoticeProcessor(pointer, { _, _ in }, nil)
    return .success(Handle(pointer))
  }

  // MARK: Statements

  /// Runs one statement with parameters $1, $2 … and returns its rows (PQexecParams).
  @discardableResult
  public func query(
    _ sql: String, _ parameters: [PostgresValue] = []
  ) throws(PostgresError) -> [PostgresRow] {
    let texts = parameters.map(\.encoded)
    if texts.contains(where: { $0?.utf8.contains(0) ?? false }) {
      throw .misuse("a text parameter holds a NUL byte, which PostgreSQL cannot store")
    }
    let copies = texts.map { $0.flatMap { strdup($0) } }
    defer { for copy in copies { free(copy) } }
    let pointers = copies.map { UnsafePointer($0) }
    let result = PQexecParams(
      handle.pointer, sql, Int32(parameters.count), nil, pointers, nil, nil, 0)
    return try rows(of: result, sql: sql)
  }

  /// Runs a statement whose rows do not matter.
  public func run(_ sql: String, _ parameters: [PostgresValue] = []) throws(PostgresError) {
    try query(sql, parameters)
  }

  /// Runs a statement that must return exactly one row.
  public func one(
    _ sql: String, _ parameters: [PostgresValue] = []
  ) throws(PostgresError) -> PostgresRow {
    let rows = try query(sql, parameters)
    guard let row = rows.first, rows.count == 1 else {
      throw .rowCount(wanted: "one", found: rows.count, sql: sql)
    }
    return row
  }

  /// Runs a script of several statements without parameters (PQexec): migrations, trusted text only.
  public func script(_ sql: String) throws(PostgresError) {
    _ = try rows(of: PQexec(handle.pointer, sql), sql: sql)
  }

  // MARK: Transactions

  public enum Isolation: String, Sendable {
    case readCommitted = "READ COMMITTED"
    case repeatableRead = "REPEATABLE READ"
    case serializable = "SERIALIZABLE"
  }

  /// Runs `body` in one transaction: commits what it returns from, rolls back what it throws from.
  public func transaction<Value: Sendable>(
    _ isolation: Isolation = .readCommitted, readOnly: Bool = false,
    _ body: @Sendable (isolated PostgresConnection) throws -> Value
  ) throws -> Value {
    guard !isInTransaction else {
      throw PostgresError.misuse("a transaction is open on this connection")
    }
    try script("BEGIN ISOLATION LEVEL \(isolation.rawValue)\(readOnly ? " READ ONLY" : "")")
    isInTransaction = true
    defer { isInTransaction = false }
    let value: Value
    do {
      value = try body(self)
    } catch {
      // A lost connection has rolled back already.
      try? script("ROLLBACK")
      throw error
    }
    do {
      try script("COMMIT")
    } catch .connection(let why) {
      throw PostgresError.commitUnknown(why)
    }
    return value
  }

  /// Asks the server to stop the statement under way (PQcancel); safe from any thread.
  public nonisolated func cancel() {
    var buffer = [CChar](repeating: 0, count: 256)
    _ = PQcancel(handle.cancel, &buffer, Int32(buffer.count))
  }

  /// Whether the connection looks usable (PQstatus).
  public var isOpen: Bool { PQstatus(handle.pointer) == CONNECTION_OK }

  // MARK: Results

  private func rows(of result: OpaquePointer?, sql: String) throws(PostgresError) -> [PostgresRow] {
    defer { PQclear(result) }
    switch PQresultStatus(result) {
    case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: return []
    case PGRES_TUPLES_OK: break
    default: throw failure(result, sql: sql)
    }
    var columns: [String: Int] = [:]
    let width = PQnfields(result)
    for column in 0..<width {
      if let name = PQfname(result, column) { columns[String(cString: name)] = Int(column) }
    }
    var rows: [PostgresRow] = []
    rows.reserveCapacity(Int(PQntuples(result)))
    for row in 0..<PQntuples(result) {
      var values: [String?] = []
      values.reserveCapacity(Int(width))
      for column in 0..<width {
        if PQgetisnull(result, row, column) == 1 {
          values.append(nil)
        } else {
          values.append(PQgetvalue(result, row, column).map { String(cString: $0) })
        }
      }
      rows.append(PostgresRow(columns: columns, values: values))
    }
    return rows
  }

  private func failure(_ result: OpaquePointer?, sql: String) -> PostgresError {
    func field(_ code: Character) -> String? {
      PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
    }
    guard let sqlState = field("C"), PQstatus(handle.pointer) == CONNECTION_OK else {
      return .connection(Self.message(PQerrorMessage(handle.pointer)))
    }
    return .server(
      PostgresError.ServerError(
        sqlState: sqlState, message: field("M") ?? "no message", detail: field("D"),
        hint: field("H"), sql: sql))
  }

  private static func message(_ text: UnsafeMutablePointer<CChar>?) -> String {
    text.map { String(cString: $0) }?.trimmingCharacters(in: .whitespacesAndNewlines)
      ?? "no message"
  }
}
