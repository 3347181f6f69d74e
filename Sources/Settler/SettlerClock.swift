import Foundation

/// The time, so that tests need not wait.
protocol SettlerClock: Sendable {
  /// Unix milliseconds.
  func nowMs() -> Int64
  func sleep(ms: Int64) async throws
}

/// The clock of the machine.
struct SystemClock: SettlerClock {
  func nowMs() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
  func sleep(ms: Int64) async throws { try await Task.sleep(for: .milliseconds(ms)) }
}
