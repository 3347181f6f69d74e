import Credits
import Ethereum
import Ledger
import Testing

@testable import Settler

@Suite struct SettlementRunTests {
  typealias House = SettlementHouse

  /// 1,000 wei of gross: 85 % to operators by their work, 10 % treasury, 5 % infrastructure.
  static let due: [Address: UInt64] = [
    House.operator1: 510, House.operator2: 340, House.treasury: 100, House.infrastructure: 50,
  ]

  /// The scripted vault's own books say that everyone got exactly what is due, once.
  static func expectPaidOnce(_ house: House) {
    #expect(house.chain.state.paid == due)
    #expect(house.chain.state.payments == due.mapValues { _ in 1 })
    #expect(house.chain.state.pool == 0)
    #expect(house.chain.state.charged == [House.alice: 600, House.bob: 400])
  }

  @Test func `an approved epoch is charged, paid and final`() async throws {
    try await House.approved { house in
      #expect(try await house.settle() == .final)
      Self.expectPaidOnce(house)
      #expect(try await house.state() == .final)
      let rows = try await house.transactions()
      #expect(rows.map(\.kind) == ["charge", "pay"])
      #expect(rows.map(\.nonce) == [0, 1])
      #expect(rows.allSatisfy { $0.state == .final })
      // Base fee 1 gwei and tip 0.1 gwei, from header and signed bytes; the endpoint claimed 7 wei.
      #expect(rows.allSatisfy { $0.gasPriceWei == wei(1_100_000_000) })
      #expect(Set(house.chain.sent).count == 2)
      let view = try await EpochView.read(1, house.reader(house.db), required: nil, now: 0)
      #expect(view.carried == .zero)
      #expect(view.charges.collected == wei(1_000))
      #expect(view.waitingFor == nil)
      // Done is done.
      #expect(try await house.settle() == .final)
      #expect(try await house.transactions().count == 2)
    }
  }

  @Test func `more chunks than may be in flight are all sent, in order`() async throws {
    try await House.with { house in
      for user in UInt8(1)...40 { house.chain.deposit(account(user), 10) }
      try await house.settleBlocks()
      for user in UInt8(1)...40 {
        try await house.debit("r\(user)", account(user), 10, node: "n1")
      }
      try await house.close()
      try await house.plan(1, perTransaction: 1)
      try await house.approve(1)
      house.chain.change { $0.minesTransactions = false }
      #expect(try await house.settle(waits: 3) != .final)
      #expect(try await house.transactions().count == SettlementRun.mostInFlight)
      house.chain.change { $0.minesTransactions = true }
      #expect(try await house.settle() == .final)
      let rows = try await house.transactions()
      #expect(rows.count == 40 + 3)
      #expect(rows.map(\.nonce) == Array(0..<43))
      #expect(house.chain.state.paid[House.operator1] == 340)
      #expect(house.chain.state.payments.values.allSatisfy { $0 == 1 })
    }
  }

  @Test func `an epoch without any debit ends in final without a transaction`() async throws {
    try await House.with { house in
      try await house.settleBlocks()
      try await house.close()
      try await house.plan(1)
      try await house.approve(1)
      #expect(try await house.settle() == .final)
      #expect(house.chain.sent.isEmpty)
      #expect(try await house.state() == .final)
    }
  }

