import CPostgres

/// What libpq answered to a statement (PGresult); freed (PQclear) with the last row that reads from it.
final class PostgresAnswer: @unchecked Sendable {
  // libpq never writes to a result once it is made, and lets any thread read it.
  private let result: OpaquePointer?
  /// Columns by name; nil for a name that several have.
  let columns: [String: Int32?]

  /// Takes a result over. Nil is what libpq gives when it did not send a statement.
  init(_ result: OpaquePointer?) {
    self.result = result
    var columns: [String: Int32?] = [:]
    for column in 0..<PQnfields(result) {
      guard let name = PQfname(result, column).map({ String(cString: $0) }) else { continue }
      columns.updateValue(columns.keys.contains(name) ? nil : column, forKey: name)
    }
    self.columns = columns
  }

  deinit { PQclear(result) }

  var wasSent: Bool { result != nil }

  /// PQresultStatus.
  var status: ExecStatusType { withExtendedLifetime(self) { PQresultStatus(result) } }

  /// The command that was run, with its counts (PQcmdStatus).
  var tag: String { withExtendedLifetime(self) { String(cString: PQcmdStatus(result)) } }

  /// How many rows a command wrote (PQcmdTuples); nil where that has no meaning.
  var written: Int64? {
    withExtendedLifetime(self) { Int64(String(cString: PQcmdTuples(result))) }
  }

  /// PQntuples.
  var rows: [PostgresRow] {
    withExtendedLifetime(self) {
      (0..<PQntuples(result)).map { PostgresRow(answer: self, index: $0) }
    }
  }

  /// Gives a value's bytes, which are valid while `body` runs; nil for null (PQgetisnull, PQgetvalue, PQgetlength).
  func value<Result>(
    row: Int32, column: Int32,
    _ body: (UnsafeBufferPointer<UInt8>) throws(PostgresError) -> Result
  ) throws(PostgresError) -> Result? {
    try withExtendedLifetime(self) { () throws(PostgresError) in
      guard PQgetisnull(result, row, column) == 0, let start = PQgetvalue(result, row, column)
      else { return nil }
      let bytes = UnsafeRawBufferPointer(
        start: start, count: Int(PQgetlength(result, row, column)))
      return try body(bytes.assumingMemoryBound(to: UInt8.self))
    }
  }

  /// The fields of an error or a notice, by the letters of the wire protocol.
  enum Field: Character {
    case severity = "V"
    case sqlState = "C"
    case message = "M"
    case detail = "D"
    case hint = "H"
  }

  /// PQresultErrorField.
  func field(_ field: Field) -> String? {
    withExtendedLifetime(self) { Self.field(field, of: result) }
  }

  static func field(_ field: Field, of result: OpaquePointer?) -> String? {
    PQresultErrorField(result, Int32(field.rawValue.asciiValue ?? 0)).map { String(cString: $0) }
  }

  /// PQresultErrorMessage.
  var errorMessage: String {
    withExtendedLifetime(self) { PostgresConnection.message(PQresultErrorMessage(result)) }
  }
}
