/// How an endpoint behaves, and so when it is asked: outcomes and the time go in, a decision comes out.
///
/// Three things hold an endpoint back. A *rate*, which falls by half when the endpoint says "too many" and creeps up with
/// answers (AIMD); a *pause* after failures, doubling with each and told by the endpoint's own Retry-After where it gives one;
/// and a *bench* for an endpoint whose answer was disproved: it comes back on probation, and the next lie costs twice as long.
public struct EndpointHealth: Sendable, Equatable {
  public typealias Instant = ContinuousClock.Instant

  public enum Outcome: Sendable, Equatable {
    case answered(after: Duration)
    /// HTTP 429, or a JSON-RPC error that says so.
    case limited(retryAfter: Duration?)
    /// No answer, or one that is none.
    case failed
    /// An answer that a hash contradicts.
    case disproved
  }

  /// Requests a second.
  public private(set) var rate = fastest
  /// Of answers of late; nil before the first.
  public private(set) var latency: Duration?
  public private(set) var pausedUntil: Instant?
  public private(set) var benchedUntil: Instant?
  private var failures = 0
  private var lies = 0
  private var nextSlot: Instant?

  public static let fastest = 200.0
  static let slowest = 0.5
  static let firstPause = Duration.milliseconds(500)
  static let longestPause = Duration.seconds(10)
  static let longestRetryAfter = Duration.seconds(600)
  static let firstBench = Duration.seconds(600)
  static let longestBench = Duration.seconds(6 * 3600)

  public init() {}

  public func isBenched(at now: Instant) -> Bool { benchedUntil.map { now < $0 } ?? false }

  /// Whether it may be asked at once, but for its rate.
  public func isWell(at now: Instant) -> Bool {
    !isBenched(at: now) && (pausedUntil.map { now >= $0 } ?? true)
  }

  /// When the next request may leave; the slot is taken.
  public mutating func reserve(at now: Instant) -> Instant {
    let slot = max(now, nextSlot ?? now, pausedUntil ?? now)
    nextSlot = slot + .seconds(1 / rate)
    return slot
  }

  /// - Parameter jitter: 0 to 1; spreads the pauses of many clients.
  public mutating func record(_ outcome: Outcome, at now: Instant, jitter: Double) {
    switch outcome {
    case .answered(let duration):
      failures = 0
      pausedUntil = nil
      // A second of requests at this rate adds one to it.
      rate = min(Self.fastest, rate + 1 / rate)
      latency = latency.map { ($0 * 7 + duration) / 8 } ?? duration
    case .limited(let retryAfter):
      rate = max(Self.slowest, rate / 2)
      let own = pause(jitter: jitter)
      pausedUntil = now + min(max(retryAfter ?? own, .zero), Self.longestRetryAfter)
    case .failed:
      pausedUntil = now + pause(jitter: jitter)
    case .disproved:
      lies += 1
      benchedUntil = now + Self.doubled(Self.firstBench, times: lies - 1, most: Self.longestBench)
    }
  }

  /// Between half and all of what the failures in a row come to.
  private mutating func pause(jitter: Double) -> Duration {
    failures += 1
    let full = Self.doubled(Self.firstPause, times: failures - 1, most: Self.longestPause)
    return full / 2 + full / 2 * min(max(jitter, 0), 1)
  }

  private static func doubled(_ first: Duration, times: Int, most: Duration) -> Duration {
    min(first * (1 << min(max(times, 0), 20)), most)
  }
}
