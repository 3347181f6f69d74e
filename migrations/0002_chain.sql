-- What the chain said: vaults, blocks, coverage, events. Written by the indexer alone, through the functions of 0006.
--
-- Why (chain_id, vault) is a key everywhere: several vaults or chains may share a database, one indexer process each.
-- Locks: new tables only. Test: Tests/LedgerTests/ChainTests.swift.

SET LOCAL ROLE credits_owner;
SET LOCAL search_path = credits, public, pg_temp;

CREATE TABLE vault (
  chain_id bigint NOT NULL CHECK (chain_id > 0),
  vault address NOT NULL,
  token address NOT NULL,
  start_block bigint NOT NULL CHECK (start_block >= 0),
  start_unchecked boolean NOT NULL DEFAULT false,
  deposit_event text NOT NULL,
  withdraw_event text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (chain_id, vault)
);
COMMENT ON TABLE vault IS 'A followed vault: its token, where its history starts, and the event signatures it uses.';
COMMENT ON COLUMN vault.start_unchecked IS 'True when nobody could check that the vault had no code before start_block; shown for ever.';
SELECT _append_only('vault');

CREATE TABLE watermark (
  chain_id bigint NOT NULL,
  vault address NOT NULL,
  head bigint NOT NULL,
  head_at timestamptz,
  scanned_to bigint NOT NULL,
  proven_to bigint NOT NULL,
  finalized_to bigint NOT NULL,
  applied_to bigint NOT NULL GENERATED ALWAYS AS (least(proven_to, finalized_to)) STORED,
  quorum text NOT NULL DEFAULT '1 of 1',
  omissions_detected bigint NOT NULL DEFAULT 0 CHECK (omissions_detected >= 0),
  reorgs bigint NOT NULL DEFAULT 0 CHECK (reorgs >= 0),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (chain_id, vault),
  FOREIGN KEY (chain_id, vault) REFERENCES vault,
  CHECK (proven_to <= scanned_to)
) WITH (fillfactor = 50);
COMMENT ON TABLE watermark IS 'How far the ledger is: logs fetched, completeness proven, consensus final. Moves in the transaction of the rows it speaks of.';
COMMENT ON COLUMN watermark.applied_to IS 'The block where the ledger stands: min(proven_to, finalized_to). Deposits count up to here.';
COMMENT ON COLUMN watermark.head_at IS 'Time of the newest block the indexer has seen.';

CREATE TABLE block (
  chain_id bigint NOT NULL,
  number bigint NOT NULL CHECK (number >= 0),
  hash hash32 NOT NULL,
  parent_hash hash32 NOT NULL,
  mined_at timestamptz NOT NULL,
  header bytea NOT NULL,
  orphaned_at timestamptz,
  PRIMARY KEY (chain_id, hash)
);
CREATE UNIQUE INDEX block_canonical ON block (chain_id, number) WHERE orphaned_at IS NULL;
COMMENT ON TABLE block IS 'Headers whose hash the indexer has checked: the chain that reorgs are walked on and proofs hang from.';
COMMENT ON COLUMN block.header IS 'The header''s RLP; its Keccak hash is the block''s hash.';
SELECT _append_only('block', 'orphaned_at');

CREATE TABLE coverage (
  chain_id bigint NOT NULL,
  vault address NOT NULL,
  subject text COLLATE "C" NOT NULL CHECK (subject IN ('vault', 'token')),
  proof text COLLATE "C" NOT NULL CHECK (proof IN ('scanned', 'proven')),
  blocks int8range NOT NULL CHECK (NOT isempty(blocks) AND lower(blocks) IS NOT NULL AND upper(blocks) IS NOT NULL),
  FOREIGN KEY (chain_id, vault) REFERENCES vault,
  EXCLUDE USING gist (chain_id WITH =, vault WITH =, subject WITH =, proof WITH =, blocks WITH &&)
);
COMMENT ON TABLE coverage IS 'Which block ranges were fetched or proven, per subject: the vault''s own logs, the token''s transfers from and to it. An overlap cannot be stored.';

