import Ethereum
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Indexer

/// What a chain and its endpoints can do to the ledger at the worst moment.
@Suite struct HostileChainTests {
  typealias Transaction = SimulatedChain.Transaction
  typealias House = ChainSyncTests.House
  private let alice = SimulatedChain.user(1)
  private let bob = SimulatedChain.user(2)

  /// A log that a scan leaves out moves the ordinals of those behind it, which are half of the credit's key.
  @Test func `an omission before another deposit of its transaction is mended by the proof`()
    async throws
  {
    let chain = SimulatedChain(blocks: 2)
    chain.mine(Transaction("d").deposit(alice, 10).deposit(bob, 20).deposit(alice, 30))
    chain.mine(blocks: 2)
    chain.finalized = 4
    let missing = chain.log(block: 2, index: 1)
    chain.manners.leavesOut = { $0.place == missing.place }
    let house = try await House(chain)
    try await house.catchUp(mode: .off)
    #expect(try await house.balance(alice) == "0 30 0 0")
    try await house.catchUp(mode: .all)
    #expect(try await house.balance(alice) == "40 0 0 0")
    #expect(try await house.balance(bob) == "20 0 0 0")
    #expect(try await house.status.omissionsDetected == 1)
    #expect(
      try await house.ledger.text(
        "SELECT ordinal, amount FROM credits.chain_event ORDER BY log_index") == "0 10\n1 20\n2 30")
  }

  /// What an endpoint once said of a block must not come back with the block and be taken for proven.
  @Test func `a forged amount does not come back with its block`() async throws {
    let chain = SimulatedChain(blocks: 5)
    chain.finalized = 3
    chain.mine(Transaction("d").deposit(alice, 10))
    let real = chain.log(block: 5, index: 1)
    chain.manners.leavesOut = { $0.place == real.place }
    chain.manners.forges = [
      ChainLog(
        log: Log(
          address: real.log.address, topics: real.log.topics,
          data: UInt256(1_000).bigEndianBytes), place: real.place)
    ]
    let house = try await House(chain)
    try await house.catchUp(mode: .off)
    #expect(try await house.balance(alice) == "0 1000 0 0")
    chain.manners = SimulatedChain.Manners()
    chain.drop(1)
    chain.mine(salt: "b")
    try await house.catchUp(mode: .off)
    chain.drop(1)
    chain.mine(Transaction("d").deposit(alice, 10))
    chain.mine(blocks: 2)
    chain.finalized = 7
    await #expect(throws: (any Error).self) { try await house.catchUp(mode: .all) }
    #expect(try await house.balance(alice) == "0 0 0 0")
  }

  /// The walk saw one fork, the proof another: that is a fork to walk again, not a lie to halt for.
  @Test func `a reorg while scanned blocks are proven halts nothing`() async throws {
    let chain = SimulatedChain(blocks: 5)
    chain.mine(Transaction("d").deposit(alice, 10))
    chain.mine()
    let house = try await House(chain)
    try await house.catchUp(mode: .off)
    chain.manners.before = once(before: "hash") { chain in
      chain.drop(2)
      chain.mine(salt: "b")
      chain.mine(Transaction("d").deposit(alice, 7), salt: "b")
      chain.mine(salt: "b")
    }
    for _ in 0..<5 { try await house.catchUp(mode: .all) }
    #expect(try await house.balance(alice) == "0 7 0 0")
    chain.finalized = 7
    try await house.catchUp(mode: .all)
    #expect(try await house.balance(alice) == "7 0 0 0")
  }

  /// Walks end at the highest stored block: a scan that put another fork's blocks on top would hide the one below for ever.
  @Test func `a reorg between the walk and a scan is walked by the next step`() async throws {
    let chain = SimulatedChain(blocks: 3)
    chain.mine(Transaction("d").deposit(alice, 10))
    let house = try await House(chain)
    try await house.catchUp(mode: .off)
    chain.mine(blocks: 2)
    chain.manners.before = once(before: "logs") { chain in
      chain.drop(3)
      chain.mine(Transaction("d").deposit(alice, 7), salt: "b")
      chain.mine(blocks: 2, salt: "b")
    }
    for _ in 0..<4 { try await house.catchUp(mode: .off) }
    #expect(try await house.balance(alice) == "0 7 0 0")
    chain.finalized = 5
    for _ in 0..<4 { try await house.catchUp(mode: .all) }
    #expect(try await house.balance(alice) == "7 0 0 0")
  }

  /// Head and finalized block are two questions: a fork in between leaves a head that is not below what is final.
  @Test func `a final block above the head makes nothing of the head final`() async throws {
    let chain = SimulatedChain(blocks: 3)
    chain.mine(Transaction("d").deposit(alice, 10))
    chain.manners.callsFinal = BlockReference(number: 5, hash: .keccak([1]))
    let house = try await House(chain)
    try await house.catchUp()
    #expect(try await house.balance(alice) == "0 10 0 0")
    #expect(try await house.marks == "3 3 3 0")
  }

  /// Two vaults share their chain's blocks; whichever indexer sees the fork takes back the events of both.
  @Test func `a reorg that one vault's indexer sees is a reorg of every vault of the chain`()
    async throws
  {
    let chain = SimulatedChain(blocks: 5)
    chain.finalized = 3
    let house = try await House(chain)
    let other = try Address([UInt8](repeating: 0x33, count: 20))
    let sql = IndexerSQL(chainID: 1, vault: other)
    try await house.session.transaction { db in
      try sql.registerVault(
        VaultRegistration(
          token: SimulatedChain.token, startBlock: 1, depositEvent: FollowedLogs.defaultDeposit,
          withdrawEvent: FollowedLogs.defaultWithdraw, startUnchecked: false), db)
    }
    let followed = try FollowedLogs(vault: other, token: SimulatedChain.token)
    func follow() async throws {
      var sync = ChainSync(
        followed: followed, source: chain, connection: house.session, chainID: 1)
      for _ in 0..<100 { if case .current = try await sync.step() { return } }
    }
    chain.mine(Transaction("d").event("Deposit(address,uint256)", alice, 10, at: other))
    chain.mine(blocks: 2)
    try await house.catchUp()
    try await follow()
    #expect(try await house.balance(alice) == "0 10 0 0")
    chain.drop(3)
    chain.mine(blocks: 4, salt: "b")
    try await house.catchUp()
    #expect(try await house.balance(alice) == "0 0 0 0")
    chain.finalized = 8
    try await house.catchUp()
    try await follow()
    #expect(try await house.balance(alice) == "0 0 0 0")
    #expect(
      try await house.ledger.text("SELECT scanned_to, proven_to FROM credits.watermark")
        == "8 8\n8 8")
  }

  /// Mines, forks, finalizes and lies by omission before any request, restarts in any mode; then leaves the chain alone.
  @Test(arguments: 0..<6)
  func `whatever a chain does meanwhile, the ledger ends as its last state says`(
    run: Int
  ) async throws {
    let seed =
      ProcessInfo.processInfo.environment["CHAIN_SEED"].flatMap(UInt64.init)
      ?? .random(in: 0 ... .max)
    print("CHAIN_SEED=\(seed)")
    let random = Mutex(SeededRandom(seed: seed))
    @Sendable func dice(_ sides: Int) -> Int {
      random.withLock { Int.random(in: 0..<sides, using: &$0) }
    }
    let chain = SimulatedChain(blocks: 3)
    let users = (1...4).map(SimulatedChain.user)
    // Transactions keep their hashes when they are mined again, sometimes with another outcome.
    let mined = Mutex(0)
    @Sendable func block() -> [Transaction] {
      (0..<dice(3)).map { _ in
        let count = mined.withLock {
          $0 += 1
          return $0
        }
        let isAgain = dice(3) == 0
        var transaction = Transaction("t\(isAgain ? dice(count) : count)")
        for _ in 0...dice(3) {
          let user = users[dice(users.count)]
          transaction =
            switch dice(8) {
            case 0...3: transaction.deposit(user, UInt64(dice(100)))
            case 4...5: transaction.withdraw(user, UInt64(dice(50)))
            case 6: transaction.charged(user, UInt64(dice(5)), total: 9)
            default: transaction.paid(user, UInt64(dice(5)), total: 9)
            }
        }
        return transaction
      }
    }
    @Sendable func live(_ chain: SimulatedChain) {
      switch dice(12) {
      case 0...1: chain.mineOnce(block(), salt: "\(dice(1_000_000))")
      case 2:
        let depth = dice(Int(min(5, chain.head - chain.finalized)) + 1)
        guard depth > 0 else { return }
        let old = chain.drop(depth)
        // Sometimes the old fork comes back, sometimes a part of it on top of something new.
        if dice(3) == 0 { chain.mineOnce(block(), salt: "\(dice(1_000_000))") }
        if dice(2) == 0 {
          for block in old { chain.mineOnce(block.transactions, salt: block.salt) }
        }
        for _ in 0...dice(3) { chain.mineOnce(block(), salt: "\(dice(1_000_000))") }
      case 3: chain.finalized = min(chain.head, chain.finalized + UInt64(dice(4)))
      case 4: chain.manners.hasReceipts.toggle()
      case 5:
        let salt = dice(1_000)
        chain.manners.leavesOut = { ($0.place.index &+ UInt32(salt)) % 3 == 0 }
      case 6: chain.manners.leavesOut = { _ in false }
      case 7: chain.manners.agrees.toggle()
      default: return
      }
    }
    let house = try await House(chain)
    for _ in 0..<12 {
      chain.manners.before = { chain, _ in live(chain) }
      chain.manners.livesFor = 1 + dice(40)
      let modes: [ProofMode] = [.off, .head, .all, .all]
      do { _ = try await house.catchUp(mode: modes[dice(4)]) } catch is SimulatedChain.Killed {
      } catch is ChainFault {}
      let negative = try await house.ledger.text(
        "SELECT account FROM credits.balance WHERE spendable < 0 OR pending < 0 OR debt < 0")
      #expect(negative == "", "seed \(seed)")
    }
    chain.manners = SimulatedChain.Manners()
    // A chain that is shorter than what was seen of it is a stale endpoint, and is waited for.
    chain.mine(blocks: 20)
    chain.finalized = chain.head
    var obstacle = try await house.catchUp()
    for _ in 0..<3 where obstacle != nil { obstacle = try await house.catchUp() }
    #expect(obstacle == nil, "seed \(seed)")

    let undisturbed = try await House(chain)
    try await undisturbed.catchUp()
    let wanted = try await (undisturbed.live, undisturbed.money)
    #expect(try await house.live == wanted.0, "seed \(seed)")
    #expect(try await house.money == wanted.1, "seed \(seed)")
  }
}

