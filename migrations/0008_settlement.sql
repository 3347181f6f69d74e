-- Settlement: closing and tallying epochs, manifests, approvals, transactions and their attempts, payouts, held payees, seals.
--
-- Closing is two steps: the cut takes the fence for milliseconds, the tally scans afterwards and is safe to repeat.
-- Signed bytes and what people approved are facts; the state of a transaction is what is known of them.
-- Locks: the fence, EXCLUSIVE, at the cut; rows. Tests: Tests/LedgerTests/EpochTests.swift, Tests/SettlerTests.

SET LOCAL ROLE credits_owner;
SET LOCAL search_path = credits, public, pg_temp;

CREATE TABLE manifest (
  manifest hash32 PRIMARY KEY,
  epoch bigint NOT NULL REFERENCES epoch,
  bytes bytea NOT NULL,
  planner address NOT NULL,
  signature bytea NOT NULL CHECK (octet_length(signature) = 65),
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  superseded_at timestamptz
);
CREATE UNIQUE INDEX manifest_current ON manifest (epoch) WHERE superseded_at IS NULL;
COMMENT ON TABLE manifest IS 'What an epoch''s settlement will do, in canonical bytes; the key is their Keccak hash.';
SELECT _append_only('manifest', 'superseded_at');

CREATE TABLE approval (
  manifest hash32 NOT NULL REFERENCES manifest,
  approver address NOT NULL,
  signature bytea NOT NULL CHECK (octet_length(signature) = 65),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (manifest, approver)
);
COMMENT ON TABLE approval IS 'EIP-712 approvals. A copy for showing: the signing host checks every signature against its own configuration.';
SELECT _append_only('approval');

CREATE TABLE revocation (
  manifest hash32 NOT NULL,
  approver address NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (manifest, approver),
  FOREIGN KEY (manifest, approver) REFERENCES approval
);
COMMENT ON TABLE revocation IS 'Approvals taken back before sending started.';
SELECT _append_only('revocation');

CREATE TABLE waterfall (
  manifest hash32 PRIMARY KEY REFERENCES manifest,
  block_number bigint NOT NULL,
  block_hash hash32 NOT NULL,
  pool uint256 NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE waterfall IS 'The chain''s side of the payout computation: the pool at the block where the charges were final.';
SELECT _append_only('waterfall');

CREATE TABLE payout (
  manifest hash32 NOT NULL REFERENCES waterfall,
  payee address NOT NULL,
  amount uint256 NOT NULL CHECK (amount > 0),
  total uint256 NOT NULL CHECK (total >= amount),
  chunk int NOT NULL CHECK (chunk >= 0),
  PRIMARY KEY (manifest, payee)
);
COMMENT ON TABLE payout IS 'What the waterfall pays: amount for this epoch, total the cumulative figure that is sent to the vault.';
SELECT _append_only('payout');

CREATE TABLE transaction (
  transaction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  chain_id bigint NOT NULL,
  sender address NOT NULL,
  nonce bigint NOT NULL CHECK (nonce >= 0),
  epoch bigint NOT NULL REFERENCES epoch,
  manifest hash32 NOT NULL REFERENCES manifest,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('charge', 'pay', 'transfer')),
  chunk int NOT NULL CHECK (chunk >= 0),
  recipient address NOT NULL,
  value uint256 NOT NULL,
  data bytea NOT NULL,
  gas_limit bigint NOT NULL CHECK (gas_limit BETWEEN 21000 AND 16777216),
  state text NOT NULL DEFAULT 'signed' CHECK (state IN ('signed', 'sent', 'unknown', 'mined', 'reverted', 'final')),
  outcome_hash hash32,
  outcome_block bigint,
  outcome_block_hash hash32,
  gas_used bigint,
  gas_price uint256,
  created_at timestamptz NOT NULL DEFAULT now(),
  state_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (chain_id, sender, nonce),
  CHECK ((outcome_hash IS NOT NULL) = (state IN ('mined', 'reverted', 'final')))
);
CREATE UNIQUE INDEX transaction_payload ON transaction (manifest, kind, chunk) WHERE state <> 'reverted';
COMMENT ON TABLE transaction IS 'A payload owns one nonce for life. Its content never changes; its state is what is known about it.';
COMMENT ON COLUMN transaction.state IS 'signed: bytes stored, may have been sent. sent: an endpoint took it. unknown: no clear answer. mined, then final or reverted: from proven receipts only.';
SELECT _append_only('transaction', 'state', 'state_at', 'outcome_hash', 'outcome_block', 'outcome_block_hash', 'gas_used', 'gas_price');

