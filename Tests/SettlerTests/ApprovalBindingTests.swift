import Credits
import Ethereum
import Ledger
import Postgres
import Testing

@testable import Settler

/// I7 against someone with every right on the database and no approver's key: not a byte is signed.
@Suite struct ApprovalBindingTests {
  typealias House = SettlementHouse

  /// Starts a settler after the attack; it must refuse, and neither sign nor send.
  private func refused(
    _ house: House, policy: ApprovalPolicy? = nil, key: PrivateKey = Keys.settler,
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> any Error {
    let attempts = try await house.count("attempt")
    let sent = house.chain.sent.count
    var refusal: (any Error)?
    do {
      let run = try await house.start(policy: policy, key: key)
      _ = try await run.run(until: .final, deadlineMs: house.clock.nowMs() + 5_000)
    } catch {
      refusal = error
    }
    #expect(try await house.count("attempt") == attempts, sourceLocation: sourceLocation)
    #expect(house.chain.sent.count == sent, sourceLocation: sourceLocation)
    return try #require(refusal, sourceLocation: sourceLocation)
  }

  /// The stored plan with a change, as the attacker would store it: consistent hash, current, planner's signature his own.
  private func replacePlan(
    _ house: House, signedBy planner: PrivateKey, _ change: (SettlementFacts) throws -> Manifest
  ) async throws {
    let manifest = try change(try await house.reader(house.db).facts(epoch: 1))
    let plan = try Plan(manifest).signed(by: planner)
    try await house.tamper(
      """
      UPDATE credits.manifest SET superseded_at = now() WHERE epoch = 1;
      INSERT INTO credits.manifest (manifest, epoch, bytes, planner, signature, expires_at)
        VALUES (\(House.sql(manifest.hash)), 1, '\\x\(Hex.digits(manifest.bytes))', \(House.sql(planner.address)),
          '\\x\(Hex.digits(plan.bytes))', to_timestamp(\(manifest.limits.expires)));
      UPDATE credits.epoch SET state = 'approved' WHERE epoch = 1;
      """)
  }

  private func rebuilt(
    _ facts: SettlementFacts, settler: Address = Keys.settler.address, expires: UInt64? = nil,
    chainID: UInt64? = nil, vault: Address? = nil, ledger: Hash32? = nil,
    payees: [SettlementFacts.Payee]? = nil
  ) throws -> Manifest {
    let changed = SettlementFacts(
      ledger: ledger ?? facts.ledger, method: facts.method, chainID: chainID ?? facts.chainID,
      vault: vault ?? facts.vault, token: facts.token, epoch: facts.epoch,
      predecessor: facts.predecessor, plannedAt: facts.plannedAt, split: facts.split,
      gross: facts.gross, totals: facts.totals, users: facts.users,
      payees: payees ?? facts.payees, operatorLines: facts.operatorLines, held: facts.held)
    return try ManifestBuilder.build(
      changed,
      ManifestBuilder.Options(
        settler: settler,
        limits: Manifest.Limits(
          maxTransactions: 60, gasPerTransaction: 2_000_000,
          maxFeePerGasWei: wei(10_000_000_000), chargesPerTransaction: 10,
          paymentsPerTransaction: 10, expires: expires ?? House.expires), minimums: .init()))
  }

  /// The genuine approvals, moved to whatever is the current manifest.
  private static let movesApprovals =
    """
    INSERT INTO credits.approval (manifest, approver, signature)
      SELECT (SELECT manifest FROM credits.manifest WHERE superseded_at IS NULL), approver, signature FROM credits.approval
      ON CONFLICT DO NOTHING
    """

  @Test func `altered manifest bytes`() async throws {
    try await House.approved { house in
      try await house.tamper(
        "UPDATE credits.manifest SET bytes = set_byte(bytes, 100, get_byte(bytes, 100) # 1)")
      guard case .alteredManifest = try await refused(house) as? SettlerError else {
        Issue.record("another reason")
        return
      }
    }
  }

  @Test func `an altered row hash`() async throws {
    try await House.approved { house in
      let other = Hash32.keccak([1])
      try await house.tamper(
        """
        UPDATE credits.manifest SET manifest = \(House.sql(other));
        UPDATE credits.approval SET manifest = \(House.sql(other));
        """)
      guard case .alteredManifest(stored: other, _) = try await refused(house) as? SettlerError
      else {
        Issue.record("another reason")
        return
      }
    }
  }

  @Test func `a state that says approved, without approvals`() async throws {
    try await House.approved { house in
      try await house.tamper("DELETE FROM credits.approval")
      #expect(
        try await refused(house) as? ApprovalError == .notEnough(approved: [], required: 2))
    }
  }

