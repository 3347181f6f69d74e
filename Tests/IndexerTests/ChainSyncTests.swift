import Ethereum
import Postgres
import Testing

@testable import Indexer

/// The loop against a real PostgreSQL and a chain in memory.
@Suite struct ChainSyncTests {
  typealias Transaction = SimulatedChain.Transaction
  private let alice = SimulatedChain.user(1)
  private let bob = SimulatedChain.user(2)
  private let operator1 = SimulatedChain.user(9)

  /// A registered vault whose history starts at block 1, and what follows it.
  struct House {
    let ledger: TestLedger
    let chain: SimulatedChain
    let session: PostgresConnection

    init(_ chain: SimulatedChain) async throws {
      self.chain = chain
      ledger = try await TestLedgers.shared.make()
      session = try await ledger.asIndexer()
      let sql = IndexerSQL(chainID: 1, vault: SimulatedChain.vault)
      try await session.transaction { db in
        try sql.registerVault(
          VaultRegistration(
            token: SimulatedChain.token, startBlock: 1, depositEvent: FollowedLogs.defaultDeposit,
            withdrawEvent: FollowedLogs.defaultWithdraw, startUnchecked: false), db)
      }
    }

    func sync(mode: ProofMode = .all, chooser: RangeChooser = RangeChooser()) -> ChainSync {
      ChainSync(
        followed: SimulatedChain.follows, source: chain, connection: session, chainID: 1,
        mode: mode,
        chooser: chooser)
    }

    /// Steps until nothing is left to do or it has to wait.
    @discardableResult
    func catchUp(mode: ProofMode = .all, chooser: RangeChooser = RangeChooser()) async throws
      -> ChainSync.Reason?
    {
      var sync = sync(mode: mode, chooser: chooser)
      for _ in 0..<1_000 {
        switch try await sync.step() {
        case .current: return nil
        case .waiting(.cannotProve): continue
        case .waiting(let reason): return reason
        case .stored, .orphaned: continue
        }
      }
      return nil
    }

    func balance(_ account: Address) async throws -> String {
      try await ledger.text(
        "SELECT spendable, pending, debt, unsettled FROM credits.balance WHERE account = '\\x\(Hex.digits(account.bytes))'"
      )
    }

    var marks: String {
      get async throws {
        try await ledger.text(
          "SELECT head, scanned_to, proven_to, finalized_to FROM credits.watermark")
      }
    }

    var status: IndexerStatus {
      get async throws {
        try await session.transaction { db in try IndexerSQL.status(chainID: nil, vault: nil, db) }
      }
    }

    /// Every table the indexer fills, without ids and times.
    var everything: String {
      get async throws {
        var text = ""
        for query in [
          "SELECT kind, account, amount, total, block_number, block_hash, tx_hash, log_index, ordinal, status, proven FROM credits.chain_event ORDER BY block_number, block_hash, log_index",
          "SELECT sender, recipient, amount, block_number, block_hash, log_index, proven, orphaned_at IS NULL FROM credits.token_transfer ORDER BY block_number, block_hash, log_index",
          "SELECT number, hash, orphaned_at IS NULL FROM credits.block ORDER BY number, hash",
          "SELECT subject, proof, blocks FROM credits.coverage ORDER BY 1, 2, 3",
          "SELECT account, spendable, held, unsettled, debt, pending FROM credits.balance ORDER BY account",
          "SELECT payee, paid FROM credits.payee ORDER BY payee",
          "SELECT account, sum(amount) FROM credits.posting GROUP BY account ORDER BY account",
          "SELECT head, scanned_to, proven_to, finalized_to, omissions_detected FROM credits.watermark",
        ] { text += try await ledger.text(query) + "\n\n" }
        return text
      }
    }
  }

