-- Balances, the price book, operators and their nodes, splits.
--
-- Why the balance has no secondary index: every debit updates it, and an index on a changed column would end HOT updates.
-- Locks: new tables only. Tests: Tests/LedgerTests/{Balance,Price,Node}Tests.swift.

SET LOCAL ROLE credits_owner;
SET LOCAL search_path = credits, public, pg_temp;

CREATE TABLE balance (
  account address PRIMARY KEY,
  spendable uint256 NOT NULL DEFAULT 0,
  held uint256 NOT NULL DEFAULT 0,
  unsettled numeric(78, 0) NOT NULL DEFAULT 0,
  debt uint256 NOT NULL DEFAULT 0,
  pending uint256 NOT NULL DEFAULT 0,
  exposure_limit uint256,
  frozen boolean NOT NULL DEFAULT false,
  version bigint NOT NULL DEFAULT 0,
  CHECK (debt = 0 OR spendable = 0)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE balance IS 'One row an account, in wei. What may be spent is spendable, and nothing else.';
COMMENT ON COLUMN balance.held IS 'Authorised and not yet captured or released: the sum of the account''s open holds.';
COMMENT ON COLUMN balance.unsettled IS 'Debits - refunds - charged on chain; negative after a refund of what was already charged.';
COMMENT ON COLUMN balance.debt IS 'Withdrawn on chain beyond what was left here; repaid by whatever comes first.';
COMMENT ON COLUMN balance.pending IS 'Deposits seen and not yet final; never spendable.';
COMMENT ON COLUMN balance.exposure_limit IS 'unsettled + held may not rise above this by spending; null: no limit.';

CREATE TABLE account_rule (
  rule_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account address NOT NULL,
  rule text NOT NULL CHECK (rule IN ('freeze', 'unfreeze', 'limit')),
  exposure_limit uint256,
  reason text CHECK (length(reason) BETWEEN 1 AND 1000),
  actor text NOT NULL DEFAULT session_user,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK (rule <> 'freeze' OR reason IS NOT NULL)
);
CREATE INDEX account_rule_account ON account_rule (account, rule_id);
COMMENT ON TABLE account_rule IS 'Who froze, unfroze or limited which account, when and why.';
SELECT _append_only('account_rule');

-- ---------------------------------------------------------------------------------------------------------------------
-- Price book
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE price (
  price_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  model text COLLATE "C" NOT NULL CHECK (length(model) BETWEEN 1 AND 200),
  unit text COLLATE "C" NOT NULL CHECK (unit ~ '^[a-z][a-z0-9_]{0,63}$'),
  wei uint256 NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz CHECK (valid_to > valid_from),
  created_at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL DEFAULT session_user,
  EXCLUDE USING gist (model WITH =, unit WITH =, tstzrange(valid_from, valid_to) WITH &&)
);
CREATE INDEX price_lookup ON price (model, unit, valid_from DESC);
COMMENT ON TABLE price IS 'Wei per unit of a model. Never edited: a newer price ends the one before it.';
SELECT _append_only('price', 'valid_to');

-- ---------------------------------------------------------------------------------------------------------------------
-- Operators and nodes
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE operator (
  wallet address PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE operator IS 'A node operator is the wallet that is paid.';
SELECT _append_only('operator');

CREATE TABLE node (
  node text COLLATE "C" NOT NULL CHECK (length(node) BETWEEN 1 AND 200 AND node <> 'fallback'),
  wallet address NOT NULL REFERENCES operator,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz CHECK (valid_to > valid_from),
  created_at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL DEFAULT session_user,
  PRIMARY KEY (node, valid_from),
  EXCLUDE USING gist (node WITH =, tstzrange(valid_from, valid_to) WITH &&)
);
COMMENT ON TABLE node IS 'Which operator a node belongs to, and from when to when. The node fallback is project hardware and has no row.';
SELECT _append_only('node', 'valid_to');

CREATE TABLE split (
  split_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  operators_bp int NOT NULL CHECK (operators_bp BETWEEN 0 AND 10000),
  treasury_bp int NOT NULL CHECK (treasury_bp BETWEEN 0 AND 10000),
  infrastructure_bp int NOT NULL CHECK (infrastructure_bp BETWEEN 0 AND 10000),
  treasury_wallet address NOT NULL,
  infrastructure_wallet address NOT NULL,
  fallback_to text NOT NULL DEFAULT 'infrastructure' CHECK (fallback_to IN ('infrastructure', 'treasury')),
  valid_from timestamptz NOT NULL,
  valid_to timestamptz CHECK (valid_to > valid_from),
  created_at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL DEFAULT session_user,
  CHECK (operators_bp + treasury_bp + infrastructure_bp = 10000),
  EXCLUDE USING gist (tstzrange(valid_from, valid_to) WITH &&)
);
COMMENT ON TABLE split IS 'How gross is shared, in basis points. The split in force when an epoch opened holds for all of it.';
SELECT _append_only('split', 'valid_to');

-- ---------------------------------------------------------------------------------------------------------------------
-- Functions that keep these books
-- ---------------------------------------------------------------------------------------------------------------------

-- A new price, node or split must not reach into what was already counted with the old one; only the first row may.
CREATE FUNCTION _effective_from(what text, wanted timestamptz, has_predecessor boolean) RETURNS timestamptz
LANGUAGE plpgsql AS $$
BEGIN
  IF wanted IS NULL THEN
    RETURN CASE WHEN has_predecessor THEN clock_timestamp() ELSE '-infinity'::timestamptz END;
  END IF;
  IF has_predecessor AND wanted < now() THEN
    RAISE EXCEPTION '% may not change in the past: from % is before now', what, wanted
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave --from out, or give a time to come.';
  END IF;
  RETURN wanted;
END
$$;

CREATE FUNCTION price_set(p_model text, p_unit text, p_wei numeric, p_from timestamptz DEFAULT NULL) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  starts timestamptz;
  added int;
BEGIN
  IF is_wei(p_wei) IS NOT TRUE THEN
    RAISE EXCEPTION 'a price is a whole number of wei, not %', p_wei USING ERRCODE = 'invalid_parameter_value';
  END IF;
  LOCK TABLE price IN SHARE ROW EXCLUSIVE MODE;
  starts := _effective_from('a price', p_from, EXISTS (SELECT FROM price WHERE model = p_model AND unit = p_unit));
  UPDATE price SET valid_to = starts
    WHERE model = p_model AND unit = p_unit AND valid_from < starts AND (valid_to IS NULL OR valid_to > starts);
  INSERT INTO price (model, unit, wei, valid_from, valid_to)
    VALUES (p_model, p_unit, p_wei, starts,
      (SELECT min(valid_from) FROM price WHERE model = p_model AND unit = p_unit AND valid_from > starts))
    RETURNING price_id INTO added;
  RETURN added;
END
$$;
COMMENT ON FUNCTION price_set(text, text, numeric, timestamptz) IS 'A price in wei per unit from a time on (null: now; the first of its kind: always).';

CREATE FUNCTION node_set(p_node text, p_wallet bytea, p_from timestamptz DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  starts timestamptz;
BEGIN
  IF p_node = 'fallback' THEN
    RAISE EXCEPTION 'the node name fallback is reserved for project hardware'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Choose another name.';
  END IF;
  LOCK TABLE node IN SHARE ROW EXCLUSIVE MODE;
  INSERT INTO operator (wallet) VALUES (p_wallet) ON CONFLICT DO NOTHING;
  starts := _effective_from('a node''s operator', p_from, EXISTS (SELECT FROM node WHERE node = p_node));
  UPDATE node SET valid_to = starts
    WHERE node = p_node AND valid_from < starts AND (valid_to IS NULL OR valid_to > starts);
  INSERT INTO node (node, wallet, valid_from, valid_to)
    VALUES (p_node, p_wallet, starts, (SELECT min(valid_from) FROM node WHERE node = p_node AND valid_from > starts));
END
$$;
COMMENT ON FUNCTION node_set(text, bytea, timestamptz) IS 'Gives a node to an operator''s wallet from a time on (null: now; a new node: always).';

CREATE FUNCTION split_set(
  p_operators int, p_treasury int, p_infrastructure int, p_treasury_wallet bytea, p_infrastructure_wallet bytea,
  p_fallback_to text DEFAULT 'infrastructure', p_from timestamptz DEFAULT NULL) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  starts timestamptz;
  added int;
BEGIN
  LOCK TABLE split IN SHARE ROW EXCLUSIVE MODE;
  starts := _effective_from('a split', p_from, EXISTS (SELECT FROM split));
  UPDATE split SET valid_to = starts WHERE valid_from < starts AND (valid_to IS NULL OR valid_to > starts);
  INSERT INTO split (operators_bp, treasury_bp, infrastructure_bp, treasury_wallet, infrastructure_wallet,
      fallback_to, valid_from, valid_to)
    VALUES (p_operators, p_treasury, p_infrastructure, p_treasury_wallet, p_infrastructure_wallet,
      p_fallback_to, starts, (SELECT min(valid_from) FROM split WHERE valid_from > starts))
    RETURNING split_id INTO added;
  RETURN added;
END
$$;
COMMENT ON FUNCTION split_set(int, int, int, bytea, bytea, text, timestamptz) IS 'Basis points and wallets from a time on (null: now; the first split: always).';

CREATE FUNCTION account_rule_set(p_account bytea, p_rule text, p_reason text DEFAULT NULL, p_limit numeric DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
BEGIN
  IF p_limit IS NOT NULL AND NOT is_wei(p_limit) THEN
    RAISE EXCEPTION 'an exposure limit is a whole number of wei, not %', p_limit USING ERRCODE = 'invalid_parameter_value';
  END IF;
  UPDATE balance SET
    frozen = CASE p_rule WHEN 'freeze' THEN true WHEN 'unfreeze' THEN false ELSE frozen END,
    exposure_limit = CASE p_rule WHEN 'limit' THEN p_limit ELSE exposure_limit END,
    version = version + 1
    WHERE account = p_account;
  IF NOT FOUND THEN
    RETURN 'unknown_account';
  END IF;
  INSERT INTO account_rule (account, rule, exposure_limit, reason) VALUES (p_account, p_rule, p_limit, p_reason);
  RETURN 'ok';
END
$$;
COMMENT ON FUNCTION account_rule_set(bytea, text, text, numeric) IS 'freeze (with a reason), unfreeze, or limit (wei; null: none). Status ok or unknown_account.';

GRANT SELECT ON balance, account_rule, price, operator, node, split
  TO credits_indexer, credits_meter, credits_settler, credits_auditor, credits_sealer;
GRANT SELECT ON price TO credits_app;
GRANT EXECUTE ON FUNCTION price_set, node_set, account_rule_set TO credits_meter;
GRANT EXECUTE ON FUNCTION split_set TO credits_settler;
GRANT EXECUTE ON FUNCTION is_wei, parse_address, format_address
  TO credits_indexer, credits_meter, credits_settler, credits_app, credits_auditor, credits_sealer;
