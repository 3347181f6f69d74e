import Credits
import Ethereum
import Testing

@testable import Settler

/// Facts of an epoch with 1,000 wei of gross, two operators and no fallback.
struct Facts {
  static let operator1 = SettlementHouse.operator1
  static let operator2 = SettlementHouse.operator2
  static let treasury = SettlementHouse.treasury
  static let infrastructure = SettlementHouse.infrastructure

  var users = [
    SettlementFacts.User(account: account(0xa1), spent: SignedWei(wei(700)), charged: wei(100)),
    SettlementFacts.User(account: account(0xb0), spent: SignedWei(wei(400)), charged: .zero),
  ]
  var payees = [
    payee(operator1, role: .operator, now: 510), payee(operator2, role: .operator, now: 340),
    payee(treasury, role: .treasury, now: 100),
    payee(infrastructure, role: .infrastructure, now: 50),
  ]
  var held: [Address: String] = [:]
  var lines = [
    SettlementFacts.OperatorLine(
      wallet: operator1, gross: SignedWei(wei(600)), carryIn: .zero, share: SignedWei(wei(510))),
    SettlementFacts.OperatorLine(
      wallet: operator2, gross: SignedWei(wei(400)), carryIn: .zero, share: SignedWei(wei(340))),
  ]
  var minimums = Manifest.Options()

  static func payee(
    _ address: Address, role: Role, now: UInt64, ever: SignedWei? = nil, paid: UInt64 = 0
  ) -> SettlementFacts.Payee {
    var accruedNow = ByRole(repeating: SignedWei.zero)
    accruedNow[role] = SignedWei(wei(now))
    var accruedEver = accruedNow
    if let ever { accruedEver[role] = ever }
    return SettlementFacts.Payee(
      address: address, accruedInEpoch: accruedNow, accruedEver: accruedEver, paid: wei(paid))
  }

  func facts() throws -> SettlementFacts {
    SettlementFacts(
      ledger: .keccak([1]), method: .vault, chainID: 1, vault: ScriptedVault.vault,
      token: ScriptedVault.token, epoch: 3, predecessor: .keccak([2]),
      plannedAt: Manifest.BlockReference(number: 9, hash: .keccak([3])),
      split: try Split(
        operatorsBasisPoints: 8_500, treasuryBasisPoints: 1_000, infrastructureBasisPoints: 500,
        treasuryWallet: Self.treasury, infrastructureWallet: Self.infrastructure),
      gross: SignedWei(wei(1_000)),
      totals: ByRole(
        operator: SignedWei(wei(850)), infrastructure: SignedWei(wei(50)),
        treasury: SignedWei(wei(100))),
      users: users, payees: payees, operatorLines: lines, held: held)
  }

  func manifest() throws -> Manifest {
    try ManifestBuilder.build(
      facts(),
      ManifestBuilder.Options(
        settler: Keys.settler.address,
        limits: Manifest.Limits(
          maxTransactions: 10, gasPerTransaction: 1_000_000, maxFeePerGasWei: wei(1_000),
          chargesPerTransaction: 10, paymentsPerTransaction: 10, expires: 1_800_000_000),
        minimums: minimums))
  }

  static func manifest(_ change: (inout Facts) -> Void = { _ in }) throws -> Manifest {
    var facts = Facts()
    change(&facts)
    return try facts.manifest()
  }
}

