import Postgres

/// The one sender of a ledger: a table lock in a transaction that stays open and otherwise empty.
struct SettlerLock {
  private let connection: PostgresConnection

  static func take(_ connection: PostgresConnection) async throws -> SettlerLock {
    // The role's time-out for idle transactions is for forgotten ones; this one is meant.
    try await connection.script("SET idle_in_transaction_session_timeout = 0; BEGIN")
    do {
      try await connection.run(
        "LOCK TABLE credits.settler_of_ledger IN SHARE ROW EXCLUSIVE MODE NOWAIT", [])
    } catch  where error.sqlState == "55P03" {
      throw SettlerError.anotherSettler
    }
    return SettlerLock(connection: connection)
  }

  func release() async throws { try await connection.script("ROLLBACK") }
}
