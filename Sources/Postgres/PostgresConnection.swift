import CPostgres
import Foundation

/// One connection to PostgreSQL, on a thread of its own.
///
/// Methods block that thread and nothing else. Inside `transaction` they are synchronous, so that nothing slow, such as
/// a network call, can happen while a transaction is open.
public actor PostgresConnection {
  private let executor: ThreadExecutor
  let handle: Handle
  var isInTransaction = false
  /// Between the start of a COPY and its end libpq takes nothing but rows.
  var isCopying = false

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe executor.asUnownedSerialExecutor()
  }

  /// Owns the C object. Used on the executor's thread only, but for its cancel object, which libpq allows anywhere.
  @safe final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer
    fileprivate let cancel: OpaquePointer?
    private let notices: NoticeReceiver

    fileprivate init(_ pointer: OpaquePointer, notices: NoticeReceiver) {
      unsafe self.pointer = pointer
      unsafe self.cancel = PQgetCancel(pointer)
      self.notices = notices
      unsafe notices.receive(from: pointer)
    }

    deinit {
      unsafe PQfreeCancel(cancel)
      // `notices` lives until after this, and libpq calls it for nothing later: a result would only for a row or column that it
      // does not have.
      unsafe PQfinish(pointer)
    }
  }

  private init(executor: ThreadExecutor, handle: Handle) {
    self.executor = executor
    self.handle = handle
  }

  deinit {
    executor.close()
  }

  // MARK: Connecting

  /// Connects (PQconnectdbParams). The text of errors never holds the password.
  ///
  /// - Parameters:
  ///   - conninfo: libpq's key=value form or a postgresql:// URL; the environment (PGHOST …) fills what it leaves out. It may
  ///     override how a silent server is noticed: connect_timeout, keepalives_idle, tcp_user_timeout …
  ///   - applicationName: shown in pg_stat_activity.
  ///   - notices: gets notices on the connection's thread, during the statement that caused them; it must not block. What the
  ///     server says while connecting goes to stderr, for libpq has no other place for it.
  public static func connect(
    _ conninfo: String, applicationName: String,
    notices: @escaping PostgresNotice.Handler = { _ in }
  ) async throws(PostgresError) -> PostgresConnection {
    let executor = ThreadExecutor(name: "postgres \(applicationName)")
    let result: Result<Handle, PostgresError> = await withCheckedContinuation { continuation in
      // Connecting blocks too, and the actor does not exist yet.
      Thread.detachNewThread {
        continuation.resume(
          returning: Result { () throws(PostgresError) in
            try open(conninfo, applicationName: applicationName, notices: NoticeReceiver(notices))
          })
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
    _ conninfo: String, applicationName: String, notices: NoticeReceiver
  ) throws(PostgresError) -> Handle {
    try check(conninfo)
    // What stands before dbname can be overridden by the string, what stands after it cannot. A server that is gone without a
    // word is noticed after a minute; the system's own defaults wait for hours.
    let parameters = [
      ("connect_timeout", "10"), ("keepalives_idle", "30"), ("keepalives_interval", "10"),
      ("keepalives_count", "3"), ("tcp_user_timeout", "60000"), ("dbname", conninfo),
      ("application_name", applicationName), ("client_encoding", "UTF8"),
    ]
    var keywords = unsafe parameters.map { unsafe strdup($0.0) } + [nil]
    var values = unsafe parameters.map { unsafe strdup($0.1) } + [nil]
    defer {
      for index in unsafe keywords.indices {
        unsafe free(keywords[index])
        unsafe free(values[index])
      }
    }
    let pointer = unsafe keywords.withUnsafeMutableBufferPointer { keys in
      unsafe values.withUnsafeMutableBufferPointer { values in
        unsafe keys.withMemoryRebound(to: UnsafePointer<CChar>?.self) { keys in
          unsafe values.withMemoryRebound(to: UnsafePointer<CChar>?.self) { values in
            unsafe PQconnectdbParams(keys.baseAddress, values.baseAddress, 1)
          }
        }
      }
    }
    guard let pointer = unsafe pointer else { throw .connection("out of memory") }
    let handle = unsafe Handle(pointer, notices: notices)
    guard unsafe PQstatus(pointer) == CONNECTION_OK else {
      throw unsafe .connection(message(PQerrorMessage(pointer)))
    }
    // Values are read back in these formats. By SET: the connection parameter `options` is the user's.
    let settings = unsafe PostgresAnswer(
      PQexec(pointer, "SET bytea_output = hex; SET datestyle = ISO; SET timezone = UTC"))
    guard settings.status == PGRES_COMMAND_OK else {
      throw unsafe .connection(message(PQerrorMessage(pointer)))
    }
    return handle
  }

  /// Refuses what is no connection string (PQconninfoParse). libpq's own text repeats what it cannot read, password included.
  private static func check(_ conninfo: String) throws(PostgresError) {
    var text: UnsafeMutablePointer<CChar>?
    let options = unsafe PQconninfoParse(conninfo, &text)
    defer {
      unsafe PQconninfoFree(options)
      unsafe PQfreemem(text)
    }
    guard unsafe options != nil, !conninfo.utf8.contains(0) else {
      throw .connection(
        "the connection string (not shown, it may hold a password) is neither key=value pairs nor a "
          + "postgresql:// URL; in a URL, percent-encode what is special in user and password")
    }
  }

  // MARK: Statements

  /// Runs one statement with parameters $1, $2 … and returns its rows (PQexecParams).
  @discardableResult
  public func query(
    _ sql: String, _ parameters: [PostgresValue] = []
  ) throws(PostgresError) -> [PostgresRow] {
    try check(sql)
    let parameters = try PostgresParameters(parameters)
    let autocommits = autocommits
    let answer = unsafe parameters.withValues { values in
      unsafe PostgresAnswer(
        PQexecParams(
          handle.pointer, sql, parameters.count, parameters.types, values, parameters.lengths,
          parameters.formats, 0))
    }
    return try checked(answer, sql: sql, autocommits: autocommits).rows
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
    try execute(sql, autocommits: autocommits)
  }

  /// Asks the server to stop the statement under way (PQcancel), which then fails with 57014. The request takes a connection of
  /// its own, unencrypted, and can come too late: it may then hit the next statement. Safe from anywhere; blocks no thread of the
  /// cooperative pool.
  public nonisolated func cancel() async throws(PostgresError) {
    let handle = handle
    let failure: String? = await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        var problem = [CChar](repeating: 0, count: 256)
        let isSent = unsafe PQcancel(handle.cancel, &problem, Int32(problem.count)) == 1
        unsafe continuation.resume(
          returning: isSent
            ? nil : problem.withUnsafeMutableBufferPointer { unsafe Self.message($0.baseAddress) })
      }
    }
    if let failure { throw .connection(failure) }
  }

  /// Whether the connection looks usable (PQstatus).
  public var isOpen: Bool { unsafe PQstatus(handle.pointer) == CONNECTION_OK }
}

