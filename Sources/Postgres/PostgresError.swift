/// What went wrong between this program and PostgreSQL. Carries the SQL, never its arguments.
public enum PostgresError: Error, Sendable, Equatable {
  /// No connection could be made, or it was lost before a statement could have had an effect that lasts.
  case connection(String)
  /// The connection was lost while something that lasts was under way, a COMMIT or a statement outside a transaction: it may
  /// have happened. Look before repeating.
  case commitUnknown(String)
  /// A statement of the transaction had failed, which its body caught and went on: nothing of it was kept.
  case rolledBack
  /// The server refused a statement.
  case server(ServerError)
  /// A column is missing, null or of another type than was asked for.
  case column(name: String, problem: String)
  /// A statement returned another number of rows than it must.
  case rowCount(wanted: String, found: Int, sql: String)
  /// The connection was used in a way it cannot be.
  case misuse(String)

  /// The fields of an error report (libpq, PQresultErrorField).
  public struct ServerError: Error, Sendable, Equatable {
    public let sqlState: String
    public let message: String
    public let detail: String?
    public let hint: String?
    public let sql: String
  }

  /// The five-character code of a server's error; nil for everything else.
  public var sqlState: String? {
    if case .server(let error) = self { error.sqlState } else { nil }
  }
}

extension PostgresError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .connection(let why):
      // libpq's text has several lines where several addresses were tried.
      "no connection to PostgreSQL: "
        + why.split(whereSeparator: \.isNewline).map { $0.drop { $0 == "\t" } }.joined(
          separator: " ")
    case .commitUnknown(let why):
      "the connection to PostgreSQL was lost before it answered, what was asked may have happened: \(why)"
    case .rolledBack:
      "a statement of the transaction had failed, so PostgreSQL rolled it back instead of committing it"
    case .server(let error):
      error.message + (error.detail.map { " (\($0))" } ?? "")
        + (error.hint.map { ". \($0)" } ?? "") + " [\(error.sqlState)]"
    case .column(let name, let problem): "column \(name) \(problem)"
    case .rowCount(let wanted, let found, let sql):
      "\(found) rows where \(wanted) is due, from: \(sql.prefix(120))"
    case .misuse(let what): what
    }
  }
}