@Suite struct ManifestBuilderTests {
  @Test func `facts become charges and payees`() throws {
    let manifest = try Facts.manifest()
    #expect(
      manifest.charges == [
        Manifest.Charge(user: account(0xa1), spent: wei(700), charged: wei(100)),
        Manifest.Charge(user: account(0xb0), spent: wei(400), charged: .zero),
      ])
    #expect(manifest.payees.map(\.maxPaid) == [wei(510), wei(50), wei(340), wei(100)])
    #expect(manifest.chargesPlannedTotal == wei(1_000))
    #expect(manifest.payoutsMaxTotal == wei(1_000))
  }

  @Test func `the order of the facts does not matter`() throws {
    let manifest = try Facts.manifest {
      $0.users.reverse()
      $0.payees.reverse()
      $0.lines.reverse()
    }
    #expect(try manifest.bytes == Facts.manifest().bytes)
  }

  @Test func `who owes nothing, less than the minimum, or has a negative spend is not charged`()
    throws
  {
    let manifest = try Facts.manifest {
      $0.minimums = Manifest.Options(minChargeWei: wei(600))
      $0.users.append(
        SettlementFacts.User(account: account(1), spent: SignedWei(wei(5)), charged: wei(5)))
      $0.users.append(
        SettlementFacts.User(
          account: account(2), spent: SignedWei(wei(5), isNegative: true), charged: .zero))
      $0.users.append(
        SettlementFacts.User(account: account(3), spent: SignedWei(wei(5)), charged: wei(9)))
    }
    #expect(manifest.charges.map(\.user) == [account(0xa1)])
  }

  @Test func `held, too small and unpayable payees are listed with what they are owed`() throws {
    let manifest = try Facts.manifest {
      $0.minimums = Manifest.Options(minPayoutWei: wei(100))
      $0.held = [Facts.operator1: "sanctions list", account(0x77): "owed nothing"]
      for unpayable in [Address.zero, ScriptedVault.vault, ScriptedVault.token] {
        $0.payees.append(
          Facts.payee(unpayable, role: .operator, now: 0, ever: SignedWei(wei(500))))
      }
    }
    #expect(
      Dictionary(uniqueKeysWithValues: manifest.heldBack.map { ($0.address, $0.reason) }) == [
        Facts.operator1: "held: sanctions list",
        Facts.infrastructure:
          "below the minimum payout of \(PRLX.text(wei(100))) PRLX",
        .zero: "the zero address cannot be paid", ScriptedVault.vault: "the vault cannot be paid",
        ScriptedVault.token: "the token cannot be paid",
      ])
    #expect(manifest.payees.map(\.address) == [Facts.operator2, Facts.treasury])
    #expect(
      try manifest.heldBack.reduce(wei(0)) { try $0.adding($1.owed.total) } == wei(510 + 50 + 1_500)
    )
  }

  @Test
  func `what was paid counts against all that was accrued ever, and a receivable pays nobody`()
    throws
  {
    let manifest = try Facts.manifest {
      $0.payees[0] = Facts.payee(
        Facts.operator1, role: .operator, now: 510, ever: SignedWei(wei(2_000)), paid: 1_300)
      $0.payees[1] = Facts.payee(
        Facts.operator2, role: .operator, now: 340, ever: SignedWei(wei(60), isNegative: true))
    }
    #expect(manifest.payees.first { $0.address == Facts.operator1 }?.maxPaid == wei(2_000))
    let receivable = manifest.payees.first { $0.address == Facts.operator2 }
    #expect(receivable?.maxPaid == .zero)
    #expect(manifest.payoutsMaxTotal == wei(700 + 50 + 100))
  }

  @Test func `shares that the rule does not give are refused`() {
    #expect(throws: BuildError.self) {
      try Facts.manifest {
        $0.payees[0] = Facts.payee(Facts.operator1, role: .operator, now: 511)
        $0.payees[1] = Facts.payee(Facts.operator2, role: .operator, now: 339)
      }
    }
    #expect(throws: BuildError.self) { try Facts.manifest { $0.payees.removeLast() } }
    #expect(throws: BuildError.self) {
      try Facts.manifest { $0.payees.append(Facts.payee(account(0x66), role: .operator, now: 1)) }
    }
  }

  /// Scripts join and combine; a manifest takes 200 bytes.
  @Test(arguments: [
    "x", String(repeating: "é", count: 300), "\u{301}combining",
    "👩‍👩‍👧‍👦" + String(repeating: "\u{301}", count: 900),
    "held: held: ",
  ])
  func `a hold of any text is found again in a plan under way`(_ reason: String) throws {
    var facts = Facts()
    facts.held = [Facts.operator1: reason]
    let manifest = try facts.manifest()
    let line = try #require(manifest.heldBack.first)
    #expect(line.reason.utf8.count <= Manifest.maxReasonBytes)
    // The hold was lifted since; the plan under way keeps it.
    facts.held = PlanVerifier.holds(of: manifest)
    #expect(try facts.manifest().hash == manifest.hash)
  }

  @Test func `differences are told in words`() throws {
    let stored = try Facts.manifest()
    let rebuilt = try Facts.manifest {
      $0.users[1] = SettlementFacts.User(
        account: account(0xb0), spent: SignedWei(wei(401)), charged: .zero)
    }
    #expect(
      ManifestDifference.lines(stored: stored, rebuilt: rebuilt) == [
        "charge of \(account(0xb0)): the plan says spent 0.0000000000000004, charged 0, the ledger says spent 0.000000000000000401, charged 0"
      ])
  }
}
