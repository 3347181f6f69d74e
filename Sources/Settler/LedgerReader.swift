import Credits
import Ethereum
import Ledger
import Postgres

/// What the settler reads. Facts that belong together are read in one snapshot.
struct LedgerReader {
  let connection: PostgresConnection
  let chainID: UInt64
  let vault: Address

  private var place: [PostgresValue] { [.unsigned(chainID), .bytes(vault.bytes)] }

  // MARK: Epochs

  private static let epochColumns = """
    epoch, state, coalesce(debits, 0) AS debits, tallied_at IS NOT NULL AS tallied,
    coalesce(gross, 0)::text AS gross, coalesce(operators, 0)::text AS operators,
    coalesce(treasury, 0)::text AS treasury, coalesce(infrastructure, 0)::text AS infrastructure,
    \(rfc3339("opened_at")) AS opened_at, \(rfc3339("closed_at")) AS closed_at
    """

  func epochs() async throws -> [EpochRow] {
    try await connection.query(
      "SELECT \(Self.epochColumns) FROM credits.epoch ORDER BY epoch", []
    ).map(Self.epoch)
  }

  func epoch(_ epoch: UInt64) async throws -> EpochRow {
    let rows = try await connection.query(
      "SELECT \(Self.epochColumns) FROM credits.epoch WHERE epoch = $1", [.unsigned(epoch)])
    guard let row = rows.first else { throw SettlerError.noSuchEpoch(epoch) }
    return try Self.epoch(row)
  }

  private static func epoch(_ row: PostgresRow) throws -> EpochRow {
    return EpochRow(
      epoch: try row.uint64("epoch"), state: try row.word("state"),
      openedAt: try row.text("opened_at"),
      closedAt: try row.optionalText("closed_at"), isTallied: try row.bool("tallied"),
      debits: try row.int64("debits"), gross: try row.signedWei("gross"),
      totals: ByRole(
        operator: try row.signedWei("operators"),
        infrastructure: try row.signedWei("infrastructure"),
        treasury: try row.signedWei("treasury")))
  }

  private static let splitColumns = """
    operators_bp, treasury_bp, infrastructure_bp, treasury_wallet, infrastructure_wallet, fallback_to,
    CASE WHEN isfinite(valid_from) THEN \(rfc3339("valid_from")) END AS valid_from,
    \(rfc3339("valid_to")) AS valid_to
    """

  func splits() async throws -> [SplitRow] {
    try await connection.query(
      "SELECT \(Self.splitColumns) FROM credits.split s ORDER BY s.valid_from", []
    ).map { row in
      SplitRow(
        split: try Self.split(row), validFrom: try row.optionalText("valid_from"),
        validTo: try row.optionalText("valid_to"))
    }
  }

  private static func split(_ row: PostgresRow) throws -> Split {
    try Split(
      operatorsBasisPoints: Int(try row.int64("operators_bp")),
      treasuryBasisPoints: Int(try row.int64("treasury_bp")),
      infrastructureBasisPoints: Int(try row.int64("infrastructure_bp")),
      treasuryWallet: try row.address("treasury_wallet"),
      infrastructureWallet: try row.address("infrastructure_wallet"),
      fallbackTo: try row.word("fallback_to"))
  }

  func split(of epoch: UInt64) async throws -> Split {
    try Self.split(
      await connection.one(
        """
        SELECT \(Self.splitColumns) FROM credits.split s
        WHERE s.split_id = (SELECT split_id FROM credits.epoch WHERE epoch = $1)
        """, [.unsigned(epoch)]))
  }

  func holds() async throws -> [HoldRow] {
    try await connection.query(
      "SELECT payee, reason, \(rfc3339("created_at")) AS since FROM credits.held_payee ORDER BY payee",
      []
    ).map { row in
      HoldRow(
        payee: try row.address("payee"), reason: try row.text("reason"),
        since: try row.text("since"))
    }
  }

  // MARK: The chain as the indexer has it

  func watermark() async throws -> Watermark {
    guard let mark = try await watermarkIfFollowed() else {
      throw SettlerError.vaultNotFollowed(chainID, vault)
    }
    return mark
  }

  /// The block where the ledger stands; nil while no indexer follows the vault.
  func standsAt() async throws -> UInt64? { try await watermarkIfFollowed()?.appliedTo }

