import CPostgres

/// What libpq answered to a statement (PGresult); freed (PQclear) with the last row that reads from it.
@safe final class PostgresAnswer: @unchecked Sendable {
  // libpq never writes to a result once it is made, and lets any thread read it.
  private let result: OpaquePointer?
  /// Columns by name; nil for a name that several have.
  let columns: [String: Int32?]

  /// Takes a result over. Nil is what libpq gives when it did not send a statement.
  init(_ result: OpaquePointer?) {
    unsafe self.result = result
    var columns: [String: Int32?] = [:]
    for column in unsafe 0..<PQnfields(result) {
      guard let name = unsafe PQfname(result, column).map({ unsafe String(cString: $0) }) else {
        continue
      }
      columns.updateValue(columns.keys.contains(name) ? nil : column, forKey: name)
    }
    self.columns = columns
  }

  deinit { unsafe PQclear(result) }

  var wasSent: Bool { unsafe result != nil }

  /// PQresultStatus.
  var status: ExecStatusType { withExtendedLifetime(self) { unsafe PQresultStatus(result) } }

  /// The command that was run, with its counts (PQcmdStatus).
  var tag: String { withExtendedLifetime(self) { unsafe String(cString: PQcmdStatus(result)) } }

  /// How many rows a command wrote (PQcmdTuples); nil where that has no meaning.
  var written: Int64? {
    withExtendedLifetime(self) { unsafe Int64(String(cString: PQcmdTuples(result))) }
  }

  /// PQntuples.
  var rows: [PostgresRow] {
    withExtendedLifetime(self) {
      unsafe (0..<PQntuples(result)).map { PostgresRow(answer: self, index: $0) }
    }
  }

  /// Gives a value's bytes, which are valid while `body` runs; nil for null (PQgetisnull, PQgetvalue, PQgetlength).
  func value<Result>(
    row: Int32, column: Int32,
    _ body: (UnsafeBufferPointer<UInt8>) throws(PostgresError) -> Result
  ) throws(PostgresError) -> Result? {
    try withExtendedLifetime(self) { () throws(PostgresError) in
      guard unsafe PQgetisnull(result, row, column) == 0,
        let start = unsafe PQgetvalue(result, row, column)
      else { return nil }
      let bytes = unsafe UnsafeRawBufferPointer(
        start: start, count: Int(PQgetlength(result, row, column)))
      return unsafe try body(bytes.assumingMemoryBound(to: UInt8.self))
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
    withExtendedLifetime(self) { unsafe Self.field(field, of: result) }
  }

  static func field(_ field: Field, of result: OpaquePointer?) -> String? {
    unsafe PQresultErrorField(result, Int32(field.rawValue.asciiValue ?? 0)).map {
      unsafe String(cString: $0)
    }
  }

  /// PQresultErrorMessage.
  var errorMessage: String {
    withExtendedLifetime(self) { unsafe PostgresConnection.message(PQresultErrorMessage(result)) }
  }
}