  @Test func `approvals that strangers, planner or settler signed`() async throws {
    for key in [Keys.stranger, Keys.planner, Keys.settler] {
      try await House.approved { house in
        try await house.tamper("DELETE FROM credits.approval")
        // The row may name a real approver; who signed is what counts.
        let manifest = try #require(try await house.reader(house.db).manifest(of: 1)).decoded()
        let signature = try Approval(manifest).signed(by: key)
        try await house.tamper(
          Keys.approvers.map {
            """
            INSERT INTO credits.approval (manifest, approver, signature)
              VALUES (\(House.sql(manifest.hash)), \(House.sql($0.address)), '\\x\(Hex.digits(signature.bytes))');
            """
          }.joined())
        #expect(try await refused(house) as? ApprovalError == .unknownApprover(key.address))
      }
    }
  }

  @Test func `one approver's signature under two names`() async throws {
    try await House.approved { house in
      try await house.tamper(
        "UPDATE credits.approval SET signature = (SELECT signature FROM credits.approval ORDER BY approver LIMIT 1)"
      )
      guard
        case .notEnough(let approved, required: 2) = try await refused(house) as? ApprovalError
      else {
        Issue.record("another reason")
        return
      }
      #expect(approved.count == 1)
    }
  }

  @Test func `a threshold that only tables say is lower`() async throws {
    try await House.approved { house in
      try await house.tamper(
        """
        DELETE FROM credits.approval WHERE approver = (SELECT min(approver::text)::bytea FROM credits.approval);
        DELETE FROM credits.approval WHERE ctid IN (SELECT ctid FROM credits.approval OFFSET 1);
        """)
      guard case .notEnough = try await refused(house) as? ApprovalError else {
        Issue.record("another reason")
        return
      }
    }
  }