  private func watermarkIfFollowed() async throws -> Watermark? {
    let rows = try await connection.query(
      """
      SELECT head, proven_to, finalized_to, applied_to FROM credits.watermark
      WHERE chain_id = $1 AND vault = $2
      """, place)
    guard let row = rows.first else { return nil }
    return Watermark(
      head: UInt64(clamping: try row.int64("head")),
      provenTo: UInt64(clamping: try row.int64("proven_to")),
      finalizedTo: UInt64(clamping: try row.int64("finalized_to")),
      appliedTo: UInt64(clamping: try row.int64("applied_to")))
  }

  /// The canonical block of a number; nil when the indexer has not stored it.
  func block(_ number: UInt64) async throws -> StoredBlock? {
    try await connection.query(
      """
      SELECT hash, header FROM credits.block
      WHERE chain_id = $1 AND number = $2 AND orphaned_at IS NULL
      """, [.unsigned(chainID), .unsigned(number)]
    ).first.map { StoredBlock(hash: try $0.hash("hash"), header: try $0.bytes("header")) }
  }

  /// Σ final `Charged` − Σ final `Paid` up to a block: what the vault's pool holds there.
  func pool(upTo block: UInt64) async throws -> UInt256 {
    let row = try await connection.one(
      """
      SELECT (coalesce(sum(amount::numeric) FILTER (WHERE kind = 'charged'), 0)
          - coalesce(sum(amount::numeric) FILTER (WHERE kind = 'paid'), 0))::text AS pool
      FROM credits.chain_event
      WHERE chain_id = $1 AND vault = $2 AND status = 'final' AND block_number <= $3
      """, place + [.unsigned(block)])
    let pool = try row.signedWei("pool")
    guard !pool.isNegative else { throw SettlerError.negativePool(pool) }
    return pool.magnitude
  }

  /// Σ final `Paid` up to a block, by payee.
  func paidTotals(upTo block: UInt64) async throws -> [Address: UInt256] {
    try await totals(of: "paid", upTo: block)
  }

  private func totals(of kind: String, upTo block: UInt64) async throws -> [Address: UInt256] {
    let rows = try await connection.query(
      """
      SELECT account, sum(amount::numeric)::text AS total FROM credits.chain_event
      WHERE chain_id = $1 AND vault = $2 AND status = 'final' AND kind = $3 AND block_number <= $4
      GROUP BY account
      """, place + [.text(kind), .unsigned(block)])
    var totals: [Address: UInt256] = [:]
    for row in rows { totals[try row.address("account")] = try row.wei("total") }
    return totals
  }

  // MARK: Facts

  /// Everything a manifest is made from, in one snapshot.
  /// - Parameter plannedAt: nil plans at the block where the ledger stands.
  func facts(
    epoch: UInt64, plannedAt: Manifest.BlockReference? = nil
  ) async throws -> SettlementFacts {
    let (chainID, vault, place) = (chainID, vault, place)
    return try await connection.transaction(.repeatableRead, readOnly: true) { db in
      let e = try db.only(
        "SELECT \(Self.epochColumns) FROM credits.epoch WHERE epoch = $1", [.unsigned(epoch)],
        orElse: SettlerError.noSuchEpoch(epoch))
      let row = try Self.epoch(e)
      guard row.isTallied else { throw SettlerError.notTallied(epoch) }
      let ledger = try db.only(
        """
        SELECT l.ledger_id, l.payout_method, v.token FROM credits.ledger l, credits.vault v
        WHERE v.chain_id = $1 AND v.vault = $2
        """, place, orElse: SettlerError.vaultNotFollowed(chainID, vault))
      let at: Manifest.BlockReference
      if let plannedAt {
        at = plannedAt
      } else {
        let block = try db.only(
          """
          SELECT b.number, b.hash FROM credits.watermark w
          JOIN credits.block b ON b.chain_id = w.chain_id AND b.number = w.applied_to AND b.orphaned_at IS NULL
          WHERE w.chain_id = $1 AND w.vault = $2
          """, place, orElse: SettlerError.noFinalBlock)
        at = Manifest.BlockReference(
          number: try block.uint64("number"), hash: try block.hash("hash"))
      }
      let split = try db.only(
        """
        SELECT \(Self.splitColumns) FROM credits.split s
        WHERE s.split_id = (SELECT split_id FROM credits.epoch WHERE epoch = $1)
        """, [.unsigned(epoch)], orElse: SettlerError.notTallied(epoch))
      let predecessor = try db.query(
        """
        SELECT m.manifest FROM credits.manifest m JOIN credits.epoch e ON e.epoch = m.epoch
        WHERE m.epoch < $1 AND e.state = 'final' AND m.superseded_at IS NULL ORDER BY m.epoch DESC LIMIT 1
        """, [.unsigned(epoch)]
      ).first.map { try $0.hash("manifest") }
      let upTo = place + [.unsigned(at.number), .unsigned(epoch)]
      return SettlementFacts(
        ledger: try ledger.hash("ledger_id"),
        method: try ledger.word("payout_method"),
        chainID: chainID, vault: vault, token: try ledger.address("token"), epoch: epoch,
        predecessor: predecessor, plannedAt: at, split: try Self.split(split), gross: row.gross,
        totals: row.totals, users: try Self.users(db, upTo), payees: try Self.payees(db, upTo),
        operatorLines: try Self.operatorLines(db, epoch), held: try Self.held(db))
    }
  }