CREATE TABLE attempt (
  hash hash32 PRIMARY KEY,
  transaction_id bigint NOT NULL REFERENCES transaction,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('charge', 'pay', 'transfer', 'void')),
  raw bytea NOT NULL,
  max_fee uint256 NOT NULL,
  priority_fee uint256 NOT NULL CHECK (priority_fee <= max_fee),
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX attempt_transaction ON attempt (transaction_id, max_fee);
COMMENT ON TABLE attempt IS 'Signed bytes, stored before any endpoint sees them. Every attempt of a nonce is watched: whichever is mined counts.';
SELECT _append_only('attempt');

CREATE TABLE broadcast (
  broadcast_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hash hash32 NOT NULL REFERENCES attempt,
  endpoint text NOT NULL,
  outcome text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX broadcast_hash ON broadcast (hash);
COMMENT ON TABLE broadcast IS 'What each endpoint answered to each sending.';
SELECT _append_only('broadcast');

CREATE TABLE payee_rule (
  rule_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  payee address NOT NULL,
  held boolean NOT NULL,
  reason text CHECK (length(reason) BETWEEN 1 AND 1000),
  actor text NOT NULL DEFAULT session_user,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK (NOT held OR reason IS NOT NULL)
);
CREATE INDEX payee_rule_payee ON payee_rule (payee, rule_id);
SELECT _append_only('payee_rule');
CREATE VIEW held_payee WITH (security_invoker) AS
SELECT payee, reason, actor, created_at FROM (SELECT DISTINCT ON (payee) * FROM payee_rule ORDER BY payee, rule_id DESC) r WHERE held;
COMMENT ON VIEW held_payee IS 'Payees that are not paid for now, and why. What they are owed is kept.';

CREATE TABLE seal (
  seal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject text COLLATE "C" NOT NULL,
  first_row bigint NOT NULL,
  last_row bigint NOT NULL CHECK (last_row >= first_row),
  root hash32 NOT NULL,
  previous hash32,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (subject, first_row)
);
COMMENT ON TABLE seal IS 'Roots over ranges of facts, chained, for tamper evidence.';
SELECT _append_only('seal');

-- The one sender of a ledger holds this table's lock (see register_vault for why it is not a row).
CREATE TABLE settler_of_ledger ();

-- Settlement events of the vault that no transaction of ours explains: raises the alarm of that name.
CREATE VIEW unapproved_settlement WITH (security_invoker) AS
SELECT e.* FROM chain_event e
WHERE e.kind IN ('charged', 'paid') AND e.status <> 'orphaned' AND NOT EXISTS (SELECT FROM attempt a WHERE a.hash = e.tx_hash);

-- ---------------------------------------------------------------------------------------------------------------------
-- Closing
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION epoch_close(OUT epoch bigint, OUT next bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp SET lock_timeout = '200ms' AS $$
#variable_conflict use_column
DECLARE
  cut_at timestamptz;
  opened timestamptz;
  split_then int;
  still_open bigint;
BEGIN
  PERFORM _require_read_committed();
  SELECT e.epoch INTO STRICT epoch FROM epoch e WHERE e.state = 'open';
  PERFORM _make_debit_partition(epoch_close.epoch + 2);
  -- Debits must not queue behind this lock, so it gives up after lock_timeout and the caller tries again.
  LOCK TABLE fence IN EXCLUSIVE MODE;
  SELECT e.epoch, e.opened_at INTO STRICT still_open, opened FROM epoch e WHERE e.state = 'open';
  IF still_open <> epoch_close.epoch THEN
    -- Closing the next one too would open an epoch whose partition nobody has made, and no debit would find its place.
    RAISE EXCEPTION 'epoch % was closed by another meanwhile', epoch_close.epoch
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'settler epoch list shows what is open now.';
  END IF;
  SELECT s.split_id INTO split_then FROM split s WHERE s.valid_from <= opened AND (s.valid_to IS NULL OR s.valid_to > opened);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no split was in force when epoch % opened', epoch_close.epoch
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run settler split set first.';
  END IF;
  cut_at := clock_timestamp();
  next := epoch_close.epoch + 1;
  UPDATE epoch e SET state = 'closed', closed_at = cut_at, split_id = split_then WHERE e.epoch = epoch_close.epoch;
  INSERT INTO epoch (epoch, opened_at) VALUES (epoch_close.next, cut_at);
END
$$;
COMMENT ON FUNCTION epoch_close() IS 'Cuts the open epoch at the fence and opens the next. May fail with lock_not_available: try again.';

-- Adds up a closed epoch: verifies the rollup against a scan, writes users' and operators' lines, shares and accruals, and
-- the journal entry. Largest remainder, ties: operators, treasury, infrastructure; wallets ascending, fallback last.
CREATE FUNCTION epoch_tally(p_epoch bigint) RETURNS epoch
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
#variable_conflict use_column
DECLARE
  e epoch;
  s split;
  wrong record;
  gross_total numeric;
  debit_count bigint;
  parts numeric[];
  weights numeric;
  fallback_share numeric;
  wallets_share numeric;
  before record;
  after record;
BEGIN
  SELECT * INTO e FROM epoch x WHERE x.epoch = p_epoch FOR UPDATE;
  IF NOT FOUND OR e.state = 'open' THEN
    RAISE EXCEPTION 'epoch % is not closed', p_epoch USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run settler epoch close.';
  ELSIF e.tallied_at IS NOT NULL THEN
    RETURN e;
  ELSIF EXISTS (SELECT FROM epoch x WHERE x.epoch < p_epoch AND x.tallied_at IS NULL) THEN
    RAISE EXCEPTION 'an epoch before % is not tallied', p_epoch USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Run settler epoch close again: it finishes what was begun.';
  END IF;
  SELECT * INTO STRICT s FROM split x WHERE x.split_id = e.split_id;

  INSERT INTO epoch_account (epoch, account, requests, debits, refunds)
    SELECT p_epoch, a.account, sum(a.requests), sum(a.debits), sum(a.refunds)
    FROM (SELECT d.account, count(*) FILTER (WHERE d.part = 0) AS requests, sum(d.cost::numeric) AS debits, 0::numeric AS refunds
        FROM debit d WHERE d.epoch = p_epoch GROUP BY d.account
      UNION ALL SELECT r.account, 0, 0, sum(r.amount::numeric) FROM refund r WHERE r.epoch = p_epoch GROUP BY r.account) a
    GROUP BY a.account ORDER BY a.account;

  -- The rollup is what operators are paid from: it must equal the debits and refunds themselves, operator by operator.
  SELECT coalesce(scan.operator, roll.operator) AS operator, scan.cost AS scanned, roll.cost AS rolled INTO wrong
  FROM (SELECT u.operator, sum(u.requests) AS requests, sum(u.input_tokens) AS inputs, sum(u.output_tokens) AS outputs, sum(u.cost) AS cost
      FROM operator_usage u WHERE u.epoch = p_epoch GROUP BY u.operator) roll
  FULL JOIN (SELECT w.operator, sum(w.requests) AS requests, sum(w.inputs) AS inputs, sum(w.outputs) AS outputs, sum(w.cost) AS cost FROM (
      SELECT d.operator, count(*) FILTER (WHERE d.part = 0) AS requests, sum(d.input_tokens) AS inputs, sum(d.output_tokens) AS outputs,
        sum(d.cost::numeric) AS cost FROM debit d WHERE d.epoch = p_epoch GROUP BY d.operator
      UNION ALL SELECT r.operator, 0, 0, 0, -sum(r.amount::numeric) FROM refund r WHERE r.epoch = p_epoch GROUP BY r.operator) w
    GROUP BY w.operator) scan ON scan.operator = roll.operator
  WHERE (scan.requests, scan.inputs, scan.outputs, scan.cost) IS DISTINCT FROM (roll.requests, roll.inputs, roll.outputs, roll.cost)
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'epoch %: operator % has % wei of debits and % in the rollup', p_epoch,
      CASE WHEN wrong.operator = '' THEN 'fallback' ELSE format_address(wrong.operator) END,
      coalesce(wrong.scanned, 0), coalesce(wrong.rolled, 0)
      USING ERRCODE = 'data_corrupted', HINT = 'Facts or rollup were altered outside the functions. Nothing was settled; ask the auditor.';
  END IF;

  SELECT coalesce(sum(a.net), 0) INTO gross_total FROM epoch_account a WHERE a.epoch = p_epoch;
  SELECT count(*) INTO debit_count FROM debit d WHERE d.epoch = p_epoch;

  -- Role totals, with the sign of gross.
  SELECT array_agg(sign(gross_total) * (q.floor_part + (q.rank <= q.left_over)::int) ORDER BY q.place) INTO parts FROM (
    SELECT b.place, div(abs(gross_total) * b.bp, 10000) AS floor_part,
      row_number() OVER (ORDER BY mod(abs(gross_total) * b.bp, 10000) DESC, b.place) AS rank,
      abs(gross_total) - sum(div(abs(gross_total) * b.bp, 10000)) OVER () AS left_over
    FROM (VALUES (1, s.operators_bp), (2, s.treasury_bp), (3, s.infrastructure_bp)) AS b (place, bp)) q;

  -- Operators' lines. A negative line has no weight and is carried into the operator's next epoch.
  WITH line AS (
    SELECT u.operator, sum(u.requests) AS requests, sum(u.input_tokens) AS inputs, sum(u.output_tokens) AS outputs, sum(u.cost) AS gross,
      coalesce((SELECT o.carry_out FROM epoch_operator o WHERE o.operator = u.operator AND o.epoch < p_epoch ORDER BY o.epoch DESC LIMIT 1), 0) AS carry_in
    FROM operator_usage u WHERE u.epoch = p_epoch GROUP BY u.operator
  ), weighted AS (
    SELECT l.*, greatest(0, l.gross + l.carry_in) AS weight, sum(greatest(0, l.gross + l.carry_in)) OVER () AS total_weight FROM line l
  ), floored AS (
    SELECT w.*, CASE WHEN w.total_weight > 0 AND parts[1] > 0 THEN div(parts[1] * w.weight, w.total_weight) ELSE 0 END AS floor_share,
      CASE WHEN w.total_weight > 0 AND parts[1] > 0 THEN mod(parts[1] * w.weight, w.total_weight) ELSE 0 END AS remainder
    FROM weighted w
  ), ranked AS (
    SELECT f.*, row_number() OVER (ORDER BY f.remainder DESC, (f.operator = ''), f.operator) AS rank,
      CASE WHEN f.total_weight > 0 AND parts[1] > 0 THEN parts[1] - sum(f.floor_share) OVER () ELSE 0 END AS left_over
    FROM floored f
  )
  INSERT INTO epoch_operator (epoch, operator, requests, input_tokens, output_tokens, gross, carry_in, share)
    SELECT p_epoch, r.operator, r.requests, r.inputs, r.outputs, r.gross, r.carry_in, r.floor_share + (r.rank <= r.left_over)::int FROM ranked r;

  SELECT coalesce(sum(o.weight), 0), coalesce(sum(o.share) FILTER (WHERE o.operator = ''), 0), coalesce(sum(o.share) FILTER (WHERE o.operator <> ''), 0)
    INTO weights, fallback_share, wallets_share FROM epoch_operator o WHERE o.epoch = p_epoch;
  IF weights = 0 OR parts[1] < 0 THEN
    fallback_share := parts[1];  -- nobody to share it: it goes where fallback goes
  END IF;
  IF s.fallback_to = 'treasury' THEN
    parts[2] := parts[2] + fallback_share;
  ELSE
    parts[3] := parts[3] + fallback_share;
  END IF;
  parts[1] := wallets_share;
  IF parts[1] + parts[2] + parts[3] <> gross_total
    OR (SELECT coalesce(sum(o.gross), 0) FROM epoch_operator o WHERE o.epoch = p_epoch) <> gross_total THEN
    RAISE EXCEPTION 'epoch %: parts do not add up to gross %', p_epoch, gross_total USING ERRCODE = 'data_corrupted';
  END IF;

  INSERT INTO accrual (epoch, payee, role, amount)
    SELECT p_epoch, o.operator, 'operator', o.share FROM epoch_operator o WHERE o.epoch = p_epoch AND o.operator <> '' AND o.share <> 0
    UNION ALL SELECT p_epoch, s.treasury_wallet, 'treasury', parts[2] WHERE parts[2] <> 0
    UNION ALL SELECT p_epoch, s.infrastructure_wallet, 'infrastructure', parts[3] WHERE parts[3] <> 0;

  -- As in paid(): nothing may be paid between the two sums.
  LOCK TABLE payee IN SHARE ROW EXCLUSIVE MODE;
  SELECT coalesce(sum(p.operators), 0) AS o, coalesce(sum(p.infrastructure), 0) AS i, coalesce(sum(p.treasury), 0) AS t INTO before FROM payable p;
  INSERT INTO payee AS p (payee, operator, infrastructure, treasury)
    SELECT a.payee, coalesce(sum(a.amount) FILTER (WHERE a.role = 'operator'), 0),
      coalesce(sum(a.amount) FILTER (WHERE a.role = 'infrastructure'), 0), coalesce(sum(a.amount) FILTER (WHERE a.role = 'treasury'), 0)
    FROM accrual a WHERE a.epoch = p_epoch GROUP BY a.payee ORDER BY a.payee
    ON CONFLICT (payee) DO UPDATE SET operator = p.operator + excluded.operator,
      infrastructure = p.infrastructure + excluded.infrastructure, treasury = p.treasury + excluded.treasury;
  SELECT coalesce(sum(p.operators), 0) AS o, coalesce(sum(p.infrastructure), 0) AS i, coalesce(sum(p.treasury), 0) AS t INTO after FROM payable p;
  PERFORM _post('close', p_epoch::text, ARRAY['users', 'operators', 'infrastructure', 'treasury'],
    ARRAY[gross_total, before.o - after.o, before.i - after.i, before.t - after.t]);

  UPDATE epoch x SET tallied_at = now(), debits = debit_count, gross = gross_total, operators = parts[1], treasury = parts[2], infrastructure = parts[3]
    WHERE x.epoch = p_epoch RETURNING * INTO e;
  RETURN e;
END
$$;
COMMENT ON FUNCTION epoch_tally(bigint) IS 'Adds up a closed epoch once: lines, shares, accruals. Raises data_corrupted when the rollup and a scan differ.';

-- ---------------------------------------------------------------------------------------------------------------------
-- Planning, approving, sending
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION _require_state(p_epoch bigint, VARIADIC p_states text[]) RETURNS epoch
LANGUAGE plpgsql AS $$
DECLARE
  e epoch;
BEGIN
  SELECT * INTO e FROM epoch x WHERE x.epoch = p_epoch FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no epoch %', p_epoch USING ERRCODE = 'no_data_found', HINT = 'settler epoch list shows them.';
  ELSIF NOT e.state = ANY (p_states) THEN
    RAISE EXCEPTION 'epoch % is %, not %', p_epoch, e.state, array_to_string(p_states, ' or ')
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'settler show ' || p_epoch || ' says what can be done.';
  END IF;
  RETURN e;
END
$$;

CREATE FUNCTION plan_store(p_epoch bigint, p_manifest bytea, p_bytes bytea, p_planner bytea, p_signature bytea,
  p_expires timestamptz, p_again boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  e epoch := _require_state(p_epoch, 'closed', 'planned', 'approved');
BEGIN
  IF e.tallied_at IS NULL THEN
    RAISE EXCEPTION 'epoch % is not tallied', p_epoch USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run settler epoch close again.';
  ELSIF EXISTS (SELECT FROM epoch x WHERE x.epoch < p_epoch AND x.state NOT IN ('final', 'cancelled')) THEN
    RAISE EXCEPTION 'an epoch before % is not settled', p_epoch USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Epochs settle in order.';
  ELSIF e.state <> 'closed' AND NOT p_again THEN
    RAISE EXCEPTION 'epoch % has a plan', p_epoch USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Plan --again supersedes it and voids its approvals.';
  END IF;
  UPDATE manifest SET superseded_at = now() WHERE epoch = p_epoch AND superseded_at IS NULL;
  INSERT INTO manifest (manifest, epoch, bytes, planner, signature, expires_at)
    VALUES (p_manifest, p_epoch, p_bytes, p_planner, p_signature, p_expires);
  UPDATE epoch SET state = 'planned' WHERE epoch = p_epoch;
END
$$;

CREATE FUNCTION _require_current(p_manifest bytea, VARIADIC p_states text[]) RETURNS manifest
LANGUAGE plpgsql AS $$
DECLARE
  planned_epoch bigint;
  m manifest;
BEGIN
  SELECT x.epoch INTO planned_epoch FROM manifest x WHERE x.manifest = p_manifest;
  IF FOUND THEN
    PERFORM _require_state(planned_epoch, VARIADIC p_states);
    -- Read under the epoch's lock: whoever plans again holds it while it supersedes.
    SELECT * INTO m FROM manifest x WHERE x.manifest = p_manifest AND x.superseded_at IS NULL;
  END IF;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'manifest 0x% is not the current plan of an epoch', encode(p_manifest, 'hex')
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'settler show names the current one.';
  END IF;
  RETURN m;
END
$$;

CREATE FUNCTION approval_store(p_manifest bytea, p_approver bytea, p_signature bytea, p_complete boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  m manifest := _require_current(p_manifest, 'planned', 'approved');
BEGIN
  IF EXISTS (SELECT FROM revocation r WHERE r.manifest = p_manifest AND r.approver = p_approver) THEN
    RAISE EXCEPTION 'approver % has revoked this manifest', format_address(p_approver)
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Plan --again makes a new one.';
  END IF;
  INSERT INTO approval (manifest, approver, signature) VALUES (p_manifest, p_approver, p_signature) ON CONFLICT DO NOTHING;
  IF p_complete THEN
    UPDATE epoch SET state = 'approved' WHERE epoch = m.epoch AND state = 'planned';
  END IF;
END
$$;
COMMENT ON FUNCTION approval_store(bytea, bytea, bytea, boolean) IS 'Stores an approval; p_complete: the signing host counts enough of them. Sending checks again.';

CREATE FUNCTION approval_revoke(p_manifest bytea, p_approver bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  m manifest := _require_current(p_manifest, 'planned', 'approved');
BEGIN
  INSERT INTO revocation (manifest, approver) VALUES (p_manifest, p_approver) ON CONFLICT DO NOTHING;
  UPDATE epoch SET state = 'planned' WHERE epoch = m.epoch AND state = 'approved';
END
$$;

CREATE FUNCTION epoch_cancel(p_epoch bigint, p_reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  e epoch := _require_state(p_epoch, 'closed', 'planned', 'approved');
BEGIN
  IF EXISTS (SELECT FROM transaction t WHERE t.epoch = p_epoch) THEN
    RAISE EXCEPTION 'epoch % has signed transactions', p_epoch USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Signed bytes may have been sent: settler resume finishes the epoch.';
  END IF;
  UPDATE manifest SET superseded_at = now() WHERE epoch = p_epoch AND superseded_at IS NULL;
  UPDATE epoch SET state = 'cancelled', cancelled_reason = p_reason, settled_at = now() WHERE epoch = p_epoch;
END
$$;
COMMENT ON FUNCTION epoch_cancel(bigint, text) IS 'Gives up an epoch''s plan before anything was signed. What it accrued stays owed and is in the next plan.';

-- Gives a payload its nonce and stores its first signed bytes, before any endpoint sees them. The nonce is the ledger's next.
CREATE FUNCTION transaction_store(p_manifest bytea, p_kind text, p_chunk int, p_chain bigint, p_sender bytea, p_nonce bigint,
  p_recipient bytea, p_value numeric, p_data bytea, p_gas bigint, p_hash bytea, p_raw bytea, p_max_fee numeric, p_priority_fee numeric) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  m manifest := _require_current(p_manifest, 'approved', 'charging', 'paying');
  last_nonce bigint;
  added bigint;
BEGIN
  IF (p_kind = 'charge') <> ((SELECT state FROM epoch WHERE epoch = m.epoch) IN ('approved', 'charging')) THEN
    RAISE EXCEPTION 'epoch % is %: no % is due', m.epoch, (SELECT state FROM epoch WHERE epoch = m.epoch), p_kind
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  SELECT max(t.nonce) INTO last_nonce FROM transaction t WHERE t.chain_id = p_chain AND t.sender = p_sender;
  IF p_nonce <> last_nonce + 1 THEN
    RAISE EXCEPTION 'nonce % does not follow the ledger''s last nonce %', p_nonce, last_nonce
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Another settler may have been at work. Read the ledger again.';
  END IF;
  INSERT INTO transaction (chain_id, sender, nonce, epoch, manifest, kind, chunk, recipient, value, data, gas_limit)
    VALUES (p_chain, p_sender, p_nonce, m.epoch, p_manifest, p_kind, p_chunk, p_recipient, p_value, p_data, p_gas)
    RETURNING transaction_id INTO added;
  INSERT INTO attempt (hash, transaction_id, kind, raw, max_fee, priority_fee) VALUES (p_hash, added, p_kind, p_raw, p_max_fee, p_priority_fee);
  UPDATE epoch SET state = CASE p_kind WHEN 'charge' THEN 'charging' ELSE 'paying' END WHERE epoch = m.epoch;
  RETURN added;
END
$$;

-- Stores a replacement: same nonce and payload, both fees higher.
CREATE FUNCTION attempt_store(p_transaction bigint, p_kind text, p_hash bytea, p_raw bytea, p_max_fee numeric, p_priority_fee numeric) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  t transaction;
BEGIN
  SELECT * INTO STRICT t FROM transaction x WHERE x.transaction_id = p_transaction FOR UPDATE;
  IF t.state IN ('final', 'reverted') THEN
    RAISE EXCEPTION 'transaction with nonce % is %: nothing replaces it', t.nonce, t.state USING ERRCODE = 'object_not_in_prerequisite_state';
  ELSIF EXISTS (SELECT FROM attempt a WHERE a.transaction_id = p_transaction AND (a.max_fee >= p_max_fee OR a.priority_fee >= p_priority_fee)) THEN
    RAISE EXCEPTION 'a replacement raises both fees' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO attempt (hash, transaction_id, kind, raw, max_fee, priority_fee) VALUES (p_hash, p_transaction, p_kind, p_raw, p_max_fee, p_priority_fee);
END
$$;

CREATE FUNCTION broadcast_store(p_hash bytea, p_endpoint text, p_outcome text, p_accepted boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
BEGIN
  INSERT INTO broadcast (hash, endpoint, outcome) VALUES (p_hash, left(p_endpoint, 200), left(p_outcome, 500));
  UPDATE transaction t SET state = CASE WHEN p_accepted THEN 'sent' ELSE 'unknown' END, state_at = now()
    FROM attempt a WHERE a.hash = p_hash AND t.transaction_id = a.transaction_id
      AND t.state IN ('signed', 'unknown');
END
$$;
COMMENT ON FUNCTION broadcast_store(bytea, text, text, boolean) IS 'Notes what an endpoint answered. Anything but acceptance is unknown, never failed.';

-- What the chain says of a transaction, from a proven receipt; or that it is no longer mined (p_state unknown, after a reorg).
CREATE FUNCTION transaction_outcome(p_transaction bigint, p_state text, p_hash bytea DEFAULT NULL, p_block bigint DEFAULT NULL,
  p_block_hash bytea DEFAULT NULL, p_gas_used bigint DEFAULT NULL, p_gas_price numeric DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  t transaction;
BEGIN
  SELECT * INTO STRICT t FROM transaction x WHERE x.transaction_id = p_transaction FOR UPDATE;
  IF p_state IS NULL OR p_state NOT IN ('unknown', 'mined', 'reverted', 'final') THEN
    RAISE EXCEPTION '% is no outcome of a transaction', p_state
      USING ERRCODE = 'invalid_parameter_value', HINT = 'It is unknown, mined, reverted or final.';
  ELSIF t.state IN ('final', 'reverted') THEN
    IF (t.state, t.outcome_hash) IS DISTINCT FROM (p_state, p_hash::hash32) THEN
      RAISE EXCEPTION 'transaction with nonce % is % for good', t.nonce, t.state USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN;
  ELSIF p_hash IS NOT NULL AND NOT EXISTS (SELECT FROM attempt a WHERE a.hash = p_hash AND a.transaction_id = p_transaction) THEN
    RAISE EXCEPTION 'hash 0x% is no attempt of this transaction', encode(p_hash, 'hex') USING ERRCODE = 'invalid_parameter_value';
  ELSIF p_state IN ('final', 'reverted') AND NOT EXISTS (
      SELECT FROM block b JOIN watermark w ON w.chain_id = b.chain_id AND b.number <= w.applied_to
      WHERE b.chain_id = t.chain_id AND b.hash = p_block_hash AND b.number = p_block AND b.orphaned_at IS NULL) THEN
    RAISE EXCEPTION 'block % is not proven and final in this ledger', p_block
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Wait for the indexer.';
  ELSIF p_state = 'reverted' AND EXISTS (SELECT FROM chain_event e
      WHERE e.chain_id = t.chain_id AND e.vault = t.recipient AND e.tx_hash = p_hash AND e.status <> 'orphaned') THEN
    -- A reverted transaction leaves no logs; what is owed again would be paid twice.
    RAISE EXCEPTION 'transaction 0x% left events, so it did not revert', encode(p_hash, 'hex')
      USING ERRCODE = 'data_corrupted', HINT = 'The endpoints contradict what is proven. Nothing was changed.';
  END IF;
  UPDATE transaction SET state = p_state, state_at = now(), outcome_hash = p_hash, outcome_block = p_block, outcome_block_hash = p_block_hash,
    gas_used = p_gas_used, gas_price = p_gas_price WHERE transaction_id = p_transaction;
END
$$;

-- Stores what the waterfall computed, once, when every charge is final; the epoch is then paying, or final if nothing is to be paid.
CREATE FUNCTION waterfall_store(p_manifest bytea, p_block bigint, p_block_hash bytea, p_pool numeric,
  p_payees bytea[], p_amounts numeric[], p_totals numeric[], p_chunks int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  m manifest := _require_current(p_manifest, 'approved', 'charging');
BEGIN
  IF EXISTS (SELECT FROM transaction t WHERE t.manifest = p_manifest AND t.kind = 'charge' AND t.state NOT IN ('final', 'reverted')) THEN
    RAISE EXCEPTION 'not every charge of epoch % is final', m.epoch USING ERRCODE = 'object_not_in_prerequisite_state';
  ELSIF EXISTS (SELECT FROM unnest(p_amounts || p_totals || p_pool) AS a WHERE is_wei(a) IS NOT TRUE) THEN
    -- Their columns would round 0.5 to 1, and the sum of what is stored could exceed the pool.
    RAISE EXCEPTION 'a payout is not a whole number of wei within uint256' USING ERRCODE = 'numeric_value_out_of_range';
  ELSIF (SELECT coalesce(sum(a), 0) FROM unnest(p_amounts) AS a) > p_pool THEN
    RAISE EXCEPTION 'payouts exceed the pool of % wei', p_pool USING ERRCODE = 'check_violation';
  END IF;
  INSERT INTO waterfall (manifest, block_number, block_hash, pool) VALUES (p_manifest, p_block, p_block_hash, p_pool);
  INSERT INTO payout (manifest, payee, amount, total, chunk) SELECT p_manifest, p.* FROM unnest(p_payees, p_amounts, p_totals, p_chunks) AS p;
  UPDATE epoch SET state = 'paying' WHERE epoch = m.epoch;
END
$$;

CREATE FUNCTION epoch_finish(p_epoch bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  e epoch := _require_state(p_epoch, 'paying', 'final');
BEGIN
  IF e.state = 'final' THEN
    RETURN;
  END IF;
  IF EXISTS (SELECT FROM transaction t WHERE t.epoch = p_epoch AND t.state NOT IN ('final', 'reverted'))
    OR EXISTS (SELECT FROM manifest m JOIN payout p ON p.manifest = m.manifest
      WHERE m.epoch = p_epoch AND m.superseded_at IS NULL AND NOT EXISTS (
        SELECT FROM transaction t WHERE t.manifest = m.manifest AND t.kind = 'pay' AND t.chunk = p.chunk AND t.state = 'final')) THEN
    RAISE EXCEPTION 'not every payout of epoch % is final', p_epoch USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  UPDATE epoch SET state = 'final', settled_at = now() WHERE epoch = p_epoch;
END
$$;

CREATE FUNCTION payee_hold(p_payee bytea, p_held boolean, p_reason text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
  INSERT INTO payee_rule (payee, held, reason) VALUES (p_payee, p_held, p_reason)
$$;

GRANT SELECT ON manifest, approval, revocation, waterfall, payout, transaction, attempt, broadcast, payee_rule, held_payee, seal, unapproved_settlement
  TO credits_indexer, credits_settler, credits_auditor, credits_sealer;
GRANT SELECT, UPDATE ON settler_of_ledger TO credits_settler;
GRANT INSERT ON seal TO credits_sealer;
GRANT EXECUTE ON FUNCTION epoch_close, epoch_tally, plan_store, approval_store, approval_revoke, epoch_cancel, transaction_store,
  attempt_store, broadcast_store, transaction_outcome, waterfall_store, epoch_finish, payee_hold TO credits_settler;
