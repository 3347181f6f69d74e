import CPostgres

extension PostgresConnection {
  public enum Isolation: String, Sendable {
    case readCommitted = "READ COMMITTED"
    case repeatableRead = "REPEATABLE READ"
    case serializable = "SERIALIZABLE"
  }

  /// Runs `body` in one transaction (PQexec): commits what it returns from, rolls back what it throws from. Returns only when the
  /// server has said that it committed.
  public func transaction<Value: Sendable>(
    _ isolation: Isolation = .readCommitted, readOnly: Bool = false,
    _ body: @Sendable (isolated PostgresConnection) throws -> Value
  ) throws -> Value {
    guard !isInTransaction, autocommits || !isOpen else {
      throw PostgresError.misuse("a transaction is open on this connection")
    }
    try execute(
      "BEGIN ISOLATION LEVEL \(isolation.rawValue)\(readOnly ? " READ ONLY" : "")",
      autocommits: false)
    isInTransaction = true
    defer { isInTransaction = false }
    do {
      let value = try body(self)
      guard !autocommits else {
        throw PostgresError.misuse("the statements of a transaction ended it themselves")
      }
      // After a failed statement COMMIT succeeds too, but what it does is a ROLLBACK.
      guard try execute("COMMIT", autocommits: true).tag == "COMMIT" else {
        throw PostgresError.rolledBack
      }
      return value
    } catch {
      rollBack()
      throw error
    }
  }

  /// Leaves the transaction, if there is one still.
  private func rollBack() {
    // A request to cancel that comes late can hit the ROLLBACK itself, which then has to be said again.
    for _ in 0..<3 {
      guard isOpen, !autocommits else { return }
      do { try execute("ROLLBACK", autocommits: false) } catch { continue }
    }
    if isOpen, !autocommits { abandon() }
  }
}
