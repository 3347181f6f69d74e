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

  mutating func succeeded() { failures = 0 }

  /// - Parameter sqlState: nil when the connection was lost without one.
  mutating func failed(sqlState: String?) -> Action {
    guard Self.isTransient(sqlState), failures < limit else { return .giveUp }
    failures += 1
    return .wait(milliseconds: min(5000, 50 << failures))
  }

  /// Connection lost (class 08), shut down (57P01–57P03), too many connections (53300), serialization or deadlock (40001,
  /// 40P01), lock not available (55P03). PostgreSQL, appendix A.
  static func isTransient(_ sqlState: String?) -> Bool {
    guard let sqlState else { return true }
    return sqlState.hasPrefix("08")
      || ["57P01", "57P02", "57P03", "53300", "40001", "40P01", "55P03"].contains(sqlState)
  }
}