  @Test func `users who withdrew first leave an empty pool, and all is carried to the next epoch`()
    async throws
  {
    try await House.approved { house in
      house.chain.withdraw(House.alice, 1_000)
      house.chain.withdraw(House.bob, 400)
      try await house.settleBlocks()
      #expect(try await house.settle() == .final)
      #expect(house.chain.state.paid.isEmpty)
      #expect(try await house.transactions().map(\.kind) == ["charge"])
      #expect(
        try await EpochView.read(1, house.reader(house.db), required: nil, now: 0).carried
          == wei(1_000))

      house.chain.deposit(House.alice, 600)
      house.chain.deposit(House.bob, 400)
      try await house.settleBlocks()
      try await house.close()
      let second = try await house.plan(2)
      #expect(second.gross.isZero)
      #expect(second.payoutsMaxTotal == wei(1_000))
      try await house.approve(2)
      #expect(try await house.settle(2) == .final)
      Self.expectPaidOnce(house)
    }
  }

  @Test func `what a cancelled epoch accrued is paid by the next`() async throws {
    try await House.approved { house in
      let first = try await house.manifest(1)
      try await house.plan(1, perTransaction: 5, again: true)
      try await SettlerSQL(connection: house.db).cancel(1, reason: "wrong split")
      await #expect(throws: SettlerError.noPlan(1)) { try await house.start() }
      try await house.close()
      let second = try await house.plan(2)
      #expect(second.predecessor == nil)
      #expect(second.payoutsMaxTotal == first.payoutsMaxTotal)
      try await house.approve(2)
      #expect(try await house.settle(2) == .final)
      Self.expectPaidOnce(house)
    }
  }

  // MARK: Unknown is a state

  @Test(arguments: [
    ScriptedVault.Sending.losesReply, .refuses("nonce too low"), .refuses("already known"),
    .refuses("insufficient funds for gas * price + value"), .refuses("time-out"),
  ])
  func `an answer that is not acceptance means unknown, and the same bytes are sent again`(
    _ sending: ScriptedVault.Sending
  ) async throws {
    try await House.approved { house in
      house.chain.change {
        $0.sending = sending
        $0.minesTransactions = false
      }
      guard case .timeIsUp = try await house.settle(waits: 3) else {
        Issue.record("it is not over")
        return
      }
      #expect(try await house.transactions().map(\.state) == [.unknown])
      // A restart sends at once, and nothing but what was stored.
      let first = house.chain.sent
      #expect(Set(first).count == 1)
      guard case .timeIsUp = try await house.settle(waits: 1) else { return }
      #expect(house.chain.sent.count > first.count)
      #expect(Set(house.chain.sent) == Set(first))
      house.chain.change {
        $0.sending = .accepts
        $0.minesTransactions = true
      }
      #expect(try await house.settle() == .final)
      Self.expectPaidOnce(house)
      #expect(try await house.transactions().map(\.attempts.count) == [1, 1])
    }
  }

  @Test func `endpoints that are away are waited for`() async throws {
    try await House.approved { house in
      let run = try await house.start()
      house.chain.change { $0.isUnreachable = true }
      guard
        case .timeIsUp(let what) = try await run.run(
          until: .final, deadlineMs: house.clock.nowMs() + 1_000)
      else {
        Issue.record("nothing can be done without a chain")
        return
      }
      #expect(what.contains("connection refused"))
      house.chain.change { $0.isUnreachable = false }
      #expect(try await run.run(until: .final, deadlineMs: nil) == .final)
      Self.expectPaidOnce(house)
    }
  }

  @Test func `an unmined nonce is offered more, with the same content`() async throws {
    try await House.approved { house in
      house.chain.change { $0.minesTransactions = false }
      house.clock.tick.withLock { $0 = nil }
      // 180 seconds of patience are 360 waits.
      _ = try await house.settle(waits: 380)
      house.clock.tick.withLock { $0 = { try await house.tick() } }
      let row = try #require(try await house.transactions().first)
      #expect(row.attempts.count == 2)
      let signed = try row.attempts.map { try SignedTransaction(raw: $0.raw).transaction }
      #expect(signed[0].nonce == signed[1].nonce && signed[0].data == signed[1].data)
      #expect(signed[0].gasLimit == signed[1].gasLimit && signed[0].to == signed[1].to)
      #expect(
        row.attempts[1].fees.maxFeePerGasWei
          >= (try row.attempts[0].fees.maxFeePerGasWei.multiplied(by: 9, dividedBy: 8).quotient))
      house.chain.change { $0.minesTransactions = true }
      #expect(try await house.settle() == .final)
      Self.expectPaidOnce(house)
    }
  }

  // MARK: Reorgs, reverts, foreign transactions

  @Test func `a mined charge that is reorganised away is unknown again and mined again`()
    async throws
  {
    try await House.approved { house in
      house.clock.tick.withLock { $0 = nil }
      _ = try await house.settle(waits: 1)
      house.chain.mine()
      try await house.index(finalized: house.chain.head - 1)
      _ = try await house.settle(waits: 1)
      #expect(try await house.transactions().map(\.state) == [.mined])
      house.chain.change { $0.minesTransactions = false }
      try await house.reorg(1)
      house.chain.mine(salt: "fork")
      try await house.index(finalized: 1)
      _ = try await house.settle(waits: 1)
      #expect(try await house.transactions().map(\.state) == [.unknown])
      house.chain.change { $0.minesTransactions = true }
      house.clock.tick.withLock { $0 = { try await house.tick() } }
      #expect(try await house.settle() == .final)
      Self.expectPaidOnce(house)
    }
  }

  @Test func `a charge that reverted at finality is owed again with a new nonce`() async throws {
    try await House.approved { house in
      house.chain.change { $0.revertsNonces = [0] }
      #expect(try await house.settle() == .final)
      let rows = try await house.transactions()
      #expect(rows.map(\.state) == [.reverted, .final, .final])
      #expect(rows.map(\.nonce) == [0, 1, 2])
      #expect(rows.map(\.kind) == ["charge", "charge", "pay"])
      Self.expectPaidOnce(house)
    }
  }

  @Test func `a payload that always reverts ends at the manifest's limit of transactions`()
    async throws
  {
    try await House.approved(maxTransactions: 4) { (house) async throws in
      house.chain.change { $0.revertsNonces = Set(0..<1_000) }
      await #expect(throws: SettlerError.tooManyTransactions(allowed: 4)) {
        try await house.settle(waits: 1_000)
      }
      #expect(try await house.count("transaction") == 4)
    }
  }

  @Test func `a row that only says reverted earns no second nonce`() async throws {
    try await House.approved { house in
      house.clock.tick.withLock { $0 = nil }
      _ = try await house.settle(waits: 1)
      try await house.settleBlocks()
      let row = try #require(try await house.transactions().first)
      let hash = try #require(row.hash)
      let block = house.chain.block(house.chain.head)
      try await house.tamper(
        """
        UPDATE credits.transaction SET state = 'reverted', outcome_hash = \(House.sql(hash)),
          outcome_block = \(block.number), outcome_block_hash = \(House.sql(block.hash))
        """)
      await #expect(
        throws: SettlerError.alteredTransaction(
          nonce: 0, "is reverted, but succeeded in block \(block.number)")
      ) { try await house.settle() }
      #expect(try await house.count("transaction") == 1)
    }
  }

  @Test func `a nonce that a foreign transaction used halts`() async throws {
    try await House.approved { house in
      house.chain.change { $0.minesTransactions = false }
      _ = try await house.settle(waits: 1)
      let foreign = try Transaction(
        chainID: ScriptedVault.chainID, nonce: 0,
        fees: .dynamic(maxFee: wei(1), priorityFee: wei(1)), gasLimit: 21_000,
        to: account(0x99), value: .zero, data: []
      ).signed(by: Keys.settler)
      house.chain.change {
        $0.foreign = [foreign]
        $0.minesTransactions = true
      }
      do {
        try await house.settle()
        Issue.record("it must halt")
      } catch SettlerError.halted(let why) {
        #expect(why.contains("nonce 0"))
      }
      #expect(house.chain.state.charged.isEmpty)
      #expect(try await house.count("transaction") == 1)
    }
  }

  @Test func `an account whose nonce is ahead of the ledger signs nothing`() async throws {
    try await House.approved { house in
      #expect(try await house.settle() == .final)
      house.chain.change { script in
        script.foreign = (2..<4).map {
          try! Transaction(
            chainID: ScriptedVault.chainID, nonce: $0,
            fees: .dynamic(maxFee: wei(1), priorityFee: wei(1)), gasLimit: 21_000,
            to: account(0x99), value: .zero, data: []
          ).signed(by: Keys.settler)
        }
      }
      try await house.settleBlocks()
      try await house.debit("r3", House.alice, 100, node: "n1")
      try await house.close()
      try await house.plan(2)
      try await house.approve(2)
      let sent = house.chain.sent.count
      await #expect(throws: SettlerError.accountUsedElsewhere(chain: 4, ledger: 2)) {
        try await house.settle(2)
      }
      #expect(house.chain.sent.count == sent)
      #expect(try await house.transactions(2).isEmpty)
    }
  }

  @Test func `a ledger whose totals are below the chain's halts with the list`() async throws {
    try await House.approved { house in
      #expect(try await house.settle() == .final)
      try await house.debit("r3", House.alice, 100, node: "n1")
      try await house.close()
      try await house.plan(2)
      try await house.approve(2)
      // As a backup from before the payments would have it.
      try await house.tamper("DELETE FROM credits.chain_event WHERE kind = 'paid'")
      do {
        _ = try await house.start(2)
        Issue.record("it must halt")
      } catch SettlerError.manifestDiffers(let lines) {
        #expect(lines.contains { $0.contains("\(House.operator1)") })
      }
      try await house.plan(2, again: true)
      try await house.approve(2)
      do {
        _ = try await house.start(2)
        Issue.record("it must halt")
      } catch SettlerError.ledgerDiffersFromChain(_, let lines) {
        #expect(lines.contains("pool(): the ledger has 1000 wei, the chain 0"))
        #expect(
          lines.contains("paidTotal(\(House.operator1)): the ledger has 0 wei, the chain 510"))
      }
      #expect(try await house.transactions(2).isEmpty)
    }
  }

  @Test func `an endpoint that puts our hash at another's receipt is not believed`() async throws {
    try await House.approved { house in
      house.clock.tick.withLock { $0 = nil }
      _ = try await house.settle(waits: 1)
      try await house.settleBlocks()
      // The charge is final; its payment is sent and not mined, and the one endpoint says otherwise.
      house.chain.change { $0.minesTransactions = false }
      _ = try await house.settle(waits: 1)
      let pay = try #require(try await house.transactions().last?.hash)
      house.chain.deposit(House.alice, 5)
      try await house.settleBlocks()
      let block = house.chain.block(house.chain.head)
      house.chain.change {
        $0.claims[pay] = SendState.Inclusion(
          hash: pay, blockNumber: block.number, blockHash: block.hash, gasUsed: 1,
          gasPriceWei: .zero, succeeded: true)
        $0.claimedTransactions[block.hash] = [pay]
      }
      guard case .timeIsUp(let what) = try await house.settle(waits: 1) else {
        Issue.record("nobody was paid")
        return
      }
      #expect(what.contains("proven receipt says otherwise"))
      #expect(try await house.transactions().last?.isDone == false)
    }
  }

  // MARK: Before anything is signed

  @Test func `a base fee above the cap waits and signs nothing`() async throws {
    try await House.approved { house in
      house.chain.change { $0.baseFeeWei = wei(10_000_000_000) }
      guard case .timeIsUp(let what) = try await house.settle(waits: 2) else {
        Issue.record("the cap is the cap")
        return
      }
      #expect(what.contains("base fee"))
      #expect(try await house.count("attempt") == 0)
      // A number that only a broken endpoint says.
      house.chain.change { $0.baseFeeWei = .max }
      guard case .timeIsUp = try await house.settle(waits: 2) else { return }
      house.chain.change { $0.baseFeeWei = wei(1_000_000_000) }
      #expect(try await house.settle() == .final)
      Self.expectPaidOnce(house)
    }
  }

  @Test func `gas money that is missing refuses before a signature`() async throws {
    try await House.approved { house in
      house.chain.change { $0.gasMoneyWei = wei(1) }
      do {
        try await house.settle()
        Issue.record("it cannot be paid for")
      } catch SettlerError.gasMoney(let has, _, let open) {
        #expect(has == wei(1) && open == 1)
      }
      #expect(try await house.count("attempt") == 0)
      #expect(house.chain.sent.isEmpty)
    }
  }

  @Test func `a call that the simulation refuses gets no nonce`() async throws {
    try await House.approved { (house) async throws in
      house.chain.change { $0.refusesSimulation = "execution reverted: paused" }
      await #expect(
        throws: SettlerError.cannotSimulate(
          kind: "charge", chunk: 0, "execution reverted: paused")
      ) { try await house.settle() }
      #expect(try await house.count("transaction") == 0)
      house.chain.change { $0.refusesSimulation = nil }
      #expect(try await house.settle() == .final)
      Self.expectPaidOnce(house)
    }
  }

  @Test func `another chain or another settler of the vault refuses`() async throws {
    try await House.approved { (house) async throws in
      house.chain.change { $0.served = 1 }
      await #expect(
        throws: SettlerError.wrongChain(configured: ScriptedVault.chainID, endpoint: 1)
      ) { try await house.settle() }
      house.chain.change {
        $0.served = ScriptedVault.chainID
        $0.vaultSettler = account(0x99)
      }
      await #expect(
        throws: SettlerError.vaultSettler(
          vault: account(0x99), configured: Keys.settler.address)
      ) { try await house.settle() }
      #expect(try await house.count("attempt") == 0)
    }
  }

  @Test func `a second settler is refused while the first one lives`() async throws {
    try await House.with { house in
      let first = try await SettlerLock.take(
        await Ledger.connect(house.database.url, as: .settler))
      await #expect(throws: SettlerError.anotherSettler) {
        try await SettlerLock.take(await Ledger.connect(house.database.url, as: .settler))
      }
      try await first.release()
      let second = try await SettlerLock.take(
        await Ledger.connect(house.database.url, as: .settler))
      try await second.release()
    }
  }
}
