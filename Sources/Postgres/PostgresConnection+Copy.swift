import CPostgres

extension PostgresConnection {
  /// Copies rows into a table, much faster than by INSERT (COPY … FROM STDIN: PQputCopyData, PQputCopyEnd). Holds 64 KB of them at
  /// a time.
  ///
  /// All or none: if `produce` throws or PostgreSQL refuses a row, nothing is kept, the error is thrown on, and the connection is
  /// usable. What PostgreSQL refuses is known after the last row, libpq tells no sooner. `produce` runs on the connection's
  /// thread, and the connection takes nothing else meanwhile.
  ///
  /// - Parameters:
  ///   - table: not yet quoted; with its schema before a dot if that is not on the search path
  ///   - columns: not yet quoted, in the order of a row's values
  ///   - produce: calls `write` with each row
  /// - Returns: how many rows were kept: fewer than were written if a trigger drops some
  @discardableResult
  public func copy(
    into table: String, columns: [String],
    _ produce: @Sendable (_ write: ([PostgresValue]) throws(PostgresError) -> Void) throws -> Void
  ) throws -> Int64 {
    let sql = try copyStatement(table, columns)
    try check(sql)
    let autocommits = autocommits
    let start = unsafe PostgresAnswer(PQexec(handle.pointer, sql))
    guard start.status == PGRES_COPY_IN else {
      throw failure(start, sql: sql, autocommits: false)
    }
    isCopying = true
    defer { isCopying = false }
    var rows = CopyText(width: columns.count)
    // Thrown whatever `produce` makes of it.
    var loss: PostgresError?
    do {
      try produce { row throws(PostgresError) in
        if let loss { throw loss }
        try rows.append(row)
        guard rows.isChunk, !send(&rows) else { return }
        let reason = outOfStep(autocommits: false)
        loss = reason
        throw reason
      }
    } catch {
      if loss == nil {
        _ = unsafe PQputCopyEnd(handle.pointer, "the source of the rows failed")
        // This failure is the one that was asked for; a lost connection shows when it is used next.
        do { _ = try endOfCopy(sql, autocommits: false) } catch {}
      }
      throw loss ?? error
    }
    guard loss == nil, send(&rows) else { throw loss ?? outOfStep(autocommits: false) }
    guard unsafe PQputCopyEnd(handle.pointer, nil) == 1 else {
      throw outOfStep(autocommits: autocommits)
    }
    let answer = try endOfCopy(sql, autocommits: autocommits)
    guard let written = answer.written else { throw outOfStep(autocommits: autocommits) }
    return written
  }

  /// The same for rows that are there or come without failing.
  @discardableResult
  public func copy(
    _ rows: some Sequence<[PostgresValue]> & Sendable, into table: String, columns: [String]
  ) throws -> Int64 {
    try copy(into: table, columns: columns) { write in
      for row in rows { try write(row) }
    }
  }

  private func copyStatement(_ table: String, _ columns: [String]) throws(PostgresError) -> String {
    guard !columns.isEmpty else { throw .misuse("COPY needs the names of the columns") }
    var path: [String] = []
    for name in table.split(separator: ".", omittingEmptySubsequences: false) {
      path.append(try quoted(String(name)))
    }
    var names: [String] = []
    for column in columns { names.append(try quoted(column)) }
    return "COPY \(path.joined(separator: ".")) (\(names.joined(separator: ", "))) FROM STDIN"
  }

  private func send(_ rows: inout CopyText) -> Bool {
    let isSent = unsafe rows.take { chunk in
      unsafe PQputCopyData(handle.pointer, chunk.baseAddress, Int32(chunk.count)) == 1
    }
    // Writing alone does not notice that the connection is lost: libpq keeps that for who reads.
    return unsafe isSent && PQconsumeInput(handle.pointer) == 1
  }

  /// Reads the answer to a COPY, and past its end.
  private func endOfCopy(_ sql: String, autocommits: Bool) throws(PostgresError) -> PostgresAnswer {
    let answer = nextAnswer()
    defer {
      while isOpen, nextAnswer().wasSent {}
    }
    return try checked(answer, sql: sql, autocommits: autocommits)
  }
}

/// Rows in COPY's text format (PostgreSQL, COPY, File Formats).
private struct CopyText {
  let width: Int
  private var bytes: [UInt8] = []
  private var value: [UInt8] = []

  private static let chunk = 1 << 16
  /// PostgreSQL takes no message of 1 GB.
  private static let most = 1 << 30

  init(width: Int) {
    self.width = width
  }

  var isChunk: Bool { bytes.count >= Self.chunk }

  mutating func append(_ row: [PostgresValue]) throws(PostgresError) {
    guard row.count == width else {
      throw .misuse("a row of \(row.count) values where \(width) columns are copied")
    }
    let start = bytes.count
    for (index, column) in row.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: "\t")) }
      guard column != .null else {
        bytes.append(contentsOf: "\\N".utf8)
        continue
      }
      value.removeAll(keepingCapacity: true)
      try column.appendText(to: &value)
      for byte in value {
        switch byte {
        case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
        case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
        case UInt8(ascii: "\r"): bytes.append(contentsOf: "\\r".utf8)
        case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
        default: bytes.append(byte)
        }
      }
    }
    bytes.append(UInt8(ascii: "\n"))
    guard bytes.count - start < Self.most else {
      throw .misuse("a row of \(bytes.count - start) bytes; PostgreSQL takes 1 GB")
    }
  }

  /// Gives what has gathered, and forgets it.
  mutating func take<Result>(_ body: (UnsafeBufferPointer<CChar>) -> Result) -> Result {
    defer { bytes.removeAll(keepingCapacity: true) }
    return unsafe bytes.withUnsafeBufferPointer { bytes in
      unsafe bytes.withMemoryRebound(to: CChar.self) { unsafe body($0) }
    }
  }
}