  /// A history with every kind of event, 40 blocks, final up to 30.
  private func history() -> SimulatedChain {
    let chain = SimulatedChain(blocks: 3)
    chain.mine(
      Transaction("d1").deposit(alice, 100), Transaction("d2").deposit(bob, 50).deposit(bob, 5))
    chain.mine(blocks: 5)
    chain.mine(Transaction("w1").withdraw(alice, 30))
    chain.mine(Transaction("gift").transfer(operator1, SimulatedChain.vault, 7))
    chain.mine(Transaction("c1").charged(alice, 20, total: 20).charged(bob, 5, total: 5))
    chain.mine(Transaction("p1").paid(operator1, 25, total: 25))
    chain.mine(blocks: 20)
    chain.mine(Transaction("d3").deposit(alice, 1_000))
    chain.mine(blocks: 6)
    chain.finalized = 30
    return chain
  }

  @Test
  func
    `what is proven below the finality of before is applied, also when nobody says what is final now`()
    async throws
  {
    let chain = history()
    let house = try await House(chain)
    chain.manners.hasReceipts = false
    try await house.catchUp()
    #expect(try await house.balance(alice) == "0 1100 0 0")
    // No block has this number, so the tip names none that is final.
    chain.finalized = 1_000
    chain.manners.hasReceipts = true
    try await house.catchUp()
    #expect(try await house.marks == "39 39 39 30")
    #expect(try await house.balance(alice) == "70 1000 0 -20")
  }

  @Test func `a whole history is followed, and credited up to finality only`() async throws {
    let house = try await House(history())
    #expect(try await house.catchUp() == nil)
    #expect(try await house.marks == "39 39 39 30")
    #expect(try await house.balance(alice) == "70 1000 0 -20")
    #expect(try await house.balance(bob) == "55 0 0 -5")
    let status = try await house.status
    #expect(status.deposits == .init(count: 4, sum: "1155"))
    #expect(status.withdrawals == .init(count: 1, sum: "30"))
    #expect(status.charged == "25" && status.paid == "25" && status.omissionsDetected == 0)
    #expect(try await house.ledger.text("SELECT amount FROM credits.unattributed_transfer") == "7")

    house.chain.finalized = 39
    #expect(try await house.catchUp() == nil)
    #expect(try await house.balance(alice) == "1070 0 0 -20")
  }