// What the extensions by topic share.
extension PostgresConnection {
  /// Whether a statement that is run now commits by itself (PQtransactionStatus).
  var autocommits: Bool { unsafe PQtransactionStatus(handle.pointer) == PQTRANS_IDLE }

  /// PQexec, with an answer that is no error.
  @discardableResult
  func execute(_ sql: String, autocommits: Bool) throws(PostgresError) -> PostgresAnswer {
    try check(sql)
    return try unsafe checked(
      PostgresAnswer(PQexec(handle.pointer, sql)), sql: sql, autocommits: autocommits)
  }

  /// Throws if a statement cannot be sent as it is.
  func check(_ sql: String) throws(PostgresError) {
    guard !isCopying else {
      throw .misuse("a COPY is under way on this connection, which takes rows only")
    }
    guard !sql.utf8.contains(0) else {
      throw .misuse("a statement holds a NUL byte, where libpq would cut it off")
    }
    guard isOpen else { throw unsafe .connection(Self.message(PQerrorMessage(handle.pointer))) }
  }

  /// Throws if an answer is an error, or a kind of answer that is not due.
  func checked(
    _ answer: PostgresAnswer, sql: String, autocommits: Bool
  ) throws(PostgresError) -> PostgresAnswer {
    switch answer.status {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return answer
    case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
      abandon()
      throw .misuse("COPY goes through copy(into:columns:), not as a statement; connection closed")
    default: throw failure(answer, sql: sql, autocommits: autocommits)
    }
  }

  /// What an answer means that is no success.
  func failure(_ answer: PostgresAnswer, sql: String, autocommits: Bool) -> PostgresError {
    let sqlState = answer.field(.sqlState)
    // The server closes the connection after a fatal error, and libpq may not have noticed yet. An error without a code is
    // libpq's: it has lost track of the answers.
    let isLast = ["FATAL", "PANIC"].contains(answer.field(.severity)) || sqlState == nil
    if answer.wasSent && isLast { abandon() }
    guard isOpen else {
      let why =
        unsafe answer.wasSent ? answer.errorMessage : Self.message(PQerrorMessage(handle.pointer))
      return autocommits ? .commitUnknown(why) : .connection(why)
    }
    guard let sqlState else { return unsafe .misuse(Self.message(PQerrorMessage(handle.pointer))) }
    return .server(
      PostgresError.ServerError(
        sqlState: sqlState, message: answer.field(.message) ?? "no message",
        detail: answer.field(.detail), hint: answer.field(.hint), sql: sql))
  }

  /// Ends a session of which it is not known any more what it would answer next: the server rolls back, and whatever is tried
  /// after this finds the connection lost.
  func abandon() {
    _ = unsafe shutdown(PQsocket(handle.pointer), Int32(SHUT_RDWR))
    // libpq notices at the end of what has arrived.
    while unsafe PQconsumeInput(handle.pointer) == 1 {}
  }

  /// PQgetResult. Not sent means nil, which ends the answers to a statement.
  func nextAnswer() -> PostgresAnswer { unsafe PostgresAnswer(PQgetResult(handle.pointer)) }

  /// For when libpq answers something that is not due, which it does after the connection is lost.
  func outOfStep(autocommits: Bool) -> PostgresError {
    let why = unsafe Self.message(PQerrorMessage(handle.pointer))
    abandon()
    return autocommits ? .commitUnknown(why) : .connection(why)
  }

  /// A name in double quotes (PQescapeIdentifier).
  func quoted(_ name: String) throws(PostgresError) -> String {
    // PostgreSQL cuts a longer name off and takes the rest for another name.
    guard !name.isEmpty, !name.utf8.contains(0), name.utf8.count <= 63 else {
      throw .misuse("\(name.prefix(80)) is no name: it needs 1 to 63 bytes without NUL")
    }
    guard let quoted = unsafe PQescapeIdentifier(handle.pointer, name, name.utf8.count) else {
      throw unsafe .misuse(Self.message(PQerrorMessage(handle.pointer)))
    }
    defer { unsafe PQfreemem(quoted) }
    return unsafe String(cString: quoted)
  }

  static func message(_ text: UnsafePointer<CChar>?) -> String {
    let message = unsafe text.map { unsafe String(cString: $0) }?
      .trimmingCharacters(in: .whitespacesAndNewlines)
    guard let message, !message.isEmpty else { return "no message" }
    return message
  }
}
