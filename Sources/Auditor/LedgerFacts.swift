import Credits
import Ethereum
import Ledger
import Postgres

/// What the auditor reads: facts only, all of them in one snapshot. It calls no function that writes.
struct LedgerFacts: Sendable {
  struct Account: Sendable {
    let account: Address
    /// What the vault must hold for the user: spendable + held + unsettled - debt + withdrawals applied after the block.
    let inVault: SignedWei
    let unsettled, unsettledByFacts: SignedWei
    let held, heldByFacts: SignedWei
    let charged: SignedWei
  }

  struct Payee: Sendable {
    let payee: Address
    /// Running total, and the sum of final `Paid` events.
    let paid, paidByFacts: SignedWei
  }

  struct EpochRow: Sendable {
    let epoch: UInt64
    let gross, byDebits, byUsers, byOperators, byAccruals, byRoles: SignedWei
  }

  struct Control: Sendable {
    let name: String
    let journal, table: SignedWei
  }

  struct Transfer: Sendable {
    let transaction: Hash32
    let amount: SignedWei
  }

  let chainID: UInt64
  let vault, token: Address
  let block: UInt64
  let blockHash: Hash32
  let deposited, withdrawn, charged, paid: SignedWei
  let users, withdrawnAfter, unsettled, openNet, owed: SignedWei
  let unattributed: [Transfer]
  let accounts: [Account]
  let payees: [Payee]
  let epochs: [EpochRow]
  let controls: [Control]
  let unbalancedEntries: [(entry: UInt64, sum: SignedWei)]

  /// Reads everything in one REPEATABLE READ snapshot, at the block where the ledger stands.
  static func read(_ connection: PostgresConnection, chainID: UInt64, vault: Address) async throws
    -> LedgerFacts
  {
    try await connection.transaction(.repeatableRead, readOnly: true) { db in
      try LedgerFacts(db, chainID: chainID, vault: vault)
    }
  }

}