  private static func users(
    _ db: isolated PostgresConnection, _ upTo: [PostgresValue]
  ) throws -> [SettlementFacts.User] {
    try db.query(
      """
      SELECT s.account, s.spent::text AS spent, coalesce(c.charged, 0)::text AS charged
      FROM (SELECT account, sum(net) AS spent FROM credits.epoch_account WHERE epoch <= $4 GROUP BY account) s
      LEFT JOIN (SELECT account, sum(amount::numeric) AS charged FROM credits.chain_event
          WHERE chain_id = $1 AND vault = $2 AND status = 'final' AND kind = 'charged' AND block_number <= $3
          GROUP BY account) c USING (account)
      ORDER BY s.account
      """, upTo
    ).map { row in
      SettlementFacts.User(
        account: try row.address("account"), spent: try row.signedWei("spent"),
        charged: try row.wei("charged"))
    }
  }

  private static func payees(
    _ db: isolated PostgresConnection, _ upTo: [PostgresValue]
  ) throws -> [SettlementFacts.Payee] {
    let sums = Role.allCases.map { role in
      """
      coalesce(sum(a.amount) FILTER (WHERE a.role = '\(role.rawValue)'), 0)::text AS \(role.rawValue)_ever,
      coalesce(sum(a.amount) FILTER (WHERE a.role = '\(role.rawValue)' AND a.epoch = $4), 0)::text AS \(role.rawValue)_now
      """
    }
    return try db.query(
      """
      SELECT a.payee, \(sums.joined(separator: ", ")), coalesce(max(p.paid), 0)::text AS paid
      FROM credits.accrual a
      LEFT JOIN (SELECT account, sum(amount::numeric) AS paid FROM credits.chain_event
          WHERE chain_id = $1 AND vault = $2 AND status = 'final' AND kind = 'paid' AND block_number <= $3
          GROUP BY account) p ON p.account = a.payee
      WHERE a.epoch <= $4 GROUP BY a.payee ORDER BY a.payee
      """, upTo
    ).map { row in
      func byRole(_ suffix: String) throws -> ByRole<SignedWei> {
        ByRole(
          operator: try row.signedWei("operator_\(suffix)"),
          infrastructure: try row.signedWei("infrastructure_\(suffix)"),
          treasury: try row.signedWei("treasury_\(suffix)"))
      }
      return SettlementFacts.Payee(
        address: try row.address("payee"), accruedInEpoch: try byRole("now"),
        accruedEver: try byRole("ever"), paid: try row.wei("paid"))
    }
  }

  private static func operatorLines(
    _ db: isolated PostgresConnection, _ epoch: UInt64
  ) throws -> [SettlementFacts.OperatorLine] {
    try db.query(
      """
      SELECT operator, gross::text AS gross, carry_in::text AS carry_in, share::text AS share
      FROM credits.epoch_operator WHERE epoch = $1 ORDER BY operator
      """, [.unsigned(epoch)]
    ).map { row in
      let wallet = try row.bytes("operator")
      return SettlementFacts.OperatorLine(
        wallet: wallet.isEmpty ? nil : try Address(wallet), gross: try row.signedWei("gross"),
        carryIn: try row.signedWei("carry_in"), share: try row.signedWei("share"))
    }
  }

  private static func held(_ db: isolated PostgresConnection) throws -> [Address: String] {
    var held: [Address: String] = [:]
    for row in try db.query("SELECT payee, reason FROM credits.held_payee", []) {
      held[try row.address("payee")] = try row.text("reason")
    }
    return held
  }

