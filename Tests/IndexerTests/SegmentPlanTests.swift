import Testing

@testable import Indexer

@Suite struct SegmentPlanTests {
  private func next(
    unscanned: UInt64, unproven: UInt64, head: UInt64, finalized: UInt64?, mode: ProofMode,
    canProve: Bool = true
  ) -> SegmentPlan? {
    .next(
      unscanned: unscanned, unproven: unproven, head: head, finalized: finalized, mode: mode,
      canProve: canProve)
  }

  @Test func `with everything proven a step is bounded and ends at the finalized block`() {
    #expect(
      next(unscanned: 1, unproven: 1, head: 9_000, finalized: 8_900, mode: .all) == .prove(1...256))
    #expect(
      next(unscanned: 8_800, unproven: 8_800, head: 9_000, finalized: 8_900, mode: .all)
        == .prove(8_800...8_900))
    #expect(
      next(unscanned: 8_901, unproven: 8_901, head: 9_000, finalized: 8_900, mode: .all)
        == .prove(8_901...9_000))
    #expect(
      next(unscanned: 9_001, unproven: 9_001, head: 9_000, finalized: 8_900, mode: .all) == nil)
  }

  @Test func `what was only scanned is proven first`() {
    #expect(
      next(unscanned: 50, unproven: 10, head: 90, finalized: nil, mode: .all) == .prove(10...49))
    #expect(
      next(unscanned: 50, unproven: 50, head: 90, finalized: nil, mode: .all) == .prove(50...90))
  }

  @Test func `scanning goes on while nothing can be proven`() {
    #expect(
      next(unscanned: 50, unproven: 10, head: 90, finalized: 70, mode: .all, canProve: false)
        == .scan(50...70))
    #expect(
      next(unscanned: 91, unproven: 10, head: 90, finalized: 70, mode: .all, canProve: false) == nil
    )
  }

  @Test
  func `proof off only scans, proof head proves near the head when nothing before is unproven`() {
    #expect(next(unscanned: 5, unproven: 5, head: 90, finalized: nil, mode: .off) == .scan(5...90))
    #expect(next(unscanned: 5, unproven: 5, head: 90, finalized: nil, mode: .head) == .scan(5...90))
    #expect(
      next(unscanned: 80, unproven: 80, head: 90, finalized: nil, mode: .head) == .prove(80...90))
    #expect(
      next(unscanned: 80, unproven: 5, head: 90, finalized: nil, mode: .head) == .scan(80...90))
    #expect(next(unscanned: 91, unproven: 5, head: 90, finalized: nil, mode: .head) == nil)
  }

  @Test func `a head below what is known asks for nothing`() {
    #expect(next(unscanned: 91, unproven: 91, head: 20, finalized: 10, mode: .all) == nil)
    #expect(next(unscanned: 91, unproven: 30, head: 20, finalized: 10, mode: .all) == nil)
  }
}