extension LedgerFacts {
  private init(_ db: isolated PostgresConnection, chainID: UInt64, vault: Address) throws {
    let place: [PostgresValue] = [.int(Int64(chainID)), .address(vault)]
    let marks = try db.query(
      """
      SELECT w.applied_to, v.token, b.hash FROM credits.watermark w JOIN credits.vault v USING (chain_id, vault)
      LEFT JOIN credits.block b ON b.chain_id = w.chain_id AND b.number = w.applied_to AND b.orphaned_at IS NULL
      WHERE w.chain_id = $1 AND w.vault = $2
      """, place)
    guard let mark = marks.first else {
      throw AuditorError.unknownVault(chainID: chainID, vault: vault)
    }
    guard let hash = try mark.optionalHash("hash") else {
      throw AuditorError.nothingApplied(block: try mark.int64("applied_to"))
    }
    self.chainID = chainID
    self.vault = vault
    block = try mark.uint64("applied_to")
    blockHash = hash
    token = try mark.address("token")
    let sums = try db.one(
      """
      SELECT coalesce(sum(amount::numeric) FILTER (WHERE kind = 'deposit' AND status = 'final'), 0)::text AS deposited,
        coalesce(sum(amount::numeric) FILTER (WHERE kind = 'withdraw' AND status = 'final'), 0)::text AS withdrawn,
        coalesce(sum(amount::numeric) FILTER (WHERE kind = 'charged' AND status = 'final'), 0)::text AS charged,
        coalesce(sum(amount::numeric) FILTER (WHERE kind = 'paid' AND status = 'final'), 0)::text AS paid,
        coalesce(sum(amount::numeric) FILTER (WHERE kind = 'withdraw' AND status = 'applied'), 0)::text AS in_flight
      FROM credits.chain_event WHERE chain_id = $1 AND vault = $2
      """, place)
    deposited = try sums.signedWei("deposited")
    withdrawn = try sums.signedWei("withdrawn")
    charged = try sums.signedWei("charged")
    paid = try sums.signedWei("paid")
    withdrawnAfter = try sums.signedWei("in_flight")
    let totals = try db.one(
      """
      SELECT coalesce(sum(spendable::numeric + held + unsettled - debt), 0)::text AS users,
        coalesce(sum(unsettled), 0)::text AS unsettled,
        (SELECT coalesce(sum(cost::numeric), 0) FROM credits.debit JOIN credits.epoch e USING (epoch) WHERE e.tallied_at IS NULL)
          - (SELECT coalesce(sum(amount::numeric), 0) FROM credits.refund JOIN credits.epoch e USING (epoch) WHERE e.tallied_at IS NULL)
          AS open_net,
        (SELECT coalesce(sum(owed), 0) FROM credits.payable)::text AS owed
      FROM credits.balance
      """)
    users = try totals.signedWei("users")
    unsettled = try totals.signedWei("unsettled")
    openNet = try totals.signedWei("open_net")
    owed = try totals.signedWei("owed")
    unattributed = try db.query(
      """
      SELECT tx_hash, sum(net)::text AS amount FROM (
        SELECT t.tx_hash, CASE WHEN t.recipient = t.vault THEN t.amount::numeric ELSE 0 END
          - CASE WHEN t.sender = t.vault THEN t.amount::numeric ELSE 0 END AS net
        FROM credits.token_transfer t
        WHERE t.chain_id = $1 AND t.vault = $2 AND t.orphaned_at IS NULL AND t.block_number <= $3
        UNION ALL
        SELECT e.tx_hash, CASE e.kind WHEN 'deposit' THEN -e.amount::numeric WHEN 'charged' THEN 0 ELSE e.amount::numeric END
        FROM credits.chain_event e
        WHERE e.chain_id = $1 AND e.vault = $2 AND e.status <> 'orphaned' AND e.block_number <= $3) AS movement
      GROUP BY tx_hash HAVING sum(net) <> 0 ORDER BY tx_hash
      """, place + [.int(Int64(block))]
    ).map { Transfer(transaction: try $0.hash("tx_hash"), amount: try $0.signedWei("amount")) }
    accounts = try db.query(
      """
      WITH spent AS (
        SELECT account, sum(amount) AS amount FROM (
          SELECT account, cost::numeric AS amount FROM credits.debit
          UNION ALL SELECT account, -amount::numeric FROM credits.refund) s GROUP BY account
      ), event AS (
        SELECT account, sum(amount::numeric) FILTER (WHERE kind = 'charged' AND status = 'final') AS charged,
          sum(amount::numeric) FILTER (WHERE kind = 'withdraw' AND status = 'applied') AS in_flight
        FROM credits.chain_event WHERE kind <> 'paid' GROUP BY account
      ), holds AS (
        SELECT account, sum(remaining::numeric) AS amount FROM credits.hold WHERE state = 'open' GROUP BY account
      )
      SELECT b.account, (b.spendable::numeric + b.held + b.unsettled - b.debt + coalesce(e.in_flight, 0))::text AS in_vault,
        b.unsettled::text AS unsettled, (coalesce(s.amount, 0) - coalesce(e.charged, 0))::text AS unsettled_facts,
        b.held::text AS held, coalesce(h.amount, 0)::text AS held_facts, coalesce(e.charged, 0)::text AS charged
      FROM credits.balance b LEFT JOIN spent s USING (account) LEFT JOIN event e USING (account) LEFT JOIN holds h USING (account)
      ORDER BY b.account
      """
    ).map { row in
      Account(
        account: try row.address("account"), inVault: try row.signedWei("in_vault"),
        unsettled: try row.signedWei("unsettled"),
        unsettledByFacts: try row.signedWei("unsettled_facts"), held: try row.signedWei("held"),
        heldByFacts: try row.signedWei("held_facts"), charged: try row.signedWei("charged"))
    }
    payees = try db.query(
      """
      SELECT coalesce(p.payee, e.account) AS payee, coalesce(p.paid, 0)::text AS paid, coalesce(e.paid, 0)::text AS facts
      FROM credits.payee p FULL JOIN (
        SELECT account, sum(amount::numeric) AS paid FROM credits.chain_event WHERE kind = 'paid' AND status = 'final'
        GROUP BY account) e ON e.account = p.payee
      ORDER BY 1
      """
    ).map {
      Payee(
        payee: try $0.address("payee"), paid: try $0.signedWei("paid"),
        paidByFacts: try $0.signedWei("facts"))
    }
    epochs = try db.query(
      """
      SELECT e.epoch, e.gross::text AS gross, (e.operators + e.treasury + e.infrastructure)::text AS roles,
        ((SELECT coalesce(sum(cost::numeric), 0) FROM credits.debit d WHERE d.epoch = e.epoch)
          - (SELECT coalesce(sum(amount::numeric), 0) FROM credits.refund r WHERE r.epoch = e.epoch))::text AS debits,
        (SELECT coalesce(sum(net), 0) FROM credits.epoch_account a WHERE a.epoch = e.epoch)::text AS users,
        (SELECT coalesce(sum(o.gross), 0) FROM credits.epoch_operator o WHERE o.epoch = e.epoch)::text AS operators,
        (SELECT coalesce(sum(amount), 0) FROM credits.accrual a WHERE a.epoch = e.epoch)::text AS accruals
      FROM credits.epoch e WHERE e.tallied_at IS NOT NULL ORDER BY e.epoch
      """
    ).map { row in
      EpochRow(
        epoch: try row.uint64("epoch"), gross: try row.signedWei("gross"),
        byDebits: try row.signedWei("debits"), byUsers: try row.signedWei("users"),
        byOperators: try row.signedWei("operators"), byAccruals: try row.signedWei("accruals"),
        byRoles: try row.signedWei("roles"))
    }
    controls = try db.query(
      """
      WITH event AS (
        SELECT coalesce(sum(amount::numeric) FILTER (WHERE kind = 'deposit' AND status = 'final'), 0) AS deposited,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'withdraw' AND status = 'final'), 0) AS withdrawn,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'withdraw' AND status = 'applied'), 0) AS in_flight,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'charged' AND status = 'final'), 0) AS charged,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'paid' AND status = 'final'), 0) AS paid
        FROM credits.chain_event
      ), control (name, amount) AS (
        SELECT 'vault', deposited - withdrawn - charged FROM event
        UNION ALL SELECT 'pool', charged - paid FROM event
        UNION ALL SELECT 'withdrawals_in_flight', -in_flight FROM event
        UNION ALL SELECT 'users', -(SELECT coalesce(sum(spendable::numeric + held - debt), 0) FROM credits.balance) - $1::numeric
        UNION ALL SELECT 'operators', -coalesce(sum(operators), 0) FROM credits.payable
        UNION ALL SELECT 'infrastructure', -coalesce(sum(infrastructure), 0) FROM credits.payable
        UNION ALL SELECT 'treasury', -coalesce(sum(treasury), 0) FROM credits.payable
        UNION ALL SELECT 'settlement_wallet', 0
      )
      SELECT a.name, coalesce((SELECT sum(p.amount) FROM credits.posting p WHERE p.account = a.name), 0)::text AS journal,
        c.amount::text AS control
      FROM credits.journal_account a JOIN control c USING (name) ORDER BY a.name
      """, [.text(try totals.text("open_net"))]
    ).map {
      Control(
        name: try $0.text("name"), journal: try $0.signedWei("journal"),
        table: try $0.signedWei("control"))
    }
    unbalancedEntries = try db.query(
      """
      SELECT entry_id, sum(amount)::text AS total FROM credits.posting GROUP BY entry_id HAVING sum(amount) <> 0
      ORDER BY entry_id LIMIT 100
      """
    ).map { (try $0.uint64("entry_id"), try $0.signedWei("total")) }
  }
}
