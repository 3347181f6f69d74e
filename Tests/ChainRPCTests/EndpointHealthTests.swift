import ChainRPC
import Testing

@Suite struct EndpointHealthTests {
  private let start = ContinuousClock.now

  private func after(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

  @Test func `"too many" halves the rate, answers raise it again, and no further than it began`() {
    var health = EndpointHealth()
    health.record(.limited(retryAfter: nil), at: start, jitter: 0)
    #expect(health.rate == EndpointHealth.fastest / 2)
    health.record(.limited(retryAfter: nil), at: start, jitter: 0)
    #expect(health.rate == EndpointHealth.fastest / 4)
    for _ in 0..<50 { health.record(.answered(after: .zero), at: start, jitter: 0) }
    #expect((50.9...51.1).contains(health.rate), "one a second's worth of answers: \(health.rate)")
    for _ in 0..<100_000 { health.record(.answered(after: .zero), at: start, jitter: 0) }
    #expect(health.rate == EndpointHealth.fastest)
    for _ in 0..<100 { health.record(.limited(retryAfter: nil), at: start, jitter: 0) }
    #expect(health.rate > 0, "it is still asked now and then")
  }

  @Test func `requests are as far apart as the rate says`() {
    var health = EndpointHealth()
    for _ in 0..<3 { health.record(.limited(retryAfter: .zero), at: start, jitter: 0) }
    #expect(health.rate == 25)
    let slots = (0..<5).map { _ in health.reserve(at: start) }
    #expect(slots == (0..<5).map { start + .seconds(0.04) * $0 })
    // Time that was not used is not saved up.
    #expect(health.reserve(at: after(10)) == after(10))
    #expect(health.reserve(at: after(10)) == after(10) + .seconds(0.04))
  }

  @Test func `the endpoint's own Retry-After is obeyed, within reason`() {
    var health = EndpointHealth()
    health.record(.limited(retryAfter: .seconds(7)), at: start, jitter: 0)
    #expect(!health.isWell(at: after(6.9)) && health.isWell(at: after(7)))
    #expect(health.reserve(at: start) == after(7))
    health.record(.limited(retryAfter: .seconds(1_000_000)), at: start, jitter: 0)
    #expect(health.isWell(at: after(600)))
    health.record(.limited(retryAfter: .seconds(-5)), at: start, jitter: 0)
    #expect(health.isWell(at: start))
  }

  @Test func `pauses double with each failure up to ten seconds, and an answer ends them`() {
    var health = EndpointHealth()
    for pause in [0.5, 1, 2, 4, 8, 10, 10] {
      health.record(.failed, at: start, jitter: 1)
      #expect(health.pausedUntil == after(pause))
    }
    health.record(.failed, at: start, jitter: 0)
    #expect(health.pausedUntil == after(5), "jitter takes up to half of it away")
    health.record(.answered(after: .milliseconds(10)), at: start, jitter: 0)
    #expect(health.isWell(at: start))
    health.record(.failed, at: start, jitter: 1)
    #expect(health.pausedUntil == after(0.5))
  }

  @Test func `a lie benches for ten minutes, the next for twenty, and answers do not shorten it`() {
    var health = EndpointHealth()
    health.record(.disproved, at: start, jitter: 0)
    health.record(.answered(after: .zero), at: start, jitter: 0)
    #expect(health.isBenched(at: after(599)) && !health.isBenched(at: after(600)))
    health.record(.disproved, at: after(600), jitter: 0)
    #expect(health.isBenched(at: after(1_799)) && !health.isBenched(at: after(1_800)))
    for _ in 0..<100 { health.record(.disproved, at: start, jitter: 0) }
    #expect(!health.isBenched(at: after(6 * 3600)))
  }

  @Test func `latency follows answers slowly`() {
    var health = EndpointHealth()
    #expect(health.latency == nil)
    health.record(.answered(after: .milliseconds(80)), at: start, jitter: 0)
    #expect(health.latency == .milliseconds(80))
    health.record(.answered(after: .milliseconds(160)), at: start, jitter: 0)
    #expect(health.latency == .milliseconds(90))
  }
}
