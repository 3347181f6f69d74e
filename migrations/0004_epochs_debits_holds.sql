-- Epochs, debits and their keys, refunds, holds, uncollected usage, the operators' rollup, and the fence between epochs.
--
-- Why debits are partitioned by epoch: an old epoch can be detached; balances, identities and replays do not need its rows.
-- Why the key table holds cost and digest: a replay is answered without the debit's partition.
-- Every unique key contains the account (the road to shards); operator_usage is a local aggregate and exempt.
-- Locks: new tables only. Tests: Tests/LedgerTests/{Debit,Hold,Refund,Epoch}Tests.swift.

SET LOCAL ROLE credits_owner;
SET LOCAL search_path = credits, public, pg_temp;

-- A debit belongs to the epoch that is open when it commits. Spending takes ROW SHARE here, closing takes EXCLUSIVE.
-- A table lock and not an advisory lock, which any role could take to stop the product.
CREATE TABLE fence ();
COMMENT ON TABLE fence IS 'No rows: only its lock matters. Nobody but the owner may take more than ACCESS SHARE.';

CREATE TABLE epoch (
  epoch bigint PRIMARY KEY CHECK (epoch >= 1),
  state text NOT NULL DEFAULT 'open'
    CHECK (state IN ('open', 'closed', 'planned', 'approved', 'charging', 'paying', 'final', 'cancelled')),
  opened_at timestamptz NOT NULL DEFAULT now(),
  closed_at timestamptz,
  split_id int REFERENCES split,
  debits bigint,
  gross numeric(80, 0),
  operators numeric(80, 0),
  treasury numeric(80, 0),
  infrastructure numeric(80, 0),
  tallied_at timestamptz,
  settled_at timestamptz,
  cancelled_reason text,
  CHECK ((state = 'open') = (closed_at IS NULL)),
  CHECK ((tallied_at IS NULL) = (gross IS NULL)),
  CHECK (state IN ('open', 'closed') OR tallied_at IS NOT NULL),
  CHECK (gross = operators + treasury + infrastructure),
  CHECK ((state = 'cancelled') = (cancelled_reason IS NOT NULL)),
  CHECK ((state IN ('final', 'cancelled')) = (settled_at IS NOT NULL))
);
CREATE UNIQUE INDEX epoch_one_open ON epoch ((true)) WHERE state = 'open';
CREATE UNIQUE INDEX epoch_one_settling ON epoch ((true)) WHERE state IN ('planned', 'approved', 'charging', 'paying');
COMMENT ON TABLE epoch IS 'The settlement periods. At most one is open, at most one is being settled.';
COMMENT ON COLUMN epoch.gross IS 'Debits minus refunds of the epoch, in wei, signed; set by epoch_tally().';

CREATE TABLE debit_key (
  account address NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  part int NOT NULL,
  epoch bigint NOT NULL,
  cost uint256 NOT NULL,
  digest bytea NOT NULL CHECK (octet_length(digest) = 16),
  PRIMARY KEY (account, request_id, part)
);
COMMENT ON TABLE debit_key IS 'Idempotency: one row a debited request, with its result and a digest of its body.';
SELECT _append_only('debit_key');

CREATE TABLE debit (
  epoch bigint NOT NULL,
  account address NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  part int NOT NULL,
  model text COLLATE "C" NOT NULL,
  node text COLLATE "C" NOT NULL,
  operator bytea NOT NULL CHECK (octet_length(operator) IN (0, 20)),
  input_tokens bigint NOT NULL CHECK (input_tokens >= 0),
  output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
  units jsonb,
  prices int[] NOT NULL,
  cost uint256 NOT NULL,
  forgone uint256,
  at timestamptz NOT NULL,
  late boolean NOT NULL,
  proof hash32,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (epoch, account, request_id, part)
) PARTITION BY LIST (epoch);
COMMENT ON TABLE debit IS 'What was spent on which message. Append-only; corrected by refund rows.';
COMMENT ON COLUMN debit.operator IS 'The wallet of the node''s operator at the time of use; empty for fallback.';
COMMENT ON COLUMN debit.prices IS 'price_id of every price that entered the cost.';
COMMENT ON COLUMN debit.forgone IS 'Wei that a capture above its hold could not take.';
COMMENT ON COLUMN debit.late IS 'True when the usage is older than the epoch it is counted in.';
SELECT _append_only('debit');

