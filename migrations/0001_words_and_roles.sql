-- The schema, its roles, and the words that every later table uses.
--
-- Why roles first: each program connects with the least it needs, and nothing in this schema is ever granted to PUBLIC.
-- Roles belong to the cluster, not to the database, so their creation tolerates another database migrating at the same time.
-- Locks: nothing that exists. Test: Tests/LedgerTests/SchemaTests.swift.

CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;

DO $$
DECLARE
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('credits_owner', 'NOLOGIN', ARRAY[]::text[]),
      ('credits_indexer', 'LOGIN', ARRAY['lock_timeout = ''30s''']),
      ('credits_meter', 'LOGIN', ARRAY['idle_in_transaction_session_timeout = ''5s''', 'lock_timeout = ''5s''', 'statement_timeout = ''60s''']),
      ('credits_settler', 'LOGIN', ARRAY['idle_in_transaction_session_timeout = ''60s''']),
      ('credits_app', 'LOGIN', ARRAY['default_transaction_read_only = on', 'statement_timeout = ''5s''', 'idle_in_transaction_session_timeout = ''5s''']),
      ('credits_auditor', 'LOGIN', ARRAY['default_transaction_read_only = on']),
      ('credits_sealer', 'LOGIN', ARRAY[]::text[])
    ) AS r (name, login, settings)
  LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.login);
        FOR i IN 1 .. coalesce(array_length(wanted.settings, 1), 0) LOOP
          EXECUTE format('ALTER ROLE %I SET %s', wanted.name, wanted.settings[i]);
        END LOOP;
      EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this cluster was first
      END;
    END IF;
  END LOOP;
  IF NOT pg_has_role(current_user, 'credits_owner', 'MEMBER') THEN
    EXECUTE format('GRANT credits_owner TO %I', current_user);
  END IF;
END
$$;

CREATE SCHEMA credits AUTHORIZATION credits_owner;
SET LOCAL ROLE credits_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA credits REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE credits_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA credits TO credits_indexer, credits_meter, credits_settler, credits_app, credits_auditor, credits_sealer;
SET LOCAL search_path = credits, pg_temp;

CREATE TABLE migration (
  version int PRIMARY KEY CHECK (version >= 1),
  name text NOT NULL,
  checksum bytea NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE migration IS 'Which files of migrations/ have run here, with the SHA-256 of their bytes.';
GRANT SELECT ON migration TO credits_indexer, credits_meter, credits_settler, credits_app, credits_auditor, credits_sealer;

-- ---------------------------------------------------------------------------------------------------------------------
-- Words
-- ---------------------------------------------------------------------------------------------------------------------

CREATE DOMAIN address AS bytea CHECK (octet_length(VALUE) = 20);
COMMENT ON DOMAIN address IS 'An Ethereum address, 20 bytes.';
CREATE DOMAIN hash32 AS bytea CHECK (octet_length(VALUE) = 32);
COMMENT ON DOMAIN hash32 IS 'A 32-byte hash.';
CREATE DOMAIN uint256 AS numeric(78, 0)
  CHECK (VALUE >= 0 AND VALUE <= 115792089237316195423570985008687907853269984665640564039457584007913129639935);
COMMENT ON DOMAIN uint256 IS 'An amount in wei, 0 to 2^256-1. The type rounds a fraction before the check sees it: callers go through is_wei().';

-- Function arguments are plain numeric, because numeric(78,0) turns 0.5 into 1 before any CHECK runs.
CREATE FUNCTION is_wei(amount numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT amount = trunc(amount) AND amount >= 0
    AND amount <= 115792089237316195423570985008687907853269984665640564039457584007913129639935
$$;
COMMENT ON FUNCTION is_wei(numeric) IS 'True when the amount is a whole number of wei that fits uint256; null for null.';

CREATE FUNCTION parse_address(text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF $1 !~ '^0x[0-9a-fA-F]{40}$' THEN
    RAISE EXCEPTION 'not an address: %', quote_literal(left($1, 60))
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 0x and 40 hexadecimal digits.';
  END IF;
  RETURN decode(substr($1, 3), 'hex');
END
$$;
COMMENT ON FUNCTION parse_address(text) IS '0x and 40 hexadecimal digits, in any case, to 20 bytes. The EIP-55 checksum is the caller''s to check.';

CREATE FUNCTION format_address(bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT '0x' || encode($1, 'hex') $$;
COMMENT ON FUNCTION format_address(bytea) IS '20 bytes to 0x and 40 lower-case hexadecimal digits.';

-- One refusal for every table whose rows are facts (I4). TG_ARGV names columns that may still change.
CREATE FUNCTION deny_mutation() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND TG_NARGS > 0
    AND (to_jsonb(OLD) - TG_ARGV::text[]) = (to_jsonb(NEW) - TG_ARGV::text[]) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'credits.% is append-only: % refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'insufficient_privilege', HINT = 'Facts are corrected by a counter-entry, never changed.';
END
$$;

CREATE FUNCTION _append_only(relation regclass, VARIADIC mutable text[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION credits.deny_mutation(%s)',
    relation, (SELECT string_agg(quote_literal(m), ', ') FROM unnest(mutable) AS m));
  EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %s EXECUTE FUNCTION credits.deny_mutation()', relation);
END
$$;

-- ---------------------------------------------------------------------------------------------------------------------
-- The ledger itself and its rules
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE ledger (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  ledger_id hash32 NOT NULL,
  payout_method text NOT NULL DEFAULT 'vault' CHECK (payout_method IN ('vault', 'transfer')),
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ledger IS 'Who this ledger is: 32 random bytes made once, which every manifest and approval names.';
INSERT INTO ledger (ledger_id)
  VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
SELECT _append_only('ledger');
GRANT SELECT ON ledger TO credits_indexer, credits_meter, credits_settler, credits_auditor, credits_sealer;

CREATE TABLE setting (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  default_exposure_limit uint256,
  max_staleness interval CHECK (max_staleness > interval '0'),
  max_skew interval NOT NULL DEFAULT interval '5 minutes' CHECK (max_skew >= interval '0'),
  hold_ttl interval NOT NULL DEFAULT interval '10 minutes' CHECK (hold_ttl > interval '0')
);
COMMENT ON TABLE setting IS 'Rules of the ledger that its owner may change.';
COMMENT ON COLUMN setting.default_exposure_limit IS 'Wei; the exposure limit a new account starts with; null: none.';
COMMENT ON COLUMN setting.max_staleness IS 'Spending stops (status stale) when the head the indexer knows is older; null: never.';
COMMENT ON COLUMN setting.max_skew IS 'How far in the future a usage record''s own time may lie.';
COMMENT ON COLUMN setting.hold_ttl IS 'How long a hold lives when authorise() names no time to live.';
INSERT INTO setting DEFAULT VALUES;
GRANT SELECT ON setting TO credits_indexer, credits_meter, credits_settler, credits_auditor, credits_sealer;

CREATE FUNCTION _require_read_committed() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  -- A REPEATABLE READ client would still see the old open epoch after it was closed, and debit into it.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'write functions need READ COMMITTED, not %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = 'active_sql_transaction', HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED.';
  END IF;
END
$$;