CREATE TABLE chain_event (
  event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  chain_id bigint NOT NULL,
  vault address NOT NULL,
  kind text NOT NULL CHECK (kind IN ('deposit', 'withdraw', 'charged', 'paid')),
  account address NOT NULL,
  amount uint256 NOT NULL,
  total uint256 CHECK ((total IS NOT NULL) = (kind IN ('charged', 'paid'))),
  block_number bigint NOT NULL,
  block_hash hash32 NOT NULL,
  tx_hash hash32 NOT NULL,
  log_index int NOT NULL CHECK (log_index >= 0),
  ordinal int NOT NULL CHECK (ordinal >= 0),
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'applied', 'final', 'orphaned')),
  proven boolean NOT NULL DEFAULT false,
  seen_at timestamptz NOT NULL DEFAULT now(),
  status_at timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (chain_id, vault) REFERENCES vault,
  CHECK (status <> 'applied' OR kind = 'withdraw'),
  CHECK (proven OR status IN ('pending', 'orphaned')),
  UNIQUE (chain_id, vault, block_hash, log_index)
);
CREATE UNIQUE INDEX chain_event_live ON chain_event (chain_id, vault, tx_hash, ordinal) WHERE status <> 'orphaned';
CREATE INDEX chain_event_open ON chain_event (chain_id, vault, block_number) WHERE status IN ('pending', 'applied');
CREATE INDEX chain_event_account ON chain_event (account, event_id);
CREATE INDEX chain_event_block ON chain_event (chain_id, vault, block_number, log_index);
COMMENT ON TABLE chain_event IS 'Every vault event ever seen. account is the user, or the payee of a paid. Its facts never change; its status does.';
COMMENT ON COLUMN chain_event.ordinal IS 'Which of the transaction''s followed vault logs it is, from 0: the credit''s key, stable when the transaction is mined again. Until it is proven it may move: a scan may have left out a log before it.';
COMMENT ON COLUMN chain_event.status IS 'pending: seen. applied: a withdrawal that is taken from the balance. final: counted for good. orphaned: its block left the chain.';

CREATE FUNCTION chain_event_transition() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF (to_jsonb(OLD) - '{status,status_at,proven,ordinal}'::text[]) <> (to_jsonb(NEW) - '{status,status_at,proven,ordinal}'::text[])
    OR OLD.ordinal <> NEW.ordinal AND OLD.proven
    OR NOT (OLD.status = NEW.status OR (OLD.status, NEW.status) IN (
      ('pending', 'applied'), ('pending', 'final'), ('applied', 'final'),
      ('pending', 'orphaned'), ('applied', 'orphaned'), ('orphaned', 'pending'))) THEN
    RAISE EXCEPTION 'credits.chain_event %: % to % refused', OLD.event_id, OLD.status, NEW.status
      USING ERRCODE = 'insufficient_privilege', HINT = 'A final event stays; the facts of an event never change.';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER transition BEFORE UPDATE ON chain_event FOR EACH ROW EXECUTE FUNCTION chain_event_transition();
CREATE TRIGGER append_only BEFORE DELETE ON chain_event FOR EACH ROW EXECUTE FUNCTION deny_mutation();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON chain_event EXECUTE FUNCTION deny_mutation();

CREATE TABLE token_transfer (
  chain_id bigint NOT NULL,
  vault address NOT NULL,
  sender address NOT NULL,
  recipient address NOT NULL,
  amount uint256 NOT NULL,
  block_number bigint NOT NULL,
  block_hash hash32 NOT NULL,
  tx_hash hash32 NOT NULL,
  log_index int NOT NULL CHECK (log_index >= 0),
  proven boolean NOT NULL DEFAULT false,
  orphaned_at timestamptz,
  seen_at timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (chain_id, vault) REFERENCES vault,
  PRIMARY KEY (chain_id, vault, block_hash, log_index)
);
CREATE INDEX token_transfer_tx ON token_transfer (chain_id, vault, tx_hash) WHERE orphaned_at IS NULL;
CREATE INDEX token_transfer_block ON token_transfer (chain_id, vault, block_number);
COMMENT ON TABLE token_transfer IS 'The token''s Transfer logs from and to the vault: what explains its balance to the last wei.';
SELECT _append_only('token_transfer', 'orphaned_at', 'proven');

-- What the vault received or sent that none of its own events explains (X of the identities), one row per transaction.
CREATE VIEW unattributed_transfer WITH (security_invoker) AS
SELECT chain_id, vault, tx_hash, min(block_number) AS block_number, sum(net) AS amount
FROM (
  SELECT t.chain_id, t.vault, t.tx_hash, t.block_number,
    CASE WHEN t.recipient = t.vault THEN t.amount::numeric ELSE 0 END
      - CASE WHEN t.sender = t.vault THEN t.amount::numeric ELSE 0 END AS net
  FROM token_transfer t WHERE t.orphaned_at IS NULL
  UNION ALL
  SELECT e.chain_id, e.vault, e.tx_hash, e.block_number,
    CASE e.kind WHEN 'deposit' THEN -e.amount::numeric WHEN 'charged' THEN 0 ELSE e.amount::numeric END
  FROM chain_event e WHERE e.status <> 'orphaned'
) AS movement
GROUP BY chain_id, vault, tx_hash
HAVING sum(net) <> 0;
COMMENT ON VIEW unattributed_transfer IS 'Token movements of the vault that belong to no vault event, per transaction; amount is signed, positive into the vault.';

GRANT SELECT ON vault, watermark, block, coverage, chain_event, token_transfer, unattributed_transfer
  TO credits_indexer, credits_meter, credits_settler, credits_auditor, credits_sealer;