  // MARK: Plans and what became of them

  /// The current manifest of an epoch.
  func manifest(of epoch: UInt64) async throws -> ManifestRow? {
    try await connection.query(
      """
      SELECT manifest, bytes, planner, signature, \(rfc3339("created_at")) AS created_at
      FROM credits.manifest WHERE epoch = $1 AND superseded_at IS NULL
      """, [.unsigned(epoch)]
    ).first.map { row in
      ManifestRow(
        hash: try row.hash("manifest"), bytes: try row.bytes("bytes"),
        planner: try row.address("planner"), signature: try row.bytes("signature"),
        createdAt: try row.text("created_at"))
    }
  }

  /// Approvals that were not taken back.
  func approvals(of manifest: Hash32) async throws -> [ApprovalRow] {
    try await connection.query(
      """
      SELECT a.approver, a.signature FROM credits.approval a
      WHERE a.manifest = $1 AND NOT EXISTS (SELECT FROM credits.revocation r
        WHERE r.manifest = a.manifest AND r.approver = a.approver) ORDER BY a.approver
      """, [.bytes(manifest.bytes)]
    ).map { row in
      ApprovalRow(approver: try row.address("approver"), signature: try row.bytes("signature"))
    }
  }

  /// The epoch between planned and final, if there is one.
  func epochInFlight() async throws -> UInt64? {
    try await connection.query(
      "SELECT epoch FROM credits.epoch WHERE state IN ('approved', 'charging', 'paying') ORDER BY epoch LIMIT 1",
      []
    ).first.map { try $0.uint64("epoch") }
  }

  func transactions(of epoch: UInt64) async throws -> [TransactionRow] {
    try await connection.transaction(.repeatableRead, readOnly: true) { db in
      var attempts: [Int64: [AttemptRow]] = [:]
      for row in try db.query(
        """
        SELECT a.transaction_id, a.hash, a.raw, a.max_fee::text AS max_fee, a.priority_fee::text AS priority_fee
        FROM credits.attempt a JOIN credits.transaction t USING (transaction_id)
        WHERE t.epoch = $1 ORDER BY a.max_fee
        """, [.unsigned(epoch)])
      {
        attempts[try row.int64("transaction_id"), default: []].append(
          AttemptRow(
            hash: try row.hash("hash"), raw: try row.bytes("raw"),
            fees: Fees(
              maxFeePerGasWei: try row.wei("max_fee"),
              priorityFeePerGasWei: try row.wei("priority_fee"))))
      }
      return try db.query(
        """
        SELECT transaction_id, nonce, kind, chunk, recipient, value::text AS value, data, gas_limit, state,
          outcome_hash, outcome_block, outcome_block_hash, gas_used, gas_price::text AS gas_price
        FROM credits.transaction WHERE epoch = $1 ORDER BY nonce
        """, [.unsigned(epoch)]
      ).map { row in
        let id = try row.int64("transaction_id")
        return TransactionRow(
          id: id, nonce: try row.uint64("nonce"), kind: try row.text("kind"),
          chunk: Int(try row.int64("chunk")), recipient: try row.address("recipient"),
          value: try row.wei("value"), data: try row.bytes("data"),
          gasLimit: try row.uint64("gas_limit"), state: try row.word("state"),
          outcomeHash: try row.optionalHash("outcome_hash"),
          outcomeBlock: try row.optionalInt64("outcome_block").map { UInt64(clamping: $0) },
          outcomeBlockHash: try row.optionalHash("outcome_block_hash"),
          gasUsed: try row.optionalInt64("gas_used").map { UInt64(clamping: $0) },
          gasPriceWei: try row.optionalText("gas_price").flatMap { UInt256(decimal: $0) },
          attempts: attempts[id] ?? [])
      }
    }
  }

  /// The last nonce that this ledger gave out for an address.
  func lastNonce(of sender: Address) async throws -> UInt64? {
    try await connection.one(
      "SELECT max(nonce) AS nonce FROM credits.transaction WHERE chain_id = $1 AND sender = $2",
      [.unsigned(chainID), .bytes(sender.bytes)]
    ).optionalInt64("nonce").map { UInt64(clamping: $0) }
  }

