import Credits
import Ethereum
import Testing

@testable import Auditor

func account(_ byte: UInt8) -> Address { try! Address([UInt8](repeating: byte, count: 20)) }
func amount(_ value: Int64) -> SignedWei {
  SignedWei(UInt256(value.magnitude), isNegative: value < 0)
}

/// Two users and two payees; every figure is a variable, so that each can be wrong by itself.
struct Books {
  static let alice = account(0xa1)
  static let bob = account(0xb0)
  static let operator1 = account(0x11)
  static let treasury = account(0x7e)

  // Alice: deposited 1,000, debited 600, charged 500, 30 held. Bob: deposited 200, debited 50, withdrew 60, 10 more in flight.
  // Epoch 1 is 600 + 20 of Bob's; his other 30 are in the open one. The operator was paid 400 of 527.
  // A gift of 7 tokens belongs to no event.
  var deposited: Int64 = 1_200
  var withdrawn: Int64 = 60
  var charged: Int64 = 500
  var paid: Int64 = 400
  var users: Int64 = 500 + 130
  var withdrawnAfter: Int64 = 10
  var unsettled: Int64 = 150
  var openNet: Int64 = 30
  var owed: Int64 = 220
  var gift: Int64 = 7
  var aliceInVault: Int64 = 500
  var aliceUnsettled: Int64 = 100
  var aliceUnsettledByFacts: Int64 = 100
  var aliceHeld: Int64 = 30
  var aliceHeldByFacts: Int64 = 30
  var aliceCharged: Int64 = 500
  var operatorPaid: Int64 = 400
  var operatorPaidByFacts: Int64 = 400
  var gross: Int64 = 620
  var byDebits: Int64 = 620
  var byUsers: Int64 = 620
  var byOperators: Int64 = 620
  var byAccruals: Int64 = 620
  var byRoles: Int64 = 620
  var journalPool: Int64 = 100
  var tablePool: Int64 = 100
  var entry: Int64 = 0

  var vaultTokens: Int64 = 747
  var pool: Int64 = 100
  var aliceOnChain: Int64 = 500
  var bobOnChain: Int64 = 140
  var aliceChargedOnChain: Int64 = 500
  var bobChargedOnChain: Int64 = 0
  var operatorPaidOnChain: Int64 = 400
  var treasuryPaidOnChain: Int64 = 0

  func reconciled() throws -> Reconciliation {
    let bob = LedgerFacts.Account(
      account: Self.bob, inVault: amount(140), unsettled: amount(50), unsettledByFacts: amount(50),
      held: .zero, heldByFacts: .zero, charged: .zero)
    let alice = LedgerFacts.Account(
      account: Self.alice, inVault: amount(aliceInVault), unsettled: amount(aliceUnsettled),
      unsettledByFacts: amount(aliceUnsettledByFacts), held: amount(aliceHeld),
      heldByFacts: amount(aliceHeldByFacts), charged: amount(aliceCharged))
    let ledger = LedgerFacts(
      chainID: 1, vault: account(0xff), token: account(0xee), block: 9, blockHash: .keccak([9]),
      deposited: amount(deposited), withdrawn: amount(withdrawn), charged: amount(charged),
      paid: amount(paid), users: amount(users), withdrawnAfter: amount(withdrawnAfter),
      unsettled: amount(unsettled), openNet: amount(openNet), owed: amount(owed),
      unattributed: [LedgerFacts.Transfer(transaction: .keccak([7]), amount: amount(gift))],
      accounts: [alice, bob],
      payees: [
        LedgerFacts.Payee(
          payee: Self.operator1, paid: amount(operatorPaid),
          paidByFacts: amount(operatorPaidByFacts)),
        LedgerFacts.Payee(payee: Self.treasury, paid: .zero, paidByFacts: .zero),
      ],
      epochs: [
        LedgerFacts.EpochRow(
          epoch: 1, gross: amount(gross), byDebits: amount(byDebits), byUsers: amount(byUsers),
          byOperators: amount(byOperators), byAccruals: amount(byAccruals), byRoles: amount(byRoles)
        )
      ],
      controls: [
        LedgerFacts.Control(name: "pool", journal: amount(journalPool), table: amount(tablePool))
      ], unbalancedEntries: entry == 0 ? [] : [(entry: 5 as UInt64, sum: amount(entry))])
    let chain = ChainFacts(
      vaultTokens: amount(vaultTokens), pool: amount(pool),
      balances: [Self.alice: amount(aliceOnChain), Self.bob: amount(bobOnChain)],
      charged: [Self.alice: amount(aliceChargedOnChain), Self.bob: amount(bobChargedOnChain)],
      paid: [
        Self.operator1: amount(operatorPaidOnChain), Self.treasury: amount(treasuryPaidOnChain),
      ])
    return try Reconciliation(ledger, chain)
  }
}