CREATE TABLE refund (
  refund_id bigint GENERATED ALWAYS AS IDENTITY,
  epoch bigint NOT NULL,
  account address NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  operator bytea NOT NULL CHECK (octet_length(operator) IN (0, 20)),
  amount uint256 NOT NULL CHECK (amount > 0),
  reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
  actor text NOT NULL DEFAULT session_user,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account, request_id, refund_id)
);
CREATE INDEX refund_epoch ON refund (epoch, account);
COMMENT ON TABLE refund IS 'Counter-entries to debits, in the epoch that was open when they were made.';
SELECT _append_only('refund');

CREATE TABLE hold (
  account address NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'captured', 'released', 'expired')),
  amount uint256 NOT NULL,
  remaining uint256 NOT NULL CHECK (remaining <= amount),
  model text COLLATE "C" NOT NULL,
  node text COLLATE "C",
  prices jsonb NOT NULL,
  priced_at timestamptz NOT NULL,
  digest bytea NOT NULL CHECK (octet_length(digest) = 16),
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account, request_id),
  CHECK (state = 'open' OR remaining = 0)
) WITH (fillfactor = 80);
CREATE INDEX hold_expiry ON hold (expires_at) WHERE state = 'open';
CREATE INDEX hold_open ON hold (account, expires_at) WHERE state = 'open';
COMMENT ON TABLE hold IS 'Credit set aside for a message whose cost is not known yet. remaining is what is still held.';
COMMENT ON COLUMN hold.prices IS 'The prices pinned when it was authorised: unit to [price_id, wei].';

CREATE TABLE uncollected (
  account address NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  part int NOT NULL,
  reason text NOT NULL CHECK (reason IN ('insufficient', 'exposure', 'frozen', 'stale', 'expired')),
  model text COLLATE "C" NOT NULL,
  node text COLLATE "C" NOT NULL,
  operator bytea NOT NULL CHECK (octet_length(operator) IN (0, 20)),
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  units jsonb,
  cost uint256 NOT NULL,
  at timestamptz NOT NULL,
  epoch bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account, request_id, part)
);
COMMENT ON TABLE uncollected IS 'Work that was served and could not be debited. A request that is debited later leaves its row here; the view unpaid_work leaves it out.';
SELECT _append_only('uncollected');
CREATE VIEW unpaid_work WITH (security_invoker) AS
SELECT u.* FROM uncollected u
WHERE NOT EXISTS (SELECT FROM debit_key k WHERE (k.account, k.request_id, k.part) = (u.account, u.request_id, u.part));
COMMENT ON VIEW unpaid_work IS 'Uncollected usage that is still not paid for.';

-- Sixteen rows an operator, chosen by connection, so that debits of one operator do not queue behind each other.
CREATE TABLE operator_usage (
  epoch bigint NOT NULL,
  operator bytea NOT NULL CHECK (octet_length(operator) IN (0, 20)),
  shard smallint NOT NULL,
  requests bigint NOT NULL,
  input_tokens numeric NOT NULL,
  output_tokens numeric NOT NULL,
  cost numeric(80, 0) NOT NULL,
  PRIMARY KEY (epoch, operator, shard)
) WITH (fillfactor = 50);
COMMENT ON TABLE operator_usage IS 'Running totals of the operators'' work per epoch; refunds count against it. Verified against a scan at the close.';