  @Test func `a swapped planner or planner's signature`() async throws {
    try await House.approved { house in
      try await house.tamper(
        "UPDATE credits.manifest SET planner = \(House.sql(Keys.stranger.address))")
      #expect(
        try await refused(house) as? ApprovalError
          == .otherPlanner(signed: Keys.planner.address, stated: Keys.stranger.address))
    }
    for (key, expected) in [
      (Keys.settler, ApprovalError.plannerIsSettler(Keys.settler.address)),
      (Keys.approvers[2], .plannerIsApprover(Keys.approvers[2].address)),
    ] {
      try await House.approved { house in
        let manifest = try #require(try await house.reader(house.db).manifest(of: 1)).decoded()
        try await house.tamper(
          """
          UPDATE credits.manifest SET planner = \(House.sql(key.address)),
            signature = '\\x\(Hex.digits(try Plan(manifest).signed(by: key).bytes))'
          """)
        #expect(try await refused(house) as? ApprovalError == expected)
      }
    }
  }

  @Test func `a plan that pays the attacker, planned by the attacker, under the old approvals`()
    async throws
  {
    try await House.approved { house in
      let attacker = account(0x66)
      try await house.tamper(
        """
        UPDATE credits.accrual SET payee = \(House.sql(attacker)) WHERE payee = \(House.sql(House.operator1));
        UPDATE credits.epoch_operator SET operator = \(House.sql(attacker)) WHERE operator = \(House.sql(House.operator1));
        """)
      try await replacePlan(house, signedBy: Keys.stranger) { try rebuilt($0) }
      try await house.tamper(Self.movesApprovals)
      guard case .unknownApprover = try await refused(house) as? ApprovalError else {
        Issue.record("another reason")
        return
      }
    }
  }

  @Test func `accruals that were altered under an approved plan`() async throws {
    for change in [
      "UPDATE credits.accrual SET amount = amount + 1 WHERE role = 'operator'",
      "UPDATE credits.accrual SET payee = '\\x6666666666666666666666666666666666666666' WHERE role = 'treasury'",
      "INSERT INTO credits.accrual VALUES (1, '\\x6666666666666666666666666666666666666666', 'operator', 5)",
      "UPDATE credits.epoch_account SET debits = debits + 1",
      "UPDATE credits.epoch SET gross = gross + 1, treasury = treasury + 1",
      "UPDATE credits.split SET operators_bp = 8400, treasury_bp = 1100",
    ] {
      try await House.approved { house in
        try await house.tamper(change)
        let refusal = try await refused(house)
        switch refusal {
        case SettlerError.manifestDiffers, is BuildError, is TallyError: break
        default: Issue.record("\(change): \(refusal)")
        }
      }
    }
  }

  @Test func `another chain, vault or ledger`() async throws {
    try await House.approved { house in
      try await replacePlan(house, signedBy: Keys.planner) { try rebuilt($0, chainID: 1) }
      guard case .manifestDiffers = try await refused(house) as? SettlerError else {
        Issue.record("another chain")
        return
      }
    }
    try await House.approved { house in
      try await replacePlan(house, signedBy: Keys.planner) { try rebuilt($0, vault: account(9)) }
      guard case .manifestDiffers = try await refused(house) as? SettlerError else {
        Issue.record("another vault")
        return
      }
    }
    // The approvers' own signatures, for a ledger that is not this one.
    try await House.approved { house in
      try await replacePlan(house, signedBy: Keys.planner) {
        try rebuilt($0, ledger: .keccak([7]))
      }
      try await house.approve(1)
      guard case .manifestDiffers(let lines) = try await refused(house) as? SettlerError else {
        Issue.record("another ledger")
        return
      }
      #expect(lines.contains { $0.hasPrefix("ledger: ") })
    }
  }

  @Test func `a plan for another settler, or another key on this host`() async throws {
    try await House.approved { house in
      try await replacePlan(house, signedBy: Keys.planner) {
        try rebuilt($0, settler: Keys.stranger.address)
      }
      try await house.approve(1)
      #expect(
        try await refused(house) as? SettlerError
          == .otherKey(found: Keys.settler.address, wanted: Keys.stranger.address))
      #expect(
        try await refused(house, key: Keys.stranger) as? ApprovalError
          == .otherSettler(manifest: Keys.stranger.address, configured: Keys.settler.address))
    }
  }

  @Test func `an expired plan, also with a row that says it has begun`() async throws {
    try await House.approved { house in
      house.clock.set(ms: Int64(House.expires) * 1_000)
      #expect(
        try await refused(house) as? ApprovalError
          == .expired(at: House.expires, now: House.expires))
      for kind in ["pay", "transfer", "charge"] {
        try await house.tamper(
          """
          DELETE FROM credits.transaction;
          INSERT INTO credits.transaction (chain_id, sender, nonce, epoch, manifest, kind, chunk, recipient, value, data, gas_limit)
            SELECT \(ScriptedVault.chainID), \(House.sql(Keys.settler.address)), 0, 1, manifest, '\(kind)', 0,
              \(House.sql(ScriptedVault.vault)), 0, '\\x00', 21000 FROM credits.manifest;
          """)
        guard case .alteredTransaction = try await refused(house) as? SettlerError else {
          Issue.record("a \(kind) row made it begin")
          return
        }
      }
    }
  }

  @Test func `what was begun is finished after its expiry`() async throws {
    try await House.approved { house in
      _ = try await house.settle(waits: 1)
      house.clock.set(ms: Int64(House.expires) * 1_000 + 1)
      #expect(try await house.settle() == .final)
      SettlementRunTests.expectPaidOnce(house)
    }
  }

  // MARK: Under way

  private func charged(_ body: @Sendable (House) async throws -> Void) async throws {
    try await House.approved { house in
      house.chain.change { $0.minesTransactions = false }
      _ = try await house.settle(waits: 1)
      try await body(house)
    }
  }

  @Test func `altered transactions and raw bytes`() async throws {
    let other = try Transaction(
      chainID: ScriptedVault.chainID, nonce: 0,
      fees: .dynamic(maxFee: wei(9_000_000_000), priorityFee: wei(1)), gasLimit: 100_000,
      to: ScriptedVault.vault, value: .zero,
      data: ContractCall.pay([account(0x66)], [wei(1_000)])
    ).signed(by: Keys.stranger)
    for change in [
      "UPDATE credits.transaction SET data = '\\x\(Hex.digits(other.transaction.data))'",
      "UPDATE credits.transaction SET recipient = '\\x6666666666666666666666666666666666666666'",
      "UPDATE credits.transaction SET value = 1",
      "UPDATE credits.transaction SET chunk = 7",
      "UPDATE credits.transaction SET gas_limit = gas_limit + 1",
      "UPDATE credits.transaction SET nonce = 5",
      "UPDATE credits.transaction SET kind = 'pay'",
      "UPDATE credits.attempt SET raw = set_byte(raw, 20, get_byte(raw, 20) # 1)",
      "UPDATE credits.attempt SET max_fee = max_fee - 1",
      "DELETE FROM credits.attempt",
      """
      INSERT INTO credits.attempt (hash, transaction_id, kind, raw, max_fee, priority_fee)
        SELECT \(House.sql(other.hash)), transaction_id, 'charge', '\\x\(Hex.digits(other.raw))', 9000000000, 1 FROM credits.transaction
      """,
    ] {
      try await charged { house in
        try await house.tamper(change)
        let sent = house.chain.sent.count
        let refusal = try await refused(house)
        guard case .alteredTransaction = refusal as? SettlerError else {
          Issue.record("\(change): \(refusal)")
          return
        }
        #expect(house.chain.sent.count == sent)
      }
    }
  }

  /// Charged, waterfall stored, no payment signed: the next thing would be a payment.
  private func paying(_ body: @Sendable (House) async throws -> Void) async throws {
    try await House.approved { house in
      house.clock.tick.withLock { $0 = nil }
      _ = try await house.settle(waits: 1)
      try await house.settleBlocks()
      house.chain.change { $0.refusesSimulation = "not now" }
      await #expect(throws: SettlerError.cannotSimulate(kind: "pay", chunk: 0, "not now")) {
        try await house.settle(waits: 1)
      }
      house.chain.change { $0.refusesSimulation = nil }
      #expect(try await house.state() == .paying)
      try await body(house)
    }
  }

  @Test func `altered payouts and an altered waterfall`() async throws {
    for change in [
      "UPDATE credits.payout SET amount = amount + 1, total = total + 1 WHERE payee = \(House.sql(House.operator1))",
      "UPDATE credits.payout SET payee = '\\x6666666666666666666666666666666666666666' WHERE payee = \(House.sql(House.operator1))",
      "UPDATE credits.payout SET total = total + 1000",
      "UPDATE credits.payout SET chunk = chunk + 1",
      "DELETE FROM credits.payout WHERE payee = \(House.sql(House.operator1))",
      "UPDATE credits.waterfall SET pool = pool - 1",
      "UPDATE credits.waterfall SET block_number = block_number - 1",
      "UPDATE credits.waterfall SET block_hash = sha256('x')",
      "DELETE FROM credits.waterfall",
    ] {
      try await paying { house in
        try await house.tamper(change)
        let refusal = try await refused(house)
        guard case .alteredPayouts = refusal as? SettlerError else {
          Issue.record("\(change): \(refusal)")
          return
        }
      }
    }
  }

  @Test func `a pool that only altered events hold`() async throws {
    try await paying { house in
      try await house.tamper(
        """
        UPDATE credits.chain_event SET amount = amount - 100, total = total - 100 WHERE kind = 'charged' AND account = \(House.sql(House.alice));
        UPDATE credits.waterfall SET pool = 900;
        DELETE FROM credits.payout WHERE payee = \(House.sql(House.treasury));
        """)
      guard case .ledgerDiffersFromChain(_, let lines) = try await refused(house) as? SettlerError
      else {
        Issue.record("another reason")
        return
      }
      #expect(lines.first == "pool(): the ledger has 900 wei, the chain 1000")
    }
  }
}
