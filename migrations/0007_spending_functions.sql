-- Spending: debit, debit_batch, authorise, capture, release, refund, quote. The interface of every metering client.
--
-- Outcomes are statuses, misuse is an exception. Order of locks, everywhere: fence, balance row, hold row, rollup row.
-- Parameter names are the contract (called by name), so bodies work with $n aliases and qualified columns.
-- Locks: rows, and ROW SHARE on the fence. Tests: Tests/LedgerTests/{Debit,Hold,Refund,Concurrency}Tests.swift.

SET LOCAL ROLE credits_owner;
SET LOCAL search_path = credits, public, pg_temp;

-- Quantities by unit as an object of whole, non-negative numbers; null when it is something else.
CREATE FUNCTION _units(p_units jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
#variable_conflict use_column
DECLARE
  normal jsonb;
BEGIN
  IF p_units IS NULL THEN
    RETURN '{}';
  ELSIF jsonb_typeof(p_units) <> 'object' THEN
    RETURN NULL;
  END IF;
  IF EXISTS (SELECT FROM jsonb_each(p_units) AS u (unit, quantity)
      WHERE jsonb_typeof(u.quantity) <> 'number' OR u.unit !~ '^[a-z][a-z0-9_]{0,63}$' OR u.unit IN ('input_token', 'output_token')) THEN
    RETURN NULL;
  END IF;
  IF EXISTS (SELECT FROM jsonb_each_text(p_units) AS u (unit, quantity)
      WHERE u.quantity::numeric < 0 OR u.quantity::numeric <> trunc(u.quantity::numeric) OR u.quantity::numeric > 9223372036854775807) THEN
    RETURN NULL;
  END IF;
  SELECT coalesce(jsonb_object_agg(u.unit, trunc(u.quantity::numeric)), '{}') INTO normal FROM jsonb_each_text(p_units) AS u (unit, quantity);
  RETURN normal;
END
$$;

-- What usage costs at a time. cost is null when a unit that was used has no price then.
CREATE FUNCTION _cost(p_model text, p_input bigint, p_output bigint, p_units jsonb, p_at timestamptz, OUT cost numeric, OUT prices int[])
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  quantity numeric;
  used text;
  found_price record;
BEGIN
  cost := 0;
  prices := '{}';
  FOR used, quantity IN
    SELECT 'input_token', p_input WHERE p_input > 0
    UNION ALL SELECT 'output_token', p_output WHERE p_output > 0
    UNION ALL SELECT u.key, u.value::numeric FROM jsonb_each_text(p_units) AS u WHERE p_units <> '{}'
  LOOP
    SELECT p.price_id, p.wei, p.valid_to INTO found_price FROM price p
      WHERE p.model = p_model AND p.unit = used AND p.valid_from <= p_at ORDER BY p.valid_from DESC LIMIT 1;
    IF NOT FOUND OR found_price.valid_to <= p_at THEN
      cost := NULL;
      RETURN;
    END IF;
    cost := cost + quantity * found_price.wei;
    prices := prices || found_price.price_id;
  END LOOP;
  IF prices = '{}' AND NOT EXISTS (SELECT FROM price p WHERE p.model = p_model AND p.valid_from <= p_at AND (p.valid_to IS NULL OR p.valid_to > p_at)) THEN
    cost := NULL;
  END IF;
END
$$;

-- Whom a node's work is owed to at a time: a wallet, or empty for fallback; null for an unknown node.
CREATE FUNCTION _operator_of(p_node text, p_at timestamptz) RETURNS bytea
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_node = 'fallback' THEN ''::bytea
    ELSE (SELECT n.wallet::bytea FROM node n WHERE n.node = p_node AND n.valid_from <= p_at AND (n.valid_to IS NULL OR n.valid_to > p_at)) END
$$;

CREATE FUNCTION _digest(VARIADIC body text[]) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$ SELECT substr(sha256(convert_to(to_json(body)::text, 'UTF8')), 1, 16) $$;

CREATE FUNCTION _rollup(p_epoch bigint, p_operators bytea[], p_requests bigint[], p_inputs bigint[], p_outputs bigint[], p_costs numeric[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO operator_usage AS u (epoch, operator, shard, requests, input_tokens, output_tokens, cost)
    SELECT p_epoch, w.operator, (pg_backend_pid() % 16)::smallint, sum(w.requests), sum(w.inputs), sum(w.outputs), sum(w.cost)
    FROM unnest(p_operators, p_requests, p_inputs, p_outputs, p_costs) AS w (operator, requests, inputs, outputs, cost)
    GROUP BY w.operator ORDER BY w.operator
    ON CONFLICT (epoch, operator, shard) DO UPDATE SET requests = u.requests + excluded.requests,
      input_tokens = u.input_tokens + excluded.input_tokens, output_tokens = u.output_tokens + excluded.output_tokens,
      cost = u.cost + excluded.cost
$$;

-- Why a spend of this cost was refused, asked after the guarded UPDATE found no row.
CREATE FUNCTION _refusal(p_account bytea, p_cost numeric, OUT status text, OUT spendable numeric)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  b balance;
BEGIN
  SELECT * INTO b FROM balance x WHERE x.account = p_account;
  spendable := b.spendable;
  status := CASE
    WHEN b.account IS NULL THEN 'unknown_account'
    WHEN b.frozen THEN 'frozen'
    WHEN b.spendable >= p_cost AND b.unsettled + b.held + p_cost > b.exposure_limit THEN 'exposure'
    ELSE 'insufficient' END;
END
$$;

-- Moves a net amount into an account: debt is repaid first. Also changes held and unsettled.
CREATE FUNCTION _shift(p_account bytea, p_net numeric, p_held numeric, p_unsettled numeric) RETURNS numeric
LANGUAGE sql AS $$
  UPDATE balance b SET spendable = greatest(0, b.spendable - b.debt + p_net), debt = greatest(0, b.debt - b.spendable - p_net),
    held = b.held + p_held, unsettled = b.unsettled + p_unsettled, version = b.version + 1
    WHERE b.account = p_account RETURNING b.spendable
$$;

-- Gives back what a hold still holds. The caller has locked the account's row.
CREATE FUNCTION _end_hold(p_account bytea, p_request text, p_state text) RETURNS numeric
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  given_back numeric;
BEGIN
  SELECT h.remaining INTO given_back FROM hold h WHERE h.account = p_account AND h.request_id = p_request AND h.state = 'open' FOR UPDATE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  UPDATE hold h SET state = p_state, remaining = 0 WHERE h.account = p_account AND h.request_id = p_request;
  PERFORM _shift(p_account, given_back, -given_back, 0);
  RETURN given_back;
END
$$;

-- Ends an account's expired holds, and says whether there was one. Spending that would be refused asks: what a client authorised
-- and forgot must not lie there until somebody calls sweep_holds().
CREATE FUNCTION _end_expired_holds(p_account bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  due text;
  ended boolean := false;
BEGIN
  IF NOT EXISTS (SELECT FROM hold h WHERE h.account = p_account AND h.state = 'open' AND h.expires_at <= now()) THEN
    RETURN false;
  END IF;
  PERFORM 1 FROM balance b WHERE b.account = p_account FOR NO KEY UPDATE;
  FOR due IN SELECT h.request_id FROM hold h WHERE h.account = p_account AND h.state = 'open' AND h.expires_at <= now() LOOP
    ended := _end_hold(p_account, due, 'expired') IS NOT NULL OR ended;
  END LOOP;
  RETURN ended;
END
$$;

-- One debit. p_rollup false leaves the operators' totals to the caller, who adds them once for a whole batch.
CREATE FUNCTION _debit(p_account bytea, p_request text, p_model text, p_input bigint, p_output bigint, p_node text,
  p_units jsonb, p_at timestamptz, p_proof bytea, p_rollup boolean,
  OUT status text, OUT cost numeric, OUT spendable numeric, OUT operator bytea, OUT epoch bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  clean_units jsonb := _units(p_units);
  used_at timestamptz := coalesce(p_at, now());
  body bytea;
  known record;
  rules record;
  used_prices int[];
  taken boolean;
BEGIN
  IF octet_length(p_account) IS DISTINCT FROM 20 OR length(p_request) NOT BETWEEN 1 AND 200 OR p_request IS NULL
    OR p_model IS NULL OR p_input IS NULL OR p_input < 0 OR p_output IS NULL OR p_output < 0
    OR clean_units IS NULL OR (p_proof IS NOT NULL AND octet_length(p_proof) <> 32) OR NOT isfinite(used_at) THEN
    status := 'invalid';
    RETURN;
  END IF;
  body := _digest(p_model, p_node, p_input::text, p_output::text, clean_units::text, encode(p_proof, 'hex'));

  SELECT k.cost, k.digest INTO known FROM debit_key k WHERE k.account = p_account AND k.request_id = p_request AND k.part = 0;
  IF NOT FOUND THEN
    LOCK TABLE fence IN ROW SHARE MODE;
    SELECT e.epoch, e.opened_at, s.max_skew, s.max_staleness INTO STRICT rules FROM epoch e, setting s WHERE e.state = 'open';
    IF used_at > now() + rules.max_skew THEN
      status := 'invalid';
      RETURN;
    END IF;
    operator := _operator_of(p_node, used_at);
    SELECT c.cost, c.prices INTO cost, used_prices FROM _cost(p_model, p_input, p_output, clean_units, used_at) c;
    status := CASE WHEN cost IS NULL THEN 'no_rate' WHEN NOT is_wei(cost) THEN 'invalid' WHEN operator IS NULL THEN 'unknown_node' END;
    IF status IS NULL AND rules.max_staleness IS NOT NULL
      AND EXISTS (SELECT FROM watermark w WHERE w.head_at IS NULL OR w.head_at < now() - rules.max_staleness) THEN
      status := 'stale';
      SELECT b.spendable INTO spendable FROM balance b WHERE b.account = p_account;
      IF NOT FOUND THEN
        status := 'unknown_account';
      END IF;
    ELSIF status IS NULL THEN
      LOOP
        UPDATE balance b SET spendable = b.spendable - _debit.cost, unsettled = b.unsettled + _debit.cost, version = b.version + 1
          WHERE b.account = p_account AND b.spendable >= _debit.cost AND NOT b.frozen
            AND (b.exposure_limit IS NULL OR b.unsettled + b.held + _debit.cost <= b.exposure_limit)
          RETURNING b.spendable INTO spendable;
        taken := FOUND;
        EXIT WHEN taken OR NOT _end_expired_holds(p_account);
      END LOOP;
      IF taken THEN
        INSERT INTO debit_key (account, request_id, part, epoch, cost, digest)
          VALUES (p_account, p_request, 0, rules.epoch, _debit.cost, body) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          INSERT INTO debit (epoch, account, request_id, part, model, node, operator, input_tokens, output_tokens, units,
              prices, cost, at, late, proof)
            VALUES (rules.epoch, p_account, p_request, 0, p_model, p_node, _debit.operator, p_input, p_output,
              nullif(clean_units, '{}'), used_prices, _debit.cost, used_at, used_at < rules.opened_at, p_proof);
          IF p_rollup THEN
            INSERT INTO operator_usage AS u (epoch, operator, shard, requests, input_tokens, output_tokens, cost)
              VALUES (rules.epoch, _debit.operator, pg_backend_pid() % 16, 1, p_input, p_output, _debit.cost)
              ON CONFLICT (epoch, operator, shard) DO UPDATE SET requests = u.requests + 1,
                input_tokens = u.input_tokens + excluded.input_tokens, output_tokens = u.output_tokens + excluded.output_tokens,
                cost = u.cost + excluded.cost;
          END IF;
          epoch := rules.epoch;
          status := 'ok';
          RETURN;
        END IF;
        -- The same request was debited while this call waited for the account's row: take nothing, answer as a replay.
        UPDATE balance b SET spendable = b.spendable + _debit.cost, unsettled = b.unsettled - _debit.cost
          WHERE b.account = p_account;
      ELSE
        SELECT r.status, r.spendable INTO status, spendable FROM _refusal(p_account, cost) r;
      END IF;
    END IF;
    SELECT k.cost, k.digest INTO known FROM debit_key k WHERE k.account = p_account AND k.request_id = p_request AND k.part = 0;
    IF NOT FOUND THEN
      IF status IN ('insufficient', 'exposure', 'frozen', 'stale') THEN
        INSERT INTO uncollected (account, request_id, part, reason, model, node, operator, input_tokens, output_tokens, units, cost, at, epoch)
          VALUES (p_account, p_request, 0, _debit.status, p_model, p_node, _debit.operator, p_input, p_output,
            nullif(clean_units, '{}'), _debit.cost, used_at, rules.epoch)
          ON CONFLICT DO NOTHING;
      ELSE
        cost := NULL;
      END IF;
      operator := NULL;
      RETURN;
    END IF;
  END IF;
  SELECT b.spendable INTO spendable FROM balance b WHERE b.account = p_account;
  operator := NULL;
  IF known.digest = body THEN
    status := 'replay';
    cost := known.cost;
  ELSE
    status := 'conflict';
    cost := NULL;
  END IF;
END
$$;

CREATE FUNCTION debit(request_id text, account bytea, model text, input_tokens bigint, output_tokens bigint, node text,
  units jsonb DEFAULT NULL, at timestamptz DEFAULT NULL, proof bytea DEFAULT NULL,
  OUT status text, OUT cost numeric, OUT spendable numeric)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM _require_read_committed();
  SELECT d.status, d.cost, d.spendable INTO status, cost, spendable
    FROM _debit($2, $1, $3, $4, $5, $6, $7, $8, $9, true) d;
END
$$;
COMMENT ON FUNCTION debit(text, bytea, text, bigint, bigint, text, jsonb, timestamptz, bytea) IS
  'Debits one served message, once per (account, request_id). Statuses: ok, replay, conflict, insufficient, exposure, stale, frozen, no_rate, unknown_account, unknown_node, invalid. Amounts in wei.';

CREATE FUNCTION debit_batch(request_id text[], account bytea[], model text[], input_tokens bigint[], output_tokens bigint[],
  node text[], units jsonb[] DEFAULT NULL, at timestamptz[] DEFAULT NULL, proof bytea[] DEFAULT NULL)
RETURNS TABLE (status text, cost numeric, spendable numeric)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
#variable_conflict use_column
DECLARE
  size int := coalesce(cardinality($1), 0);
  statuses text[] := array_fill(NULL::text, ARRAY[greatest(size, 1)]);
  costs numeric[] := array_fill(NULL::numeric, ARRAY[greatest(size, 1)]);
  left_over numeric[] := array_fill(NULL::numeric, ARRAY[greatest(size, 1)]);
  row_number int;
  answer record;
  open_epoch bigint;
  w_operator bytea[] := '{}';
  w_requests bigint[] := '{}';
  w_input bigint[] := '{}';
  w_output bigint[] := '{}';
  w_cost numeric[] := '{}';
BEGIN
  PERFORM _require_read_committed();
  IF size > 10000 OR size IS DISTINCT FROM coalesce(cardinality($2), 0) OR size IS DISTINCT FROM coalesce(cardinality($3), 0)
    OR size IS DISTINCT FROM coalesce(cardinality($4), 0) OR size IS DISTINCT FROM coalesce(cardinality($5), 0)
    OR size IS DISTINCT FROM coalesce(cardinality($6), 0) OR size <> coalesce(cardinality($7), size)
    OR size <> coalesce(cardinality($8), size) OR size <> coalesce(cardinality($9), size) THEN
    RAISE EXCEPTION 'debit_batch needs arrays of one length, at most 10000' USING ERRCODE = 'array_subscript_error';
  END IF;
  FOR row_number IN SELECT i FROM generate_series(1, size) AS i ORDER BY $2[i], i LOOP
    SELECT * INTO answer FROM _debit($2[row_number], $1[row_number], $3[row_number], $4[row_number], $5[row_number],
      $6[row_number], $7[row_number], $8[row_number], $9[row_number], false);
    statuses[row_number] := answer.status;
    costs[row_number] := answer.cost;
    left_over[row_number] := answer.spendable;
    IF answer.status = 'ok' THEN
      open_epoch := answer.epoch;
      w_operator := w_operator || answer.operator;
      w_requests := w_requests || 1::bigint;
      w_input := w_input || $4[row_number];
      w_output := w_output || $5[row_number];
      w_cost := w_cost || answer.cost;
    END IF;
  END LOOP;
  IF open_epoch IS NOT NULL THEN
    PERFORM _rollup(open_epoch, w_operator, w_requests, w_input, w_output, w_cost);
  END IF;
  RETURN QUERY SELECT statuses[i], costs[i], left_over[i] FROM generate_series(1, size) AS i ORDER BY i;
END
$$;
COMMENT ON FUNCTION debit_batch(text[], bytea[], text[], bigint[], bigint[], text[], jsonb[], timestamptz[], bytea[]) IS
  'Many debits in one transaction: a row of (status, cost, spendable) each, in the order given. The good ones are kept whatever the others say.';

CREATE FUNCTION authorise(request_id text, account bytea, model text, input_tokens bigint, max_output_tokens bigint,
  node text DEFAULT NULL, units jsonb DEFAULT NULL, ttl interval DEFAULT NULL, at timestamptz DEFAULT NULL,
  OUT status text, OUT amount numeric, OUT expires_at timestamptz, OUT spendable numeric)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
#variable_conflict use_column
DECLARE
  clean_units jsonb := _units($7);
  used_at timestamptz := coalesce($9, now());
  rules setting;
  body bytea;
  known hold;
  pinned jsonb;
  priced record;
  ends_at timestamptz;
  taken boolean;
BEGIN
  PERFORM _require_read_committed();
  SELECT * INTO STRICT rules FROM setting;
  IF octet_length($2) IS DISTINCT FROM 20 OR $1 IS NULL OR length($1) NOT BETWEEN 1 AND 200 OR $3 IS NULL
    OR $4 IS NULL OR $4 < 0 OR $5 IS NULL OR $5 < 0 OR clean_units IS NULL OR NOT isfinite(used_at)
    OR used_at > now() + rules.max_skew OR coalesce($8, rules.hold_ttl) > interval '7 days' THEN
    status := 'invalid';
    RETURN;
  END IF;
  -- Compared as a time: '1200 mons -35999 days' is a day to the interval comparison and a year and a half to the clock.
  ends_at := now() + coalesce($8, rules.hold_ttl);
  IF ends_at <= now() OR ends_at > now() + interval '7 days' THEN
    status := 'invalid';
    RETURN;
  END IF;
  IF $6 IS NOT NULL AND _operator_of($6, used_at) IS NULL THEN
    status := 'unknown_node';
    RETURN;
  END IF;
  body := _digest('hold', $3, $6, $4::text, $5::text, clean_units::text);
  -- The account's row first, here as everywhere, so that two calls for one request meet at it.
  SELECT b.spendable INTO spendable FROM balance b WHERE b.account = $2 FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    status := 'unknown_account';
    RETURN;
  END IF;
  SELECT * INTO known FROM hold h WHERE h.account = $2 AND h.request_id = $1;
  IF FOUND THEN
    status := CASE WHEN known.digest <> body THEN 'conflict' WHEN known.state IN ('released', 'expired') THEN known.state ELSE 'replay' END;
    IF status <> 'conflict' THEN
      amount := known.amount;
      expires_at := known.expires_at;
    END IF;
    RETURN;
  END IF;
  IF EXISTS (SELECT FROM debit_key k WHERE k.account = $2 AND k.request_id = $1) THEN
    status := 'conflict';
    RETURN;
  END IF;
  SELECT c.cost, c.prices INTO priced FROM _cost($3, $4, $5, clean_units, used_at) c;
  amount := priced.cost;
  IF amount IS NULL THEN
    status := 'no_rate';
    RETURN;
  ELSIF NOT is_wei(amount) THEN
    status := 'invalid';
    amount := NULL;
    RETURN;
  ELSIF rules.max_staleness IS NOT NULL
    AND EXISTS (SELECT FROM watermark w WHERE w.head_at IS NULL OR w.head_at < now() - rules.max_staleness) THEN
    status := 'stale';
    RETURN;
  END IF;
  -- Every price of the model is pinned: the capture may use units that the estimate did not name.
  SELECT coalesce(jsonb_object_agg(p.unit, jsonb_build_array(p.price_id, p.wei::text)), '{}') INTO pinned FROM price p
    WHERE p.model = $3 AND p.valid_from <= used_at AND (p.valid_to IS NULL OR p.valid_to > used_at);
  LOOP
    UPDATE balance b SET spendable = b.spendable - authorise.amount, held = b.held + authorise.amount, version = b.version + 1
      WHERE b.account = $2 AND b.spendable >= authorise.amount AND NOT b.frozen
        AND (b.exposure_limit IS NULL OR b.unsettled + b.held + authorise.amount <= b.exposure_limit)
      RETURNING b.spendable INTO spendable;
    taken := FOUND;
    EXIT WHEN taken OR NOT _end_expired_holds($2);
  END LOOP;
  IF NOT taken THEN
    SELECT r.status, r.spendable INTO status, spendable FROM _refusal($2, amount) r;
    RETURN;
  END IF;
  expires_at := ends_at;
  INSERT INTO hold (account, request_id, amount, remaining, model, node, prices, priced_at, digest, expires_at)
    VALUES ($2, $1, authorise.amount, authorise.amount, $3, $6, pinned, used_at, body, authorise.expires_at);
  status := 'ok';
END
$$;
COMMENT ON FUNCTION authorise(text, bytea, text, bigint, bigint, text, jsonb, interval, timestamptz) IS
  'Holds the most a message can cost and pins its prices. Statuses: ok, replay, conflict, insufficient, exposure, stale, frozen, no_rate, unknown_account, unknown_node, released, expired, invalid.';

CREATE FUNCTION capture(request_id text, account bytea, input_tokens bigint, output_tokens bigint, node text DEFAULT NULL,
  units jsonb DEFAULT NULL, proof bytea DEFAULT NULL, part int DEFAULT 0, final boolean DEFAULT true,
  OUT status text, OUT cost numeric, OUT spendable numeric)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
#variable_conflict use_column
DECLARE
  clean_units jsonb := _units($6);
  rules record;
  h hold;
  known record;
  body bytea;
  served_by text;
  owed_to bytea;
  used record;
  full_cost numeric := 0;
  used_prices int[] := '{}';
  from_hold numeric;
  extra numeric;
  given_up numeric;
BEGIN
  PERFORM _require_read_committed();
  IF octet_length($2) IS DISTINCT FROM 20 OR $1 IS NULL OR $3 IS NULL OR $3 < 0 OR $4 IS NULL OR $4 < 0 OR clean_units IS NULL
    OR $8 IS NULL OR $8 < 0 OR $9 IS NULL OR ($7 IS NOT NULL AND octet_length($7) <> 32) THEN
    status := 'invalid';
    RETURN;
  END IF;
  LOCK TABLE fence IN ROW SHARE MODE;
  SELECT e.epoch, e.opened_at INTO STRICT rules FROM epoch e WHERE e.state = 'open';
  SELECT b.spendable INTO spendable FROM balance b WHERE b.account = $2 FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    status := 'unknown_account';
    RETURN;
  END IF;
  SELECT * INTO h FROM hold x WHERE x.account = $2 AND x.request_id = $1 FOR UPDATE;
  IF NOT FOUND THEN
    status := 'no_hold';
    RETURN;
  END IF;
  served_by := coalesce($5, h.node);
  body := _digest('capture', served_by, $3::text, $4::text, clean_units::text, encode($7, 'hex'), $9::text);
  SELECT k.cost, k.digest INTO known FROM debit_key k WHERE k.account = $2 AND k.request_id = $1 AND k.part = $8;
  IF FOUND THEN
    status := CASE WHEN known.digest = body THEN 'replay' ELSE 'conflict' END;
    cost := CASE WHEN known.digest = body THEN known.cost END;
    RETURN;
  ELSIF h.state IN ('captured', 'released') THEN
    status := CASE h.state WHEN 'released' THEN 'released' ELSE 'conflict' END;
    RETURN;
  END IF;
  -- A request is served whole by one node: a refund, which knows no parts, goes back to the operator who was paid.
  IF served_by <> h.node THEN
    status := 'conflict';
    RETURN;
  END IF;
  owed_to := _operator_of(served_by, h.priced_at);
  IF owed_to IS NULL THEN
    status := 'unknown_node';
    RETURN;
  END IF;
  FOR used IN
    SELECT q.unit, q.quantity, h.prices -> q.unit AS pinned
    FROM (SELECT 'input_token' AS unit, $3::numeric AS quantity WHERE $3 > 0
      UNION ALL SELECT 'output_token', $4::numeric WHERE $4 > 0
      UNION ALL SELECT u.key, u.value::numeric FROM jsonb_each_text(clean_units) AS u) AS q
  LOOP
    IF used.pinned IS NULL THEN
      status := 'no_rate';
      RETURN;
    END IF;
    full_cost := full_cost + used.quantity * (used.pinned ->> 1)::numeric;
    used_prices := used_prices || (used.pinned ->> 0)::int;
  END LOOP;
  IF NOT is_wei(full_cost) THEN
    status := 'invalid';
    RETURN;
  END IF;
  IF h.state = 'open' AND h.expires_at <= now() THEN
    PERFORM _end_hold($2, $1, 'expired');
    h.state := 'expired';
    h.remaining := 0;
  END IF;

  from_hold := least(full_cost, h.remaining);
  extra := full_cost - from_hold;
  IF extra > 0 THEN
    UPDATE balance b SET spendable = b.spendable - extra, unsettled = b.unsettled + extra, version = b.version + 1
      WHERE b.account = $2 AND b.spendable >= extra AND NOT b.frozen
        AND (b.exposure_limit IS NULL OR b.unsettled + b.held + extra <= b.exposure_limit);
    IF NOT FOUND AND h.state = 'expired' THEN
      INSERT INTO uncollected (account, request_id, part, reason, model, node, operator, input_tokens, output_tokens, units, cost, at, epoch)
        VALUES ($2, $1, $8, 'expired', h.model, served_by, owed_to, $3, $4, nullif(clean_units, '{}'), full_cost, h.priced_at, rules.epoch)
        ON CONFLICT DO NOTHING;
      SELECT b.spendable INTO spendable FROM balance b WHERE b.account = $2;
      status := 'expired';
      cost := full_cost;
      RETURN;
    ELSIF NOT FOUND THEN
      given_up := extra;
      extra := 0;
    END IF;
  END IF;
  cost := from_hold + extra;
  IF from_hold > 0 THEN
    UPDATE balance b SET held = b.held - from_hold, unsettled = b.unsettled + from_hold, version = b.version + 1 WHERE b.account = $2;
    UPDATE hold x SET remaining = x.remaining - from_hold WHERE x.account = $2 AND x.request_id = $1;
  END IF;
  IF h.node IS NULL THEN
    UPDATE hold x SET node = served_by WHERE x.account = $2 AND x.request_id = $1;
  END IF;
  INSERT INTO debit_key (account, request_id, part, epoch, cost, digest) VALUES ($2, $1, $8, rules.epoch, capture.cost, body);
  INSERT INTO debit (epoch, account, request_id, part, model, node, operator, input_tokens, output_tokens, units, prices, cost, forgone, at, late, proof)
    VALUES (rules.epoch, $2, $1, $8, h.model, served_by, owed_to, $3, $4, nullif(clean_units, '{}'), used_prices,
      capture.cost, given_up, h.priced_at, h.priced_at < rules.opened_at, $7);
  IF $9 THEN
    PERFORM _end_hold($2, $1, 'captured');
  END IF;
  PERFORM _rollup(rules.epoch, ARRAY[owed_to], ARRAY[($8 = 0)::int::bigint], ARRAY[$3], ARRAY[$4], ARRAY[capture.cost]);
  SELECT b.spendable INTO spendable FROM balance b WHERE b.account = $2;
  status := 'ok';
END
$$;
COMMENT ON FUNCTION capture(text, bytea, bigint, bigint, text, jsonb, bytea, int, boolean) IS
  'Debits what a held message really used, at the pinned prices; final => false keeps the rest held for further parts. Statuses: ok, replay, conflict, expired, released, no_hold, no_rate, unknown_account, unknown_node, invalid.';

CREATE FUNCTION release(request_id text, account bytea, OUT status text, OUT released numeric, OUT spendable numeric)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
#variable_conflict use_column
DECLARE
  h hold;
BEGIN
  PERFORM _require_read_committed();
  SELECT b.spendable INTO spendable FROM balance b WHERE b.account = $2 FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    status := 'unknown_account';
    RETURN;
  END IF;
  SELECT * INTO h FROM hold x WHERE x.account = $2 AND x.request_id = $1;
  IF NOT FOUND THEN
    status := 'no_hold';
  ELSIF h.state = 'open' THEN
    released := _end_hold($2, $1, 'released');
    SELECT b.spendable INTO spendable FROM balance b WHERE b.account = $2;
    status := 'ok';
  ELSE
    released := 0;
    status := CASE h.state WHEN 'released' THEN 'replay' WHEN 'expired' THEN 'expired' ELSE 'conflict' END;
  END IF;
END
$$;
COMMENT ON FUNCTION release(text, bytea) IS 'Gives a hold back unused. Statuses: ok, replay, expired, conflict (it was captured), no_hold, unknown_account.';

CREATE FUNCTION sweep_holds(max int DEFAULT 1000) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
#variable_conflict use_column
DECLARE
  due record;
  ended int := 0;
BEGIN
  PERFORM _require_read_committed();
  FOR due IN
    SELECT d.account, d.request_id FROM
      (SELECT h.account, h.request_id FROM hold h WHERE h.state = 'open' AND h.expires_at <= now() ORDER BY h.expires_at LIMIT $1) d
    ORDER BY d.account, d.request_id
  LOOP
    PERFORM 1 FROM balance b WHERE b.account = due.account FOR NO KEY UPDATE;
    IF _end_hold(due.account, due.request_id, 'expired') IS NOT NULL THEN
      ended := ended + 1;
    END IF;
  END LOOP;
  RETURN ended;
END
$$;
COMMENT ON FUNCTION sweep_holds(int) IS 'Ends expired holds; any metering client may call it. Returns how many it ended.';

-- The first of its parameters is an output so that the answer reads (status, amount, spendable).
CREATE FUNCTION refund(OUT status text, request_id text, account bytea, INOUT amount numeric, reason text, OUT spendable numeric)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
#variable_conflict use_column
DECLARE
  p_request text := request_id;
  p_account bytea := account;
  p_amount numeric := amount;
  p_reason text := reason;
  open_epoch bigint;
  charged_total numeric;
  refunded_total numeric;
  owed_to bytea;
BEGIN
  PERFORM _require_read_committed();
  amount := NULL;
  IF octet_length(p_account) IS DISTINCT FROM 20 OR p_request IS NULL OR coalesce(length(p_reason), 0) NOT BETWEEN 1 AND 1000
    OR (p_amount IS NOT NULL AND (NOT is_wei(p_amount) OR p_amount = 0)) THEN
    status := 'invalid';
    RETURN;
  END IF;
  LOCK TABLE fence IN ROW SHARE MODE;
  SELECT e.epoch INTO STRICT open_epoch FROM epoch e WHERE e.state = 'open';
  SELECT b.spendable INTO spendable FROM balance b WHERE b.account = p_account FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    status := 'unknown_account';
    RETURN;
  END IF;
  SELECT sum(k.cost::numeric) INTO charged_total FROM debit_key k WHERE k.account = p_account AND k.request_id = p_request;
  IF charged_total IS NULL THEN
    status := 'invalid';
    RETURN;
  END IF;
  SELECT r.amount INTO amount FROM refund r WHERE r.account = p_account AND r.request_id = p_request AND r.reason = p_reason
    AND (p_amount IS NULL OR r.amount = p_amount) LIMIT 1;
  IF FOUND THEN
    status := 'replay';
    RETURN;
  END IF;
  SELECT coalesce(sum(r.amount::numeric), 0) INTO refunded_total FROM refund r WHERE r.account = p_account AND r.request_id = p_request;
  amount := coalesce(p_amount, charged_total - refunded_total);
  IF amount = 0 OR amount > charged_total - refunded_total THEN
    status := 'conflict';
    amount := NULL;
    RETURN;
  END IF;
  SELECT d.operator INTO STRICT owed_to FROM debit_key k JOIN debit d USING (epoch, account, request_id, part)
    WHERE k.account = p_account AND k.request_id = p_request ORDER BY k.part LIMIT 1;
  INSERT INTO refund (epoch, account, request_id, operator, amount, reason)
    VALUES (open_epoch, p_account, p_request, owed_to, refund.amount, p_reason);
  spendable := _shift(p_account, amount, 0, -amount);
  PERFORM _rollup(open_epoch, ARRAY[owed_to], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[-amount]);
  status := 'ok';
END
$$;
COMMENT ON FUNCTION refund(text, bytea, numeric, text) IS
  'Gives back what a request was charged, or a part of it (amount in wei; null: all that is left), in the open epoch. Statuses: ok, replay (same amount and reason), conflict (more than is left), unknown_account, invalid (also a request that was never debited).';

CREATE FUNCTION quote(model text, units jsonb, at timestamptz DEFAULT NULL) RETURNS numeric
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = credits, pg_temp AS $$
#variable_conflict use_column
DECLARE
  clean jsonb := _units($2 - ARRAY['input_token', 'output_token']);
  tokens jsonb := _units(jsonb_strip_nulls(jsonb_build_object('in', $2 -> 'input_token', 'out', $2 -> 'output_token')));
  answer numeric;
BEGIN
  IF clean IS NULL OR tokens IS NULL THEN
    RAISE EXCEPTION 'units must be an object of whole, non-negative numbers, not %', left($2::text, 200) USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT c.cost INTO answer FROM _cost($1, coalesce((tokens ->> 'in')::bigint, 0), coalesce((tokens ->> 'out')::bigint, 0), clean,
    coalesce($3, now())) c;
  RETURN answer;
END
$$;
COMMENT ON FUNCTION quote(text, jsonb, timestamptz) IS 'What quantities by unit would cost, in wei; null when a unit has no price.';

GRANT EXECUTE ON FUNCTION debit, debit_batch, authorise, capture, release, sweep_holds, refund, quote TO credits_meter;
GRANT EXECUTE ON FUNCTION quote TO credits_app, credits_settler, credits_auditor;