-- ---------------------------------------------------------------------------------------------------------------------
-- What a closed epoch comes to
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE epoch_account (
  epoch bigint NOT NULL REFERENCES epoch,
  account address NOT NULL,
  requests bigint NOT NULL,
  debits numeric(80, 0) NOT NULL,
  refunds numeric(80, 0) NOT NULL,
  net numeric(80, 0) NOT NULL GENERATED ALWAYS AS (debits - refunds) STORED,
  PRIMARY KEY (epoch, account)
);
COMMENT ON TABLE epoch_account IS 'The users'' lines of a closed epoch, in wei.';
SELECT _append_only('epoch_account');

CREATE TABLE epoch_operator (
  epoch bigint NOT NULL REFERENCES epoch,
  operator bytea NOT NULL CHECK (octet_length(operator) IN (0, 20)),
  requests bigint NOT NULL,
  input_tokens numeric NOT NULL,
  output_tokens numeric NOT NULL,
  gross numeric(80, 0) NOT NULL,
  carry_in numeric(80, 0) NOT NULL CHECK (carry_in <= 0),
  weight numeric(80, 0) NOT NULL GENERATED ALWAYS AS (greatest(0, gross + carry_in)) STORED,
  carry_out numeric(80, 0) NOT NULL GENERATED ALWAYS AS (least(0, gross + carry_in)) STORED,
  share numeric(80, 0) NOT NULL,
  PRIMARY KEY (epoch, operator)
);
COMMENT ON TABLE epoch_operator IS 'The operators'' lines of a closed epoch: what users paid for their work (gross), what is carried from refunds, and their share.';
COMMENT ON COLUMN epoch_operator.operator IS 'The operator''s wallet; empty for fallback, whose share goes to the role the split names.';
SELECT _append_only('epoch_operator');

CREATE TABLE accrual (
  epoch bigint NOT NULL REFERENCES epoch,
  payee address NOT NULL,
  role text COLLATE "C" NOT NULL CHECK (role IN ('operator', 'infrastructure', 'treasury')),
  amount numeric(80, 0) NOT NULL CHECK (amount <> 0),
  PRIMARY KEY (epoch, payee, role)
);
COMMENT ON TABLE accrual IS 'What an epoch adds to what is owed, per address and role, in wei, signed.';
SELECT _append_only('accrual');

CREATE TABLE payee (
  payee address PRIMARY KEY,
  operator numeric(80, 0) NOT NULL DEFAULT 0,
  infrastructure numeric(80, 0) NOT NULL DEFAULT 0,
  treasury numeric(80, 0) NOT NULL DEFAULT 0,
  paid uint256 NOT NULL DEFAULT 0
);
COMMENT ON TABLE payee IS 'Running totals per address: accrued ever by role, and paid ever on chain (final). Owed is their difference.';

-- Debits go to a partition that exists before its epoch opens. Attached, not created in place: CREATE TABLE … PARTITION OF
-- would take ACCESS EXCLUSIVE on debit and stop spending.
CREATE FUNCTION _make_debit_partition(p_epoch bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  name text := format('debit_e%s', p_epoch);
BEGIN
  IF to_regclass('credits.' || name) IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE credits.%I (LIKE credits.debit INCLUDING ALL, CONSTRAINT %I CHECK (epoch = %s AND epoch IS NOT NULL))',
    name, name || '_epoch', p_epoch);
  EXECUTE format('ALTER TABLE credits.debit ATTACH PARTITION credits.%I FOR VALUES IN (%s)', name, p_epoch);
  EXECUTE format('ALTER TABLE credits.%I DROP CONSTRAINT %I', name, name || '_epoch');
  -- Attaching copies the triggers of rows, and not this one.
  EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON credits.%I EXECUTE FUNCTION credits.deny_mutation()', name);
END
$$;

SELECT _make_debit_partition(1);
SELECT _make_debit_partition(2);
INSERT INTO epoch (epoch) VALUES (1);

GRANT SELECT ON epoch, debit_key, debit, refund, hold, uncollected, unpaid_work, operator_usage, epoch_account, epoch_operator, accrual, payee
  TO credits_indexer, credits_meter, credits_settler, credits_auditor, credits_sealer;