  @Test func `several events of one transaction get ordinals in their order`() async throws {
    let house = try await House(history())
    try await house.catchUp()
    #expect(
      try await house.ledger.text(
        "SELECT ordinal, amount FROM credits.chain_event WHERE block_number = 3 ORDER BY log_index")
        == "0 100\n0 50\n1 5")
  }

  @Test func `nothing is credited that is only scanned`() async throws {
    let house = try await House(history())
    try await house.catchUp(mode: .off)
    #expect(try await house.marks == "39 39 0 30")
    #expect(try await house.balance(alice) == "0 1100 0 0")
    #expect(house.chain.requests("receipts") == 0)

    try await house.catchUp(mode: .all)
    #expect(try await house.marks == "39 39 39 30")
    #expect(try await house.balance(alice) == "70 1000 0 -20")
  }

  @Test func `without receipts scanning goes on and crediting waits until there are some`()
    async throws
  {
    let house = try await House(history())
    house.chain.manners.hasReceipts = false
    var sync = house.sync()
    for _ in 0..<10 { _ = try await sync.step() }
    #expect(try await house.marks == "39 39 0 30")
    #expect(try await house.balance(alice) == "0 1100 0 0")
    house.chain.manners.hasReceipts = true
    try await house.catchUp()
    #expect(try await house.balance(alice) == "70 1000 0 -20")
  }

  @Test(arguments: [1, 2, 7, 39]) func `the range limit of an endpoint changes nothing`(
    most: UInt64
  ) async throws {
    let plain = try await House(history())
    try await plain.catchUp(mode: .off)
    let limited = try await House(history())
    limited.chain.manners.mostBlocks = most
    try await limited.catchUp(mode: .off, chooser: RangeChooser(initial: 1_000))
    let events =
      "SELECT kind, amount, log_index FROM credits.chain_event ORDER BY block_number, log_index"
    let wanted = try await (plain.ledger.text(events), plain.marks)
    #expect(try await limited.ledger.text(events) == wanted.0)
    #expect(try await limited.marks == wanted.1)
  }

  @Test func `a log that eth_getLogs leaves out is taken from the receipts and counted`()
    async throws
  {
    let house = try await House(history())
    let missing = house.chain.log(block: 3, index: 1)
    house.chain.manners.leavesOut = { $0.place == missing.place }
    try await house.catchUp()
    #expect(try await house.status.omissionsDetected == 1)
    #expect(try await house.balance(alice) == "70 1000 0 -20")
  }

  @Test func `an endpoint that answers no logs at all is found out when what it left is proven`()
    async throws
  {
    let house = try await House(history())
    house.chain.manners.leavesOut = { _ in true }
    try await house.catchUp(mode: .off)
    #expect(try await house.status.deposits.count == 0)
    try await house.catchUp(mode: .all)
    #expect(try await house.status.deposits.count == 4)
    // Nine events and transfers of nine: d1, d2 twice, w1, the gift, c1 twice, p1, d3.
    #expect(try await house.status.omissionsDetected > 8)
    #expect(try await house.balance(alice) == "70 1000 0 -20")
  }

  @Test func `a forged log is refused: another endpoint is asked, and without one it ends`()
    async throws
  {
    let house = try await House(history())
    let real = house.chain.log(block: 3, index: 1)
    house.chain.manners.forges = [
      ChainLog(
        log: Log(
          address: real.log.address, topics: real.log.topics,
          data: UInt256(999_999).bigEndianBytes),
        place: LogPlace(block: real.place.block, transaction: Hash32.keccak([1]), index: 40))
    ]
    house.chain.endpoints = ["one", "two"]
    try await house.catchUp()
    #expect(try await house.balance(alice) == "70 1000 0 -20")
    #expect(house.chain.endpoints == ["two"])

    let alone = try await House(history())
    alone.chain.manners.forges = house.chain.manners.forges
    await #expect(throws: ChainFault.self) { try await alone.catchUp() }
    #expect(try await alone.balance(alice) == "")
  }

  @Test func `a withdrawal beyond the balance becomes debt, and the next deposit repays it`()
    async throws
  {
    let chain = SimulatedChain(blocks: 2)
    chain.mine(Transaction("d").deposit(alice, 10))
    chain.mine(blocks: 3)
    chain.finalized = 4
    let house = try await House(chain)
    try await house.catchUp()
    #expect(try await house.balance(alice) == "10 0 0 0")
    chain.mine(Transaction("w").withdraw(alice, 25))
    try await house.catchUp()
    #expect(try await house.balance(alice) == "0 0 15 0")
    chain.mine(Transaction("d2").deposit(alice, 40))
    chain.mine()
    chain.finalized = 7
    try await house.catchUp()
    #expect(try await house.balance(alice) == "25 0 0 0")
  }

  @Test(arguments: [false, true])
  func `a deposit that is mined again is credited once, with the live amount`(restart: Bool)
    async throws
  {
    let chain = SimulatedChain(blocks: 10)
    chain.finalized = 8
    let house = try await House(chain)
    var sync = house.sync()
    while case .stored = try await sync.step() {}
    chain.mine(Transaction("d").deposit(alice, 100))
    chain.mine(Transaction("w").withdraw(alice, 1))
    while case .stored = try await sync.step() {}
    #expect(try await house.balance(alice) == "0 100 1 0")

    chain.drop(2)
    chain.mine(salt: "b")
    chain.mine(Transaction("d").deposit(alice, 70), salt: "b")
    chain.mine(salt: "b")
    if restart { sync = house.sync() }
    guard case .orphaned(from: 10, events: 2) = try await sync.step() else {
      Issue.record("the fork was not seen")
      return
    }
    #expect(try await house.balance(alice) == "0 0 0 0")
    while case .stored = try await sync.step() {}
    #expect(try await house.balance(alice) == "0 70 0 0")
    chain.finalized = 12
    try await house.catchUp()
    #expect(try await house.balance(alice) == "70 0 0 0")
    let status = try await house.status
    #expect(
      status.reorgs == 1 && status.orphaned == 2 && status.deposits == .init(count: 1, sum: "70"))
  }

  @Test func `a block that comes back after a reorg counts again, once`() async throws {
    let chain = SimulatedChain(blocks: 10)
    chain.finalized = 8
    let house = try await House(chain)
    chain.mine(Transaction("d").deposit(alice, 100))
    try await house.catchUp()
    chain.drop(1)
    chain.mine(salt: "b")
    try await house.catchUp()
    #expect(try await house.balance(alice) == "0 0 0 0")
    chain.drop(1)
    chain.mine(Transaction("d").deposit(alice, 100))
    try await house.catchUp()
    #expect(try await house.balance(alice) == "0 100 0 0")
    #expect(try await house.status.orphaned == 0)
  }

  @Test func `a reorg below finality halts and changes nothing`() async throws {
    let chain = SimulatedChain(blocks: 10)
    chain.mine(Transaction("d").deposit(alice, 100))
    chain.mine(blocks: 3)
    chain.finalized = 12
    let house = try await House(chain)
    try await house.catchUp()
    let before = try await house.everything
    chain.drop(5)
    chain.mine(blocks: 8, salt: "b")
    await #expect(throws: IndexerHalt.self) { try await house.catchUp() }
    #expect(try await house.everything == before)
  }

  @Test func `a stale endpoint or no quorum rolls nothing back`() async throws {
    let house = try await House(history())
    try await house.catchUp()
    let before = try await house.everything
    house.chain.drop(5)
    #expect(try await house.catchUp() == .behind(head: 34))
    house.chain.manners.agrees = false
    #expect(try await house.catchUp() == .noHead)
    #expect(try await house.everything == before)
  }

  @Test func `killed after any number of requests and started again it ends as if undisturbed`()
    async throws
  {
    let undisturbed = try await House(history())
    undisturbed.chain.finalized = 39
    try await undisturbed.catchUp()
    let wanted = try await undisturbed.everything
    for lives in 1...14 {
      let house = try await House(history())
      house.chain.finalized = 39
      var deaths = 0
      while true {
        house.chain.manners.livesFor = lives + deaths
        do {
          try await house.catchUp()
          break
        } catch is SimulatedChain.Killed { deaths += 1 }
      }
      #expect(deaths > 0 || lives > 10)
      #expect(try await house.everything == wanted, "after \(deaths) deaths")
    }
  }

  @Test func `a second indexer of the chain is refused`() async throws {
    let house = try await House(history())
    let first = try await house.ledger.asIndexer()
    let second = try await house.ledger.asIndexer()
    try await first.script("BEGIN; \(IndexerSQL.lockSingleWriter(chainID: 1))")
    do {
      try await second.script("BEGIN; \(IndexerSQL.lockSingleWriter(chainID: 1))")
      Issue.record("two indexers hold the lock")
    } catch {
      #expect(error.sqlState == "55P03")
    }
  }

  @Test func `sync ends when its block is reached, and says not yet when time is up before`()
    async throws
  {
    let house = try await House(history())
    var sync = house.sync()
    let run = SyncRun(clock: ContinuousClock(), poll: .milliseconds(5)) { _ in }
    #expect(try await run.sync(&sync, to: .block(12), within: .seconds(30)) == .done)
    #expect(try await house.marks == "39 12 12 30")
    #expect(try await run.sync(&sync, to: .latest, within: .seconds(30)) == .done)
    #expect(try await house.marks == "39 39 39 30")
    guard case .notYet = try await run.sync(&sync, to: .block(50), within: .milliseconds(50)) else {
      Issue.record("a block that does not exist was reached")
      return
    }
    house.chain.manners.isUnreachable = true
    guard case .notYet(let why) = try await run.sync(&sync, to: .latest, within: .milliseconds(50))
    else {
      Issue.record("an unreachable chain was followed")
      return
    }
    #expect(why.contains("connection refused"))
  }
}
