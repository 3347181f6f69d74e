import Testing

extension Book {
  /// Every identity that the database alone can check; each row it returns is a break.
  func breaks() async throws -> [String] {
    try await lines(
      """
      WITH net AS (
        SELECT account, epoch, sum(amount) AS amount FROM (
          SELECT account, epoch, cost::numeric AS amount FROM credits.debit
          UNION ALL SELECT account, epoch, -amount::numeric FROM credits.refund) x GROUP BY 1, 2
      ), chain AS (
        SELECT account,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'deposit' AND status = 'final'), 0) AS deposited,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'deposit' AND status = 'pending'), 0) AS pending,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'withdraw' AND status IN ('applied', 'final')), 0) AS withdrawn,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'charged' AND status = 'final'), 0) AS charged
        FROM credits.chain_event WHERE kind <> 'paid' GROUP BY 1
      ), account AS (
        SELECT b.*, coalesce(c.deposited, 0) AS deposited, coalesce(c.pending, 0) AS seen, coalesce(c.withdrawn, 0) AS withdrawn,
          coalesce(c.charged, 0) AS charged, coalesce((SELECT sum(n.amount) FROM net n WHERE n.account = b.account), 0) AS spent,
          coalesce((SELECT sum(h.remaining::numeric) FROM credits.hold h WHERE h.account = b.account AND h.state = 'open'), 0) AS holds
        FROM credits.balance b LEFT JOIN chain c USING (account)
      ), total AS (
        SELECT coalesce(sum(spendable::numeric + held - debt), 0) AS users, coalesce(sum(unsettled), 0) AS unsettled FROM account
      ), untallied AS (
        SELECT coalesce(sum(n.amount), 0) AS amount FROM net n JOIN credits.epoch e USING (epoch) WHERE e.tallied_at IS NULL
      ), event AS (
        SELECT coalesce(sum(amount::numeric) FILTER (WHERE kind = 'deposit'), 0) AS deposited,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'withdraw' AND status = 'final'), 0) AS withdrawn,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'withdraw' AND status = 'applied'), 0) AS in_flight,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'charged'), 0) AS charged,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'paid'), 0) AS paid
        FROM credits.chain_event WHERE status IN ('applied', 'final') AND (status = 'final' OR kind = 'withdraw')
      ), book AS (
        SELECT a.name, coalesce(sum(p.amount), 0) AS amount FROM credits.journal_account a LEFT JOIN credits.posting p ON p.account = a.name GROUP BY 1
      ), control (name, amount) AS (
        SELECT 'vault', deposited - withdrawn - charged FROM event
        UNION ALL SELECT 'pool', charged - paid FROM event
        UNION ALL SELECT 'withdrawals_in_flight', -in_flight FROM event
        UNION ALL SELECT 'users', -t.users - u.amount FROM total t, untallied u
        UNION ALL SELECT 'operators', -coalesce(sum(operators), 0) FROM credits.payable
        UNION ALL SELECT 'infrastructure', -coalesce(sum(infrastructure), 0) FROM credits.payable
        UNION ALL SELECT 'treasury', -coalesce(sum(treasury), 0) FROM credits.payable
        UNION ALL SELECT 'settlement_wallet', 0
      )
      SELECT 'account', account::text, 'balance' FROM account
        WHERE spendable::numeric + held + unsettled - debt <> deposited - withdrawn - charged
      UNION ALL SELECT 'account', account::text, 'unsettled' FROM account WHERE unsettled <> spent - charged
      UNION ALL SELECT 'account', account::text, 'held' FROM account WHERE held <> holds
      UNION ALL SELECT 'account', account::text, 'pending' FROM account WHERE pending <> seen
      UNION ALL SELECT 'key', k.account::text, k.request_id FROM credits.debit_key k
        FULL JOIN credits.debit d USING (epoch, account, request_id, part) WHERE k.cost IS DISTINCT FROM d.cost
      UNION ALL SELECT 'refunded', r.account::text, r.request_id FROM credits.refund r GROUP BY r.account, r.request_id
        HAVING sum(r.amount::numeric) > (SELECT sum(k.cost::numeric) FROM credits.debit_key k WHERE (k.account, k.request_id) = (r.account, r.request_id))
      UNION ALL SELECT 'epoch', e.epoch::text, 'I6' FROM credits.epoch e WHERE e.tallied_at IS NOT NULL AND (
        e.gross <> (SELECT coalesce(sum(n.amount), 0) FROM net n WHERE n.epoch = e.epoch)
        OR e.gross <> (SELECT coalesce(sum(a.net), 0) FROM credits.epoch_account a WHERE a.epoch = e.epoch)
        OR e.gross <> (SELECT coalesce(sum(o.gross), 0) FROM credits.epoch_operator o WHERE o.epoch = e.epoch)
        OR e.gross <> (SELECT coalesce(sum(a.amount), 0) FROM credits.accrual a WHERE a.epoch = e.epoch)
        OR e.gross <> e.operators + e.treasury + e.infrastructure)
      UNION ALL SELECT 'rollup', e.epoch::text, '' FROM credits.epoch e WHERE
        (SELECT coalesce(sum(n.amount), 0) FROM net n WHERE n.epoch = e.epoch)
          <> (SELECT coalesce(sum(u.cost), 0) FROM credits.operator_usage u WHERE u.epoch = e.epoch)
      UNION ALL SELECT 'cost', d.account::text, d.request_id FROM credits.debit d WHERE d.cost::numeric + coalesce(d.forgone, 0)
          <> coalesce((SELECT sum(p.wei::numeric * CASE p.unit WHEN 'input_token' THEN d.input_tokens
            WHEN 'output_token' THEN d.output_tokens ELSE (d.units ->> p.unit)::numeric END)
          FROM credits.price p WHERE p.price_id = ANY (d.prices)), 0)
      UNION ALL SELECT 'uncollected', u.account::text, u.request_id FROM credits.uncollected u WHERE u.cost <> coalesce((
          SELECT sum(p.wei::numeric * CASE p.unit WHEN 'input_token' THEN u.input_tokens
            WHEN 'output_token' THEN u.output_tokens ELSE (u.units ->> p.unit)::numeric END)
          FROM credits.price p WHERE p.model = u.model AND p.valid_from <= u.at AND (p.valid_to IS NULL OR p.valid_to > u.at)
            AND (p.unit IN ('input_token', 'output_token') OR u.units ? p.unit)), 0)
      UNION ALL SELECT 'epoch_account', coalesce(a.account, f.account)::text, coalesce(a.epoch, f.epoch)::text
        FROM credits.epoch_account a FULL JOIN (
          SELECT account, epoch, sum(debits) AS debits, sum(refunds) AS refunds FROM (
            SELECT account, epoch, cost::numeric AS debits, 0::numeric AS refunds FROM credits.debit
            UNION ALL SELECT account, epoch, 0, amount::numeric FROM credits.refund) x
          WHERE epoch IN (SELECT epoch FROM credits.epoch WHERE tallied_at IS NOT NULL) GROUP BY 1, 2) f USING (account, epoch)
        WHERE (a.debits, a.refunds) IS DISTINCT FROM (f.debits, f.refunds)
      UNION ALL SELECT 'operator', coalesce(u.operator, f.operator)::text, coalesce(u.epoch, f.epoch)::text
        FROM (SELECT operator, epoch, sum(cost) AS cost FROM credits.operator_usage GROUP BY 1, 2) u FULL JOIN (
          SELECT operator, epoch, sum(amount) AS cost FROM (
            SELECT operator, epoch, cost::numeric AS amount FROM credits.debit
            UNION ALL SELECT operator, epoch, -amount::numeric FROM credits.refund) x GROUP BY 1, 2) f USING (operator, epoch)
          LEFT JOIN credits.epoch_operator o USING (operator, epoch)
        WHERE u.cost IS DISTINCT FROM f.cost OR o.gross <> f.cost
      UNION ALL SELECT 'carry', o.operator::text, o.epoch::text FROM credits.epoch_operator o WHERE o.carry_in <> coalesce((
          SELECT b.carry_out FROM credits.epoch_operator b WHERE b.operator = o.operator AND b.epoch < o.epoch ORDER BY b.epoch DESC LIMIT 1), 0)
      UNION ALL SELECT 'share', o.operator::text, o.epoch::text FROM credits.epoch_operator o WHERE o.operator <> '' AND o.share <> coalesce((
          SELECT a.amount FROM credits.accrual a WHERE (a.epoch, a.payee, a.role) = (o.epoch, o.operator, 'operator')), 0)
      UNION ALL SELECT 'role', e.epoch::text, '' FROM credits.epoch e WHERE e.tallied_at IS NOT NULL AND (e.operators, e.treasury, e.infrastructure)
          <> (SELECT coalesce(sum(amount) FILTER (WHERE role = 'operator'), 0), coalesce(sum(amount) FILTER (WHERE role = 'treasury'), 0),
            coalesce(sum(amount) FILTER (WHERE role = 'infrastructure'), 0) FROM credits.accrual a WHERE a.epoch = e.epoch)
      UNION ALL SELECT 'count', e.epoch::text, '' FROM credits.epoch e
        WHERE e.debits <> (SELECT count(*) FROM credits.debit d WHERE d.epoch = e.epoch)
      UNION ALL SELECT 'payee', p.payee::text, '' FROM credits.payee p WHERE (p.operator, p.infrastructure, p.treasury, p.paid::numeric)
          <> (SELECT coalesce(sum(amount) FILTER (WHERE role = 'operator'), 0), coalesce(sum(amount) FILTER (WHERE role = 'infrastructure'), 0),
              coalesce(sum(amount) FILTER (WHERE role = 'treasury'), 0),
              (SELECT coalesce(sum(e.amount::numeric), 0) FROM credits.chain_event e
                WHERE e.kind = 'paid' AND e.status = 'final' AND e.account = p.payee)
            FROM credits.accrual a WHERE a.payee = p.payee)
      UNION ALL SELECT 'total', event.account::text, event.kind FROM (
          SELECT e.account, e.kind, e.total, sum(e.amount::numeric) OVER (PARTITION BY e.kind, e.account ORDER BY e.block_number, e.log_index) AS summed
          FROM credits.chain_event e WHERE e.kind IN ('charged', 'paid') AND e.status <> 'orphaned') event WHERE event.total <> event.summed
      UNION ALL SELECT 'owed', '', '' FROM total t, untallied u, event v
        WHERE (SELECT coalesce(sum(owed), 0) FROM credits.payable) <> t.unsettled - u.amount + v.charged - v.paid
      UNION ALL SELECT 'entry', p.entry_id::text, '' FROM credits.posting p GROUP BY p.entry_id HAVING sum(p.amount) <> 0
      UNION ALL SELECT 'control', name, b.amount || ' is not ' || c.amount FROM book b JOIN control c USING (name) WHERE b.amount <> c.amount
      """)
  }

  func checkIdentities(sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let found = try await breaks()
    #expect(found == [], sourceLocation: sourceLocation)
  }
}
