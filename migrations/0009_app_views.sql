-- What the chat app sees: one account at a time, read-only.
--
-- credits.account is a setting of the transaction: it guards against a forgotten WHERE. Row security does the rest: the views
-- run as their reader, and the tables behind them show credits_app only the rows of that account.
-- Locks: ACCESS EXCLUSIVE on tables that are still empty. Test: Tests/LedgerTests/AppTests.swift.

SET LOCAL ROLE credits_owner;
SET LOCAL search_path = credits, public, pg_temp;

-- The account this transaction may see; null when none is set, and then no row is visible.
CREATE FUNCTION viewer() RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT credits.parse_address(nullif(current_setting('credits.account', true), ''))
$$;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['balance', 'chain_event', 'debit', 'refund', 'hold'] LOOP
    EXECUTE format('ALTER TABLE credits.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_rows ON credits.%I FOR SELECT TO credits_app USING (account = credits.viewer()%s)', name,
      CASE name WHEN 'chain_event' THEN ' AND kind <> ''paid''' ELSE '' END);
    EXECUTE format('CREATE POLICY all_rows ON credits.%I FOR SELECT TO credits_indexer, credits_meter, credits_settler, credits_auditor, credits_sealer USING (true)', name);
    EXECUTE format('GRANT SELECT ON credits.%I TO credits_app', name);
  END LOOP;
END
$$;
GRANT SELECT ON watermark, vault TO credits_app;
GRANT EXECUTE ON FUNCTION viewer TO credits_app, credits_indexer, credits_meter, credits_settler, credits_auditor, credits_sealer;

CREATE VIEW account_balance WITH (security_invoker) AS
SELECT b.account, b.spendable, b.held, b.pending,
  coalesce((SELECT sum(e.amount::numeric) FROM chain_event e
    WHERE e.account = b.account AND e.kind = 'withdraw' AND e.status = 'pending'), 0) AS withdrawing,
  b.unsettled, greatest(0, b.debt - b.pending) AS debt, b.frozen, b.exposure_limit,
  (SELECT min(w.updated_at) FROM watermark w) AS as_of
FROM balance b;
COMMENT ON VIEW account_balance IS 'A balance as people are shown it: debt net of deposits that are on their way, and withdrawals not yet counted.';

CREATE VIEW my_balance WITH (security_invoker, security_barrier) AS
SELECT account, spendable, held, pending, withdrawing, unsettled, debt, frozen, as_of FROM account_balance WHERE account = viewer();
COMMENT ON VIEW my_balance IS 'The balance of the account in SET LOCAL credits.account, in wei.';

CREATE VIEW account_activity WITH (security_invoker) AS
SELECT e.account, e.kind, e.seen_at AS at, e.amount::numeric AS amount, e.status, '0x' || encode(e.tx_hash, 'hex') AS reference,
  NULL::text AS model, e.block_number, greatest(0, w.head - e.block_number + 1) AS confirmations
FROM chain_event e JOIN watermark w USING (chain_id, vault) WHERE e.kind IN ('deposit', 'withdraw')
UNION ALL
SELECT d.account, 'debit', d.at, d.cost::numeric, 'final', d.request_id, d.model, NULL, NULL FROM debit d
UNION ALL
SELECT r.account, 'refund', r.created_at, r.amount::numeric, 'final', r.request_id, NULL, NULL, NULL FROM refund r;
COMMENT ON VIEW account_activity IS 'Deposits and withdrawals with confirmations, debits by message, refunds; amounts in wei.';

CREATE VIEW my_activity WITH (security_invoker, security_barrier) AS
SELECT kind, at, amount, status, reference, model, block_number, confirmations FROM account_activity WHERE account = viewer();
COMMENT ON VIEW my_activity IS 'The activity of the account in SET LOCAL credits.account.';

CREATE FUNCTION balance_of(account bytea) RETURNS SETOF my_balance
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('credits.account', credits.format_address($1), true);
  RETURN QUERY SELECT b.account, b.spendable, b.held, b.pending, b.withdrawing, b.unsettled, b.debt, b.frozen, b.as_of
    FROM credits.account_balance b WHERE b.account = $1;
END
$$;
COMMENT ON FUNCTION balance_of(bytea) IS 'my_balance of a named account, for clients behind a proxy that routes by argument.';

CREATE FUNCTION activity_of(account bytea, before timestamptz DEFAULT NULL, max int DEFAULT 100) RETURNS SETOF my_activity
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('credits.account', credits.format_address($1), true);
  RETURN QUERY SELECT a.kind, a.at, a.amount, a.status, a.reference, a.model, a.block_number, a.confirmations
    FROM credits.account_activity a WHERE a.account = $1 AND ($2 IS NULL OR a.at < $2) ORDER BY a.at DESC, a.reference LIMIT least($3, 1000);
END
$$;
COMMENT ON FUNCTION activity_of(bytea, timestamptz, int) IS 'The newest activity of a named account, at most max rows (1000), before a time.';

-- What could be lost if every user withdrew now, the largest first; and what withdrawals have cost so far.
CREATE VIEW credits_at_risk WITH (security_invoker) AS
SELECT account, unsettled, held, debt FROM balance WHERE unsettled > 0 OR debt > 0;
COMMENT ON VIEW credits_at_risk IS 'Unsettled spending per account: what a withdrawal before the next charge would leave unpaid.';

CREATE VIEW fallback_share WITH (security_invoker) AS
SELECT date_trunc('day', d.at AT TIME ZONE 'UTC')::date AS day, count(*) FILTER (WHERE d.part = 0) AS requests,
  count(*) FILTER (WHERE d.part = 0 AND d.operator = '') AS fallback_requests,
  sum(d.cost::numeric) AS revenue, coalesce(sum(d.cost::numeric) FILTER (WHERE d.operator = ''), 0) AS fallback_revenue
FROM debit d GROUP BY 1;
COMMENT ON VIEW fallback_share IS 'Traffic and revenue by day (UTC), and how much of it project hardware served.';

GRANT SELECT ON account_balance, my_balance, account_activity, my_activity TO credits_app;
GRANT SELECT ON account_balance, account_activity, credits_at_risk, fallback_share TO credits_indexer, credits_meter, credits_settler, credits_auditor;
GRANT EXECUTE ON FUNCTION balance_of, activity_of TO credits_app, credits_meter, credits_auditor;
