import Credits
import Ethereum
import TestSupport
import Testing

@Suite struct LargestRemainderTests {
  static func distribute(_ amount: UInt64, _ weights: [UInt64]) throws -> [UInt64] {
    try LargestRemainder.distribute(UInt256(amount), weights: weights.map { UInt256($0) })
      .map { try #require(UInt64($0.description)) }
  }

  @Test(
    arguments: [
      (100, [1, 1, 1], [34, 33, 33]), (101, [1, 1, 1], [34, 34, 33]), (1, [0, 1, 1], [0, 1, 0]),
      (10, [7, 2, 1], [7, 2, 1]), (0, [3, 4], [0, 0]), (0, [0, 0], [0, 0]), (5, [9], [5]),
      // The largest remainder wins over the first: 3·1/10 = 0.3, 3·7/10 = 2.1, 3·2/10 = 0.6.
      (3, [1, 7, 2], [0, 2, 1]),
    ] as [(UInt64, [UInt64], [UInt64])])
  func `an amount is divided by largest remainder`(
    amount: UInt64, weights: [UInt64], shares: [UInt64]
  ) throws {
    #expect(try Self.distribute(amount, weights) == shares)
  }

  @Test func `nothing to divide among nobody is nothing`() throws {
    #expect(try Self.distribute(0, []) == [])
  }

  @Test func `an amount without a weight is refused`() {
    #expect(throws: ShareError.noWeight(amount: .one)) {
      try LargestRemainder.distribute(.one, weights: [.zero, .zero])
    }
    #expect(throws: ShareError.noWeight(amount: .one)) {
      try LargestRemainder.distribute(.one, weights: [])
    }
  }

  @Test func `weights that sum beyond 256 bits are refused`() {
    #expect(throws: ShareError.weightsTooLarge) {
      try LargestRemainder.distribute(.one, weights: [.max, .one])
    }
  }

  @Test func `products of 512 bits are exact`() throws {
    #expect(try LargestRemainder.distribute(.max, weights: [.max]) == [.max])
    let half = try UInt256.max.quotientAndRemainder(dividingBy: UInt256(2)).quotient
    #expect(
      try LargestRemainder.distribute(.max, weights: [half, half]) == [half.adding(.one), half])
  }

  /// Random vectors: every wei is conserved, every share within one wei of the exact one, zero
  /// weights get nothing, and distinct remainders do not care about order.
  @Test func `every wei is conserved over random vectors`() throws {
    let seed: UInt64 = 20_250_101
    var random = SeededRandom(seed: seed)
    for round in 0..<10_000 {
      let amount = random.wei(bits: 120)
      let weights = (0...random.below(6)).map { _ in random.wei(bits: 120) }
      let total = try weights.reduce(UInt256.zero) { try $0.adding($1) }
      guard total != .zero else { continue }
      let shares = try LargestRemainder.distribute(amount, weights: weights)
      var sum = UInt256.zero
      for (share, weight) in zip(shares, weights) {
        sum = try sum.adding(share)
        let (got, exact) = (try share.multiplied(by: total), try amount.multiplied(by: weight))
        let distance = got > exact ? try got.subtracting(exact) : try exact.subtracting(got)
        if distance >= total || (weight == .zero && share != .zero) {
          Issue.record("seed \(seed), round \(round): \(amount) over \(weights) gave \(shares)")
        }
      }
      if sum != amount { Issue.record("seed \(seed), round \(round): lost wei of \(amount)") }
    }
  }

  @Test func `the order of the weights only breaks ties`() throws {
    var random = SeededRandom(seed: 7)
    for _ in 0..<1_000 {
      let amount = random.wei(bits: 96)
      let weights = (0..<5).map { _ in random.wei(bits: 96) }
      guard weights.contains(where: { $0 != .zero }) else { continue }
      let order = Array(weights.indices).shuffled(using: &random)
      let straight = try LargestRemainder.distribute(amount, weights: weights)
      let shuffled = try LargestRemainder.distribute(amount, weights: order.map { weights[$0] })
      // Per weight, the multiset of shares is the same: only equal weights may swap.
      let pairs = zip(weights, straight).sorted { ($0.0, $0.1) < ($1.0, $1.1) }
      let others = zip(order.map { weights[$0] }, shuffled).sorted { ($0.0, $0.1) < ($1.0, $1.1) }
      let tied = Set(weights).count < weights.count || Self.remaindersTie(amount, weights)
      if !tied { #expect(pairs.map(\.1) == others.map(\.1)) }
    }
  }

  static func remaindersTie(_ amount: UInt256, _ weights: [UInt256]) -> Bool {
    let total = weights.reduce(UInt256.zero) { (try? $0.adding($1)) ?? .max }
    let remainders = weights.compactMap {
      try? amount.multiplied(by: $0, dividedBy: total).remainder
    }.filter { $0 != .zero }
    return Set(remainders).count < remainders.count
  }
}
