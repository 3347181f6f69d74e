import Credits
import Ethereum
import Ledger
import Postgres
import Testing

@testable import Settler

/// The rules of 0008 that hold for every caller, whatever the settler does.
@Suite struct SettlementSQLTests {
  typealias House = SettlementHouse

  private func refusal(_ house: House, _ sql: String) async -> String? {
    do {
      try await house.db.script(sql)
      return nil
    } catch {
      return error.sqlState
    }
  }

  /// A charge that is mined in a final block, as the ledger and the chain have it; not yet said by the settler.
  private func mined(
    _ body: @Sendable (House, _ row: TransactionRow, _ place: String) async throws -> Void
  ) async throws {
    try await House.approved { house in
      house.clock.tick.withLock { $0 = nil }
      _ = try await house.settle(waits: 1)
      try await house.settleBlocks()
      let row = try #require(try await house.transactions().first)
      let block = house.chain.block(house.chain.head)
      try await body(
        house, row,
        "p_hash => \(House.sql(try #require(row.hash))), p_block => \(block.number), p_block_hash => \(House.sql(block.hash))"
      )
    }
  }

  @Test func `an outcome is one of four, of a hash of ours, in a block that is proven and final`()
    async throws
  {
    try await mined { house, row, place in
      func outcome(_ state: String, _ place: String) async -> String? {
        await refusal(
          house, "SELECT credits.transaction_outcome(\(row.id), '\(state)', \(place))")
      }
      #expect(await outcome("signed", place) == "22023")
      #expect(await outcome("sent", place) == "22023")
      #expect(await outcome("final", "p_hash => sha256('x')") == "22023")
      #expect(
        await outcome("final", place.replacing("p_block => ", with: "p_block => 1000")) == "55000")
      #expect(await outcome("mined", "p_hash => NULL") == "23514")
      #expect(await outcome("final", place) == nil)
      // For good.
      #expect(await outcome("final", place) == nil)
      #expect(await outcome("unknown", "p_hash => NULL") == "55000")
      #expect(await outcome("reverted", place) == "55000")
    }
  }

  @Test(arguments: ["0.5", "'NaN'", "'Infinity'", "-1"])
  func `no fraction of a wei, and no NaN, is paid or bid`(amount: String) async throws {
    try await House.approved { house in
      for values in ["\(amount), 1, 2", "1, \(amount), 2", "1, 1, \(amount)"] {
        let parts = values.split(separator: ", ")
        #expect(
          await refusal(
            house,
            """
            SELECT credits.waterfall_store((SELECT manifest FROM credits.manifest), 1, sha256('b'), \(parts[2])::numeric,
              ARRAY[decode(repeat('e1', 20), 'hex')], ARRAY[\(parts[0])::numeric], ARRAY[\(parts[1])::numeric], ARRAY[0])
            """) == "22003", "\(values)")
      }
    }
    try await mined { house, row, _ in
      guard amount != "0.5" else { return }
      let refused = await refusal(
        house,
        "SELECT credits.attempt_store(\(row.id), 'charge', sha256('x'), 'x', \(amount), \(amount))"
      )
      #expect(refused != nil, "a fee of \(amount)")
    }
  }

  @Test func `a transaction that left events did not revert`() async throws {
    try await mined { (house, row, place) async throws in
      #expect(
        await refusal(
          house, "SELECT credits.transaction_outcome(\(row.id), 'reverted', \(place))") == "XX001")
      #expect(try await house.transactions().map(\.state) == [.sent])
    }
  }

  @Test func `an epoch is finished when every payout is final, not before`() async throws {
    try await mined { house, row, place in
      #expect(await refusal(house, "SELECT credits.epoch_finish(1)") == "55000")
      house.chain.change { $0.minesTransactions = false }
      _ = try await house.settle(waits: 1)
      #expect(try await house.state() == .paying)
      #expect(try await house.transactions().map(\.kind) == ["charge", "pay"])
      #expect(await refusal(house, "SELECT credits.epoch_finish(1)") == "55000")
      #expect(await refusal(house, "SELECT credits.epoch_cancel(1, 'no')") == "55000")
    }
  }

  @Test func `an epoch with signed bytes is not cancelled and not planned again`() async throws {
    try await House.approved { house in
      house.chain.change { $0.minesTransactions = false }
      _ = try await house.settle(waits: 1)
      #expect(await refusal(house, "SELECT credits.epoch_cancel(1, 'no')") == "55000")
      await #expect(throws: PostgresError.self) {
        try await house.plan(1, perTransaction: 5, again: true)
      }
    }
  }

  @Test func `planning again voids the approvals, and a cancelled epoch's plan is no plan`()
    async throws
  {
    try await House.approved { house in
      let first = try #require(try await house.reader(house.db).manifest(of: 1)).hash
      try await house.plan(1, perTransaction: 5, again: true)
      #expect(try await house.state() == .planned)
      let second = try #require(try await house.reader(house.db).manifest(of: 1)).hash
      #expect(second != first)
      #expect(try await house.reader(house.db).approvals(of: second).isEmpty)
      // The old plan is approved no more.
      #expect(
        await refusal(
          house,
          "SELECT credits.approval_store(\(House.sql(first)), \(House.sql(Keys.approvers[2].address)), decode(repeat('00', 65), 'hex'), true)"
        ) == "55000")
      try await SettlerSQL(connection: house.db).cancel(1, reason: "no")
      #expect(try await house.reader(house.db).manifest(of: 1) == nil)
      #expect(try await house.state() == .cancelled)
      await #expect(throws: PostgresError.self) { try await house.plan(1) }
    }
  }

  /// The approval waits for the lock that planning again holds; when it gets it, its manifest is no longer current.
  @Test func `an approval that races with planning again does not approve the new plan`()
    async throws
  {
    try await House.approved { house in
      let first = try #require(try await house.reader(house.db).manifest(of: 1))
      let again = try await house.manifest(1, perTransaction: 5)
      let planner = try await house.database.connect()
      try await planner.script("BEGIN")
      try await SettlerSQL(connection: planner).storePlan(
        again, planner: Keys.planner.address,
        signature: Plan(again).signed(by: Keys.planner).bytes, again: true)
      let approver = try await house.database.connect()
      let backend = try await approver.one("SELECT pg_backend_pid() AS pid").int64("pid")
      async let late: Void = SettlerSQL(connection: approver).storeApproval(
        first.hash, approver: Keys.approvers[2].address,
        signature: Approval(try first.decoded()).signed(by: Keys.approvers[2]).bytes,
        complete: true)
      while try await house.db.one(
        "SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' AS waits FROM pg_stat_activity WHERE pid = \(backend)"
      ).bool("waits") == false { await Task.yield() }
      try await planner.script("COMMIT")
      do {
        try await late
        Issue.record("the plan it approves was superseded")
      } catch let error as PostgresError {
        #expect(error.sqlState == "55000")
      }
      #expect(try await house.state() == .planned)
    }
  }

  @Test func `a payload has one nonce, the ledger's next, while the epoch asks for it`()
    async throws
  {
    try await House.approved { house in
      house.chain.change { $0.minesTransactions = false }
      _ = try await house.settle(waits: 1)
      let manifest = try #require(try await house.reader(house.db).manifest(of: 1)).hash
      func store(_ kind: String, _ chunk: Int, nonce: Int) async -> String? {
        await refusal(
          house,
          """
          SELECT credits.transaction_store(\(House.sql(manifest)), '\(kind)', \(chunk), \(ScriptedVault.chainID),
            \(House.sql(Keys.settler.address)), \(nonce), \(House.sql(ScriptedVault.vault)), 0, '\\x01', 21000,
            sha256('\(kind)\(chunk)\(nonce)'), '\\x02', 2, 1)
          """)
      }
      #expect(await store("charge", 0, nonce: 1) == "23505")
      #expect(await store("charge", 1, nonce: 0) == "55000")
      #expect(await store("charge", 1, nonce: 2) == "55000")
      #expect(await store("pay", 0, nonce: 1) == "55000")
      #expect(await store("charge", 1, nonce: 1) == nil)
    }
  }

  @Test func `a replacement raises both fees`() async throws {
    try await House.approved { house in
      house.chain.change { $0.minesTransactions = false }
      _ = try await house.settle(waits: 1)
      let row = try #require(try await house.transactions().first)
      let fees = row.attempts[0].fees
      func store(_ fee: UInt256, _ tip: UInt256) async -> String? {
        await refusal(
          house,
          "SELECT credits.attempt_store(\(row.id), 'charge', sha256('\(fee)'), '\\x01', \(fee), \(tip))"
        )
      }
      let more = try fees.maxFeePerGasWei.adding(.one)
      let tip = fees.priorityFeePerGasWei
      #expect(await store(more, tip) == "22023")
      #expect(await store(fees.maxFeePerGasWei, try tip.adding(.one)) == "22023")
      #expect(await store(more, try tip.adding(.one)) == nil)
    }
  }
}