  func waterfall(of manifest: Hash32) async throws -> WaterfallRow? {
    try await connection.query(
      """
      SELECT block_number, block_hash, pool::text AS pool FROM credits.waterfall WHERE manifest = $1
      """, [.bytes(manifest.bytes)]
    ).first.map { row in
      WaterfallRow(
        block: try row.uint64("block_number"), blockHash: try row.hash("block_hash"),
        pool: try row.wei("pool"))
    }
  }

  func payouts(of manifest: Hash32) async throws -> [PayoutRow] {
    try await connection.query(
      """
      SELECT payee, amount::text AS amount, total::text AS total, chunk FROM credits.payout
      WHERE manifest = $1 ORDER BY chunk, payee
      """, [.bytes(manifest.bytes)]
    ).map { row in
      PayoutRow(
        payee: try row.address("payee"), amount: try row.wei("amount"),
        total: try row.wei("total"), chunk: Int(try row.int64("chunk")))
    }
  }

  /// Σ final `Charged` of an epoch's own transactions.
  func collected(by epoch: UInt64) async throws -> UInt256 {
    try await connection.one(
      """
      SELECT coalesce(sum(c.amount::numeric), 0)::text AS collected FROM credits.chain_event c
      WHERE c.chain_id = $1 AND c.vault = $2 AND c.kind = 'charged' AND c.status = 'final'
        AND c.tx_hash IN (SELECT a.hash FROM credits.attempt a JOIN credits.transaction t USING (transaction_id)
          WHERE t.epoch = $3)
      """, place + [.unsigned(epoch)]
    ).wei("collected")
  }

  // MARK: For reports

  func work(in epoch: UInt64) async throws -> [EpochReport.Work] {
    try await connection.query(
      """
      SELECT operator, requests, input_tokens::text AS inputs, output_tokens::text AS outputs,
        gross::text AS gross, carry_out::text AS carry_out, share::text AS share
      FROM credits.epoch_operator WHERE epoch = $1 ORDER BY operator
      """, [.unsigned(epoch)]
    ).map { row in
      let wallet = try row.bytes("operator")
      return EpochReport.Work(
        wallet: wallet.isEmpty ? nil : try Address(wallet), requests: try row.int64("requests"),
        inputTokens: try row.text("inputs"), outputTokens: try row.text("outputs"),
        gross: try row.signedWei("gross"), carryOut: try row.signedWei("carry_out"),
        share: try row.signedWei("share"))
    }
  }

  func chargedTotals(upTo block: UInt64) async throws -> [Address: UInt256] {
    try await totals(of: "charged", upTo: block)
  }

  func late(in epoch: UInt64) async throws -> EpochReport.Counted {
    try await counted("FROM credits.debit WHERE epoch = $1 AND late", epoch)
  }

  func uncollected(in epoch: UInt64) async throws -> EpochReport.Counted {
    try await counted("FROM credits.unpaid_work WHERE epoch = $1", epoch)
  }

  private func counted(_ from: String, _ epoch: UInt64) async throws -> EpochReport.Counted {
    let row = try await connection.one(
      "SELECT count(*) AS items, coalesce(sum(cost::numeric), 0)::text AS total \(from)",
      [.unsigned(epoch)])
    return EpochReport.Counted(count: try row.int64("items"), sum: try row.wei("total"))
  }

  /// What users have spent and the vault has not taken yet.
  func exposure() async throws -> UInt256 {
    try await connection.one(
      "SELECT coalesce(sum(unsettled), 0)::text AS total FROM credits.balance WHERE unsettled > 0",
      []
    ).wei("total")
  }
}

extension PostgresConnection {
  /// The first row, or the error that says what its absence means.
  fileprivate func only(
    _ sql: String, _ parameters: [PostgresValue], orElse error: @autoclosure () -> SettlerError
  ) throws -> PostgresRow {
    guard let row = try query(sql, parameters).first else { throw error() }
    return row
  }
}

extension PostgresRow {
  /// A word that this release knows.
  fileprivate func word<Word: RawRepresentable<String>>(_ name: String) throws -> Word {
    let text = try text(name)
    guard let word = Word(rawValue: text) else { throw SettlerError.unknownWord(name, text) }
    return word
  }
}

extension PostgresValue {
  /// A number that a flag or an endpoint may have made larger than the column: as large as that can be, never a trap.
  static func unsigned(_ number: UInt64) -> PostgresValue { .int(Int64(clamping: number)) }
}

/// A timestamp column as RFC 3339 in UTC; null stays null.
private func rfc3339(_ column: String) -> String {
  #"to_char(\#(column) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"#
}
