import Credits
import Ethereum
import TestSupport
import Testing

@Suite struct WaterfallTests {
  static func claim(
    _ payee: UInt8, _ owed: ByRole<UInt256>, paid: UInt64 = 0, max: UInt64? = nil
  ) throws -> Waterfall.Claim {
    Waterfall.Claim(
      payee: address(payee), owed: owed, maxPaid: try max.map(wei) ?? owed.total.adding(wei(paid)),
      paidTotal: wei(paid))
  }

  static func deltas(
    _ claims: [Waterfall.Claim], reserves: [Waterfall.Reserve] = [], pool: UInt64
  ) throws -> [UInt64] {
    try Waterfall.prorata(claims: claims, reserves: reserves, pool: wei(pool))
      .map { try #require(UInt64($0.delta.description)) }
  }

  @Test(
    arguments: [
      (1000, [340, 510, 50, 100]),  // all of it, pool to spare
      (900, [340, 510, 50, 0]),
      (880, [340, 510, 30, 0]),  // infrastructure before treasury
      (850, [340, 510, 0, 0]),
      (425, [170, 255, 0, 0]),  // operators by what they are owed
      (1, [0, 1, 0, 0]),
      (0, [0, 0, 0, 0]),
    ] as [(UInt64, [UInt64])])
  func `operators are paid first, then infrastructure, then treasury`(
    pool: UInt64, expected: [UInt64]
  ) throws {
    let claims = [
      try Self.claim(4, owed(0, 0, 100)), try Self.claim(3, owed(0, 50, 0)),
      try Self.claim(2, owed(510, 0, 0)), try Self.claim(1, owed(340, 0, 0)),
    ]
    #expect(try Self.deltas(claims, pool: pool) == expected)
  }

  @Test func `equal operators who are short get the odd wei by address`() throws {
    let claims = try [7, 5, 9].map { try Self.claim($0, owed(10, 0, 0)) }
    #expect(try Self.deltas(claims, pool: 20) == [7, 7, 6])
  }

  @Test func `what a held-back operator is owed stays in the pool`() throws {
    let reserve = Waterfall.Reserve(payee: address(2), owed: owed(60, 0, 0))
    let claims = [try Self.claim(1, owed(40, 0, 0)), try Self.claim(3, owed(0, 10, 0))]
    // Covered: infrastructure gets only what is left behind the reserve.
    #expect(try Self.deltas(claims, reserves: [reserve], pool: 105) == [40, 5])
    // Short: the reserve's part is divided like everyone's and not handed to anyone.
    #expect(try Self.deltas(claims, reserves: [reserve], pool: 50) == [20, 0])
  }

  @Test func `a held-back infrastructure wallet is reserved before the treasury is paid`() throws {
    let reserve = Waterfall.Reserve(payee: address(2), owed: owed(0, 30, 0))
    #expect(
      try Self.deltas([Self.claim(1, owed(0, 0, 50))], reserves: [reserve], pool: 40) == [10])
  }

  @Test func `an address with several roles has one line`() throws {
    let claims = [try Self.claim(1, owed(10, 20, 30)), try Self.claim(2, owed(10, 0, 0))]
    let payments = try Waterfall.prorata(claims: claims, reserves: [], pool: wei(45))
    #expect(payments.map(\.delta) == [wei(35), wei(10)])
    #expect(payments[0].deltaByRole == owed(10, 20, 5))
  }

  @Test func `nobody passes the manifest's maximum`() throws {
    // Owed 100 when planned with nothing paid; the chain proves 30 since: 70 are left.
    let paidSince = try Self.claim(1, owed(80, 0, 20), paid: 30, max: 100)
    let payments = try Waterfall.prorata(claims: [paidSince], reserves: [], pool: wei(1000))
    #expect(payments[0].paid == wei(100))
    #expect(payments[0].deltaByRole == owed(50, 0, 20))
    let overpaid = try Self.claim(1, owed(80, 0, 20), paid: 130, max: 100)
    let nothing = try Waterfall.prorata(claims: [overpaid], reserves: [], pool: wei(1000))
    #expect(nothing[0].delta == .zero)
    #expect(nothing[0].paid == wei(130))
  }

  @Test func `a payee twice is refused, also once reserved`() throws {
    let claim = try Self.claim(1, owed(1, 0, 0))
    #expect(throws: WaterfallError.duplicatePayee(address(1))) {
      try Waterfall.prorata(claims: [claim, claim], reserves: [], pool: .one)
    }
    #expect(throws: WaterfallError.duplicatePayee(address(1))) {
      try Waterfall.prorata(
        claims: [claim], reserves: [Waterfall.Reserve(payee: address(1), owed: owed(1, 0, 0))],
        pool: .one)
    }
  }

  @Test func `the rules of the waterfall hold over random claims`() throws {
    let seed: UInt64 = 6
    var random = SeededRandom(seed: seed)
    for round in 0..<5_000 {
      let bits = [8, 16, 100].randomElement(using: &random)!
      func owedAmounts() -> ByRole<UInt256> {
        var amounts = ByRole(repeating: UInt256.zero)
        for role in Role.allCases where random.below(2) == 0 {
          amounts[role] = random.wei(bits: bits)
        }
        return amounts
      }
      let claims = try (0..<random.below(6)).map { _ in
        let (owed, paid) = (owedAmounts(), random.wei(bits: bits))
        return Waterfall.Claim(
          payee: random.address(), owed: owed,
          maxPaid: random.below(4) == 0 ? random.wei(bits: bits) : try paid.adding(owed.total),
          paidTotal: paid)
      }
      let reserves = (0..<random.below(3)).map { _ in
        Waterfall.Reserve(payee: random.address(), owed: owedAmounts())
      }
      let pool = random.wei(bits: bits + 2)
      let payments = try Waterfall.prorata(claims: claims, reserves: reserves, pool: pool)
      let context: Comment = "seed \(seed), round \(round)"

      var paidOut = UInt256.zero
      #expect(payments.map(\.payee) == claims.map(\.payee).sorted(), context)
      for payment in payments {
        let claim = try #require(claims.first { $0.payee == payment.payee })
        paidOut = try paidOut.adding(payment.delta)
        #expect(try payment.paid == claim.paidTotal.adding(payment.delta), context)
        #expect(try payment.delta == payment.deltaByRole.total, context)
        #expect(payment.delta == .zero || payment.paid <= claim.maxPaid, context)
        for role in Role.allCases {
          #expect(payment.deltaByRole[role] <= claim.owed[role], context)
        }
      }
      #expect(paidOut <= pool, context)
      // Nobody below gets a wei while somebody above, who may be paid, lacks one.
      let reserved = try reserves.reduce(UInt256.zero) { try $0.adding($1.owed.total) }
      let uncapped = claims.allSatisfy { claim in
        (try? claim.paidTotal.adding(claim.owed.total)) == claim.maxPaid
      }
      if uncapped {
        for (above, below) in [(Role.operator, Role.infrastructure), (.infrastructure, .treasury)] {
          let short = payments.contains { payment in
            claims.first { $0.payee == payment.payee }!.owed[above] > payment.deltaByRole[above]
          }
          if short { #expect(payments.allSatisfy { $0.deltaByRole[below] == .zero }, context) }
        }
        let wanted = try claims.reduce(UInt256.zero) { try $0.adding($1.owed.total) }
        if try pool >= wanted.adding(reserved) { #expect(paidOut == wanted, context) }
      }
      let again = try Waterfall.prorata(
        claims: claims.shuffled(using: &random), reserves: reserves.shuffled(using: &random),
        pool: pool)
      #expect(again == payments, context)
    }
  }
}