@Suite struct ReconciliationTests {
  @Test func `consistent books have no difference in any identity`() throws {
    let result = try Books().reconciled()
    #expect(
      result.identities.map(\.name) == [
        "1 vault tokens", "2 users' claims", "3 each account in the vault", "4 subledgers",
        "5 epochs", "6 owed", "7 journal",
      ])
    for identity in result.identities {
      #expect(identity.difference == .zero, "\(identity.name)")
      #expect(identity.left == identity.right, "\(identity.name)")
    }
    #expect(result.breaks.isEmpty)
    #expect(result.difference == .zero)
  }

  private static let vault = "vault \(account(0xff))"
  private static let alice = Books.alice.checksummed
  private static let bob = Books.bob.checksummed
  private static let operator1 = Books.operator1.checksummed
  private static let treasury = Books.treasury.checksummed

  /// A figure, and whom a wei in it is found at: identity and subject.
  private static let figures: [(WritableKeyPath<Books, Int64> & Sendable, [String])] = [
    (\.deposited, ["1 \(vault)"]),
    (\.withdrawn, ["1 \(vault)"]),
    (\.charged, ["2 all accounts", "2 pool", "6 all payees"]),
    (\.paid, ["1 \(vault)", "2 all accounts", "2 pool", "6 all payees"]),
    (\.users, ["2 all accounts"]),
    (\.withdrawnAfter, ["2 all accounts"]),
    (\.unsettled, ["6 all payees"]),
    (\.openNet, ["6 all payees"]),
    (\.owed, ["6 all payees"]),
    (\.gift, ["1 \(vault)", "2 all accounts"]),
    (\.aliceInVault, ["3 \(alice)"]),
    (\.aliceUnsettled, ["4 \(alice)"]),
    (\.aliceUnsettledByFacts, ["4 \(alice)"]),
    (\.aliceHeld, ["4 \(alice)"]),
    (\.aliceHeldByFacts, ["4 \(alice)"]),
    (\.aliceCharged, ["4 \(alice)"]),
    (\.operatorPaid, ["4 \(operator1)", "4 \(operator1)"]),
    (\.operatorPaidByFacts, ["4 \(operator1)"]),
    (\.gross, Array(repeating: "5 epoch 1", count: 5)),
    (\.byDebits, ["5 epoch 1"]),
    (\.byUsers, ["5 epoch 1"]),
    (\.byOperators, ["5 epoch 1"]),
    (\.byAccruals, ["5 epoch 1"]),
    (\.byRoles, ["5 epoch 1"]),
    (\.journalPool, ["7 pool"]),
    (\.tablePool, ["7 pool"]),
    (\.entry, ["7 entry 5"]),
    (\.vaultTokens, ["1 \(vault)", "2 all accounts"]),
    (\.pool, ["2 pool"]),
    (\.aliceOnChain, ["3 \(alice)"]),
    (\.bobOnChain, ["3 \(bob)"]),
    (\.aliceChargedOnChain, ["4 \(alice)"]),
    (\.bobChargedOnChain, ["4 \(bob)"]),
    (\.operatorPaidOnChain, ["4 \(operator1)"]),
    (\.treasuryPaidOnChain, ["4 \(treasury)"]),
  ]

  @Test func `one wei in any figure is found, with its subject`() throws {
    // Every stored property of the books is in the table.
    #expect(Mirror(reflecting: Books()).children.count == Self.figures.count)
    for (figure, subjects) in Self.figures {
      for wei in [1, -1] as [Int64] {
        var books = Books()
        books[keyPath: figure] += wei
        let result = try books.reconciled()
        #expect(
          result.breaks.map { "\($0.identity.prefix(1)) \($0.subject)" }.sorted()
            == subjects.sorted(), "\(figure)")
        #expect(
          result.breaks.allSatisfy { $0.difference.magnitude == UInt256(1) && !$0.cause.isEmpty })
        #expect(result.difference == UInt256(UInt64(subjects.count)))
      }
    }
  }

  @Test func `differences that cancel out are both found`() throws {
    var books = Books()
    books.aliceOnChain += 5
    books.bobOnChain -= 5
    let result = try books.reconciled()
    #expect(result.difference == UInt256(10))
    let identity = try #require(result.identities.first { $0.name.hasPrefix("3") })
    #expect(identity.left == identity.right && identity.difference == UInt256(10))
  }

  @Test func `a user whom the chain does not know is a difference`() throws {
    var books = Books()
    books.aliceOnChain = 0
    #expect(try books.reconciled().breaks.map(\.subject) == [Self.alice])
  }
}
