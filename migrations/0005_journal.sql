-- The journal: double entry for what moves seldom (deposits, withdrawals, epochs, settlement). Users and payees are subledgers.
--
-- Why the check is per statement: an entry's lines arrive in one INSERT, and a trigger per line would cost a query each.
-- Locks: new tables only. Test: Tests/LedgerTests/JournalTests.swift.

SET LOCAL ROLE credits_owner;
SET LOCAL search_path = credits, public, pg_temp;

CREATE TABLE journal_account (
  name text COLLATE "C" PRIMARY KEY,
  meaning text NOT NULL
);
INSERT INTO journal_account VALUES
  ('vault', 'What users have in the vault, seen from chain (asset)'),
  ('pool', 'Charged from users, not yet paid out (asset)'),
  ('settlement_wallet', 'What the transfer method pays from (asset)'),
  ('withdrawals_in_flight', 'Withdrawals that count and are not final (liability)'),
  ('users', 'What is owed to users (liability)'),
  ('operators', 'Owed to operators (liability)'),
  ('infrastructure', 'Owed to infrastructure (liability)'),
  ('treasury', 'Owed to the treasury (liability)');
SELECT _append_only('journal_account');

CREATE TABLE journal_entry (
  entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('deposit', 'withdrawal_seen', 'withdrawal_final', 'withdrawal_orphaned', 'close', 'charged', 'paid')),
  reference text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (kind, reference)
);
SELECT _append_only('journal_entry');

CREATE TABLE posting (
  entry_id bigint NOT NULL REFERENCES journal_entry DEFERRABLE INITIALLY IMMEDIATE,
  account text COLLATE "C" NOT NULL REFERENCES journal_account,
  amount numeric(80, 0) NOT NULL,
  PRIMARY KEY (entry_id, account)
);
COMMENT ON TABLE posting IS 'Lines of journal entries in wei, debit positive; every entry sums to zero.';
SELECT _append_only('posting');

CREATE FUNCTION posting_balances() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  wrong record;
BEGIN
  SELECT p.entry_id, sum(p.amount) AS total INTO wrong
    FROM posting p WHERE p.entry_id IN (SELECT entry_id FROM added)
    GROUP BY p.entry_id HAVING sum(p.amount) <> 0 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'journal entry % does not balance: it sums to % wei', wrong.entry_id, wrong.total
      USING ERRCODE = 'check_violation', HINT = 'Post all lines of an entry in one INSERT.';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER balances AFTER INSERT ON posting REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION posting_balances();

-- Posts one entry; lines of zero are left out. The reference makes it happen once.
CREATE FUNCTION _post(p_kind text, p_reference text, p_accounts text[], p_amounts numeric[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  entry bigint;
BEGIN
  INSERT INTO journal_entry (kind, reference) VALUES (p_kind, p_reference) RETURNING entry_id INTO entry;
  INSERT INTO posting (entry_id, account, amount)
    SELECT entry, line.account, sum(line.amount)
    FROM unnest(p_accounts, p_amounts) AS line (account, amount)
    GROUP BY line.account HAVING sum(line.amount) <> 0;
END
$$;

-- How what an address is owed divides into roles: paid counts against operator first, then infrastructure, then treasury,
-- which also takes what was paid beyond all of it. The three always sum to accrued - paid.
CREATE FUNCTION owed_by_role(operator numeric, infrastructure numeric, treasury numeric, paid numeric,
  OUT operators numeric, OUT infrastructure_owed numeric, OUT treasury_owed numeric)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT $1 - a.op, $2 - a.inf, $3 - ($4 - a.op - a.inf)
  FROM (SELECT least($4, greatest($1, 0)) AS op, least($4 - least($4, greatest($1, 0)), greatest($2, 0)) AS inf) AS a
$$;

CREATE VIEW payable WITH (security_invoker) AS
SELECT p.payee, p.operator + p.infrastructure + p.treasury AS accrued, p.paid,
  p.operator + p.infrastructure + p.treasury - p.paid AS owed,
  r.operators, r.infrastructure_owed AS infrastructure, r.treasury_owed AS treasury
FROM payee p, owed_by_role(p.operator, p.infrastructure, p.treasury, p.paid) r;
COMMENT ON VIEW payable IS 'What each address is owed, in wei, and how that divides into roles.';

GRANT SELECT ON journal_account, journal_entry, posting, payable TO credits_indexer, credits_settler, credits_auditor, credits_sealer;
GRANT SELECT ON payable TO credits_meter;
GRANT EXECUTE ON FUNCTION owed_by_role TO credits_indexer, credits_meter, credits_settler, credits_auditor, credits_sealer;
