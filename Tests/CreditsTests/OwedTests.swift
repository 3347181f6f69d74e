import Credits
import Ethereum
import TestSupport
import Testing

@Suite struct OwedTests {
  @Test(
    arguments: [
      // accrued (operator, infrastructure, treasury), paid, owed
      ((10, 0, 0), 0, (10, 0, 0)),
      ((10, 5, 3), 0, (10, 5, 3)),
      ((10, 5, 3), 4, (6, 5, 3)),  // paid counts for the operator first
      ((10, 5, 3), 12, (0, 3, 3)),
      ((10, 5, 3), 17, (0, 0, 1)),
      ((10, 5, 3), 18, (0, 0, 0)),
      ((10, 5, 3), 99, (0, 0, 0)),  // never below zero
      ((10, -2, 3), 0, (10, 0, 1)),  // a negative accrual is taken from the treasury first
      ((10, 5, -7), 0, (8, 0, 0)),
      ((10, 5, -7), 3, (5, 0, 0)),
      ((-4, 5, 3), 0, (0, 4, 0)),
      ((-4, -5, -3), 0, (0, 0, 0)),
      ((0, 0, -9), 0, (0, 0, 0)),
    ] as [((Int64, Int64, Int64), UInt64, (UInt64, UInt64, UInt64))])
  func `what is owed is accrued less paid, by role`(
    accrued: (Int64, Int64, Int64), paid: UInt64, expected: (UInt64, UInt64, UInt64)
  ) throws {
    let owed = try Owed(
      accrued: CreditsTests.accrued(accrued.0, accrued.1, accrued.2), paid: wei(paid))
    #expect(owed.byRole == CreditsTests.owed(expected.0, expected.1, expected.2))
    #expect(owed.total == wei(expected.0 + expected.1 + expected.2))
  }

  @Test func `the attribution sums to the total and never passes what was accrued`() throws {
    var random = SeededRandom(seed: 5)
    for _ in 0..<10_000 {
      let accrued = ByRole(
        operator: random.signedWei(bits: 64), infrastructure: random.signedWei(bits: 64),
        treasury: random.signedWei(bits: 64))
      let paid = random.wei(bits: 65)
      let owed = try Owed(accrued: accrued, paid: paid)
      let net = try accrued.total.subtracting(SignedWei(paid))
      #expect(owed.total == net.positivePart)
      #expect(try owed.byRole.total == owed.total)
      for role in Role.allCases { #expect(owed.byRole[role] <= accrued[role].positivePart) }
    }
  }
}
