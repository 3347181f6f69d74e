import Postgres

/// Whether a batch whose answer never came is sent again, and after how long.
///
/// A lost connection says nothing about what was committed (I8); a batch is idempotent, so it is sent as it was.
struct Resend {
  private(set) var failures = 0
  let limit = 8

  enum Action: Equatable {
    case wait(milliseconds: Int)
    case giveUp
  }

  mutating func failed(_ error: PostgresError) -> Action {
    guard Self.isTransient(error), failures < limit else { return .giveUp }
    failures += 1
    return .wait(milliseconds: min(5000, 50 << failures))
  }

  /// No connection, or none any more; and of the server's refusals: connection lost (class 08), shut down (57P01–57P03), too many
  /// connections (53300), serialization or deadlock (40001, 40P01), lock not available (55P03). PostgreSQL, appendix A.
  private static func isTransient(_ error: PostgresError) -> Bool {
    switch error {
    case .connection, .commitUnknown: true
    case .server(let server):
      server.sqlState.hasPrefix("08")
        || ["57P01", "57P02", "57P03", "53300", "40001", "40P01", "55P03"].contains(server.sqlState)
    case .rolledBack, .column, .rowCount, .misuse: false
    }
  }
}