extension ChainSyncTests.House {
  fileprivate var live: String {
    get async throws {
      try await ledger.text(
        "SELECT kind, account, amount, block_hash, log_index, ordinal, status, proven FROM credits.chain_event WHERE status <> 'orphaned' ORDER BY block_number, log_index"
      )
        + ledger.text(
          "SELECT sender, recipient, amount, block_hash, log_index, proven FROM credits.token_transfer WHERE orphaned_at IS NULL ORDER BY block_number, log_index"
        ) + ledger.text("SELECT * FROM credits.coverage ORDER BY subject, proof")
    }
  }
  fileprivate var money: String {
    get async throws {
      try await ledger.text(
        "SELECT account, spendable - debt, pending, unsettled FROM credits.balance WHERE (spendable, debt, pending, unsettled) <> (0, 0, 0, 0) ORDER BY account"
      ) + ledger.text("SELECT payee, paid FROM credits.payee ORDER BY payee")
        + ledger.text(
          "SELECT account, sum(amount) FROM credits.posting GROUP BY account HAVING sum(amount) <> 0 ORDER BY account"
        )
    }
  }
}

/// What happens to a chain before the first request of a method, and not again.
private func once(
  before method: String, _ change: @escaping @Sendable (SimulatedChain) -> Void
) -> @Sendable (SimulatedChain, String) -> Void {
  let isDone = Atomic(false)
  return { chain, asked in
    guard asked == method, !isDone.exchange(true, ordering: .relaxed) else { return }
    change(chain)
  }
}
