-- How chain events reach balances: the indexer's functions. What the chain did takes effect here and nowhere else (I9).
--
-- An account's net position is spendable - debt: a credit or a withdrawal moves it, and debt is its negative part. So the
-- order of events inside one transaction does not matter, and rows can be applied as sets, in the order of accounts (no deadlock).
-- Every function first locks the vault's watermark row: one writer per vault.
-- Locks: rows. Test: Tests/LedgerTests/ChainTests.swift.

SET LOCAL ROLE credits_owner;
SET LOCAL search_path = credits, public, pg_temp;

CREATE FUNCTION register_vault(p_chain bigint, p_vault bytea, p_token bytea, p_start bigint,
  p_deposit_event text, p_withdraw_event text, p_start_unchecked boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  known vault;
BEGIN
  INSERT INTO vault (chain_id, vault, token, start_block, deposit_event, withdraw_event, start_unchecked)
    VALUES (p_chain, p_vault, p_token, p_start, p_deposit_event, p_withdraw_event, p_start_unchecked)
    ON CONFLICT DO NOTHING;
  SELECT * INTO STRICT known FROM vault WHERE chain_id = p_chain AND vault = p_vault;
  IF (known.token, known.start_block, known.deposit_event, known.withdraw_event)
    IS DISTINCT FROM (p_token::address, p_start, p_deposit_event, p_withdraw_event) THEN
    RAISE EXCEPTION 'vault % is registered with token %, start block %, events "%" and "%"',
      format_address(p_vault), format_address(known.token), known.start_block, known.deposit_event, known.withdraw_event
      USING ERRCODE = 'invalid_parameter_value',
        HINT = 'Configure what was registered, or use another database: a followed history cannot change its meaning.';
  END IF;
  INSERT INTO watermark (chain_id, vault, head, scanned_to, proven_to, finalized_to)
    VALUES (p_chain, p_vault, p_start - 1, p_start - 1, p_start - 1, p_start - 1) ON CONFLICT DO NOTHING;
  -- The single writer of a chain holds this table's lock in an open, otherwise empty transaction. Not a row lock, whose
  -- transaction id would hold back VACUUM for as long as the indexer lives.
  EXECUTE format('CREATE TABLE IF NOT EXISTS credits.%I ()', 'indexer_of_' || p_chain);
  EXECUTE format('GRANT SELECT, UPDATE ON credits.%I TO credits_indexer', 'indexer_of_' || p_chain);
END
$$;

CREATE FUNCTION _lock_watermark(p_chain bigint, p_vault bytea) RETURNS watermark
LANGUAGE plpgsql AS $$
DECLARE
  mark watermark;
BEGIN
  SELECT * INTO mark FROM watermark WHERE chain_id = p_chain AND vault = p_vault FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'vault % of chain % is not registered', format_address(p_vault), p_chain
      USING ERRCODE = 'no_data_found', HINT = 'Call register_vault first.';
  END IF;
  RETURN mark;
END
$$;

-- Locks, in their order, the balances of these accounts and of every event that this transaction may still apply. A step records
-- events and then applies others: taken one set after another, its locks would cross those of a batch of debits.
CREATE FUNCTION _lock_balances(p_mark watermark, p_accounts bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM balance WHERE account = ANY (p_accounts) OR account IN (SELECT e.account FROM chain_event e
      WHERE e.chain_id = p_mark.chain_id AND e.vault = p_mark.vault AND e.block_number <= p_mark.proven_to
        AND e.status IN ('pending', 'applied') AND e.kind <> 'paid')
    ORDER BY account FOR NO KEY UPDATE;
END
$$;

-- Tells listeners which accounts changed; one message an account, or one without an account when there are very many.
CREATE FUNCTION _notify_balances(p_accounts bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF cardinality(p_accounts) > 200 THEN
    PERFORM pg_notify('balance_changed', '{"account":null}');
  ELSE
    PERFORM pg_notify('balance_changed', json_build_object('account', format_address(a))::text) FROM unnest(p_accounts) AS a;
  END IF;
END
$$;

-- What a journal entry of a block refers to. With the vault: two vaults may have events in one block.
CREATE FUNCTION _reference(p_vault bytea, p_block_hash bytea) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT encode(p_vault, 'hex') || '/' || encode(p_block_hash, 'hex') $$;

CREATE FUNCTION set_head(p_chain bigint, p_vault bytea, p_head bigint, p_head_at timestamptz, p_quorum text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
BEGIN
  UPDATE watermark SET head = p_head, head_at = p_head_at, quorum = p_quorum, updated_at = now()
    WHERE chain_id = p_chain AND vault = p_vault;
END
$$;

CREATE FUNCTION note_omissions(p_chain bigint, p_vault bytea, p_count bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
BEGIN
  UPDATE watermark SET omissions_detected = omissions_detected + p_count WHERE chain_id = p_chain AND vault = p_vault;
END
$$;

CREATE FUNCTION record_blocks(p_chain bigint, p_numbers bigint[], p_hashes bytea[], p_parents bytea[],
  p_times timestamptz[], p_headers bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
BEGIN
  INSERT INTO block (chain_id, number, hash, parent_hash, mined_at, header)
    SELECT p_chain, b.* FROM unnest(p_numbers, p_hashes, p_parents, p_times, p_headers) AS b
    ON CONFLICT (chain_id, hash) DO UPDATE SET orphaned_at = NULL WHERE block.orphaned_at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION record_blocks(bigint, bigint[], bytea[], bytea[], timestamptz[], bytea[]) IS 'Stores checked headers. A block that comes back after a reorg is canonical again; two canonical blocks of one number cannot be.';

CREATE FUNCTION record_events(p_chain bigint, p_vault bytea, p_kinds text[], p_accounts bytea[], p_amounts numeric[],
  p_totals numeric[], p_numbers bigint[], p_hashes bytea[], p_transactions bytea[], p_log_indexes int[], p_ordinals int[])
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  mark watermark := _lock_watermark(p_chain, p_vault);
  added_count bigint;
  changed bytea[];
  seen record;
BEGIN
  IF EXISTS (SELECT FROM unnest(p_amounts || p_totals) AS amount WHERE NOT is_wei(amount)) THEN
    RAISE EXCEPTION 'an event''s amount is not a whole number of wei within uint256' USING ERRCODE = 'numeric_value_out_of_range';
  END IF;
  FOR seen IN
    SELECT c.event_id, c.block_number, c.log_index, e.ordinal,
      (c.kind, c.account, c.amount, c.total, c.block_number, c.tx_hash)
        IS DISTINCT FROM (e.kind, e.account, e.amount, e.total, e.block_number, e.tx_hash) AS is_other
    FROM unnest(p_kinds, p_accounts, p_amounts, p_totals, p_numbers, p_hashes, p_transactions, p_log_indexes, p_ordinals)
      AS e (kind, account, amount, total, block_number, block_hash, tx_hash, log_index, ordinal)
    JOIN chain_event c ON (c.chain_id, c.vault, c.block_hash, c.log_index) = (p_chain, p_vault, e.block_hash, e.log_index)
    -- From the last: each moves to a place that the one behind it has left.
    ORDER BY e.log_index DESC
  LOOP
    IF seen.is_other THEN
      -- Also when it is orphaned: a block that comes back must not bring back what an endpoint once said of it.
      RAISE EXCEPTION 'log % of block % is stored with another content', seen.log_index, seen.block_number
        USING ERRCODE = 'data_corrupted', HINT = 'An endpoint lied in a scan (--proof off, or no receipts). Sync into a new database with --proof all.';
    END IF;
    -- A log of the same transaction that a scan had left out shifts the places of those behind it.
    UPDATE chain_event SET ordinal = seen.ordinal WHERE event_id = seen.event_id AND ordinal <> seen.ordinal;
  END LOOP;
  PERFORM _lock_balances(mark, p_accounts);
  WITH added AS (
    INSERT INTO chain_event (chain_id, vault, kind, account, amount, total, block_number, block_hash, tx_hash, log_index, ordinal)
      SELECT p_chain, p_vault, e.*
      FROM unnest(p_kinds, p_accounts, p_amounts, p_totals, p_numbers, p_hashes, p_transactions, p_log_indexes, p_ordinals) AS e
      ON CONFLICT (chain_id, vault, block_hash, log_index)
        DO UPDATE SET status = 'pending', status_at = now() WHERE chain_event.status = 'orphaned'
      RETURNING kind, account, amount
  ), credited AS (
    INSERT INTO balance AS b (account, pending, exposure_limit)
      SELECT a.account, coalesce(sum(a.amount) FILTER (WHERE a.kind = 'deposit'), 0),
        (SELECT default_exposure_limit FROM setting)
      FROM added a WHERE a.kind <> 'paid' GROUP BY a.account ORDER BY a.account
      ON CONFLICT (account) DO UPDATE SET pending = b.pending + excluded.pending, version = b.version + 1
        WHERE excluded.pending > 0
      RETURNING account
  )
  SELECT (SELECT count(*) FROM added), (SELECT array_agg(DISTINCT account ORDER BY account) FROM added WHERE kind <> 'paid')
    INTO added_count, changed;
  IF added_count > 0 THEN
    FOR seen IN
      SELECT e.block, encode(e.hash, 'hex') AS hash, count(*) AS events
      FROM unnest(p_numbers, p_hashes) AS e (block, hash) GROUP BY e.block, e.hash ORDER BY e.block DESC LIMIT 100
    LOOP
      PERFORM pg_notify('chain_events', json_build_object('chain_id', p_chain, 'vault', format_address(p_vault),
        'block', seen.block, 'hash', '0x' || seen.hash, 'events', seen.events)::text);
    END LOOP;
    PERFORM _notify_balances(coalesce(changed, '{}'));
  END IF;
  RETURN added_count;
END
$$;
COMMENT ON FUNCTION record_events(bigint, bytea, text[], bytea[], numeric[], numeric[], bigint[], bytea[], bytea[], int[], int[]) IS 'Stores vault events, each once; deposits become pending. Returns how many were new.';

CREATE FUNCTION record_transfers(p_chain bigint, p_vault bytea, p_senders bytea[], p_recipients bytea[], p_amounts numeric[],
  p_numbers bigint[], p_hashes bytea[], p_transactions bytea[], p_log_indexes int[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  added_count bigint;
BEGIN
  PERFORM _lock_watermark(p_chain, p_vault);
  IF EXISTS (SELECT FROM unnest(p_amounts) AS amount WHERE NOT is_wei(amount)) THEN
    RAISE EXCEPTION 'a transfer''s amount is not a whole number of wei within uint256' USING ERRCODE = 'numeric_value_out_of_range';
  ELSIF EXISTS (SELECT FROM unnest(p_senders, p_recipients, p_amounts, p_numbers, p_hashes, p_transactions, p_log_indexes)
        AS t (sender, recipient, amount, block_number, block_hash, tx_hash, log_index)
      JOIN token_transfer c ON (c.chain_id, c.vault, c.block_hash, c.log_index) = (p_chain, p_vault, t.block_hash, t.log_index)
      WHERE (c.sender, c.recipient, c.amount, c.block_number, c.tx_hash)
        IS DISTINCT FROM (t.sender, t.recipient, t.amount, t.block_number, t.tx_hash)) THEN
    RAISE EXCEPTION 'a transfer is stored with another content'
      USING ERRCODE = 'data_corrupted', HINT = 'An endpoint lied in a scan (--proof off, or no receipts). Sync into a new database with --proof all.';
  END IF;
  INSERT INTO token_transfer (chain_id, vault, sender, recipient, amount, block_number, block_hash, tx_hash, log_index)
    SELECT p_chain, p_vault, t.*
    FROM unnest(p_senders, p_recipients, p_amounts, p_numbers, p_hashes, p_transactions, p_log_indexes) AS t
    ON CONFLICT (chain_id, vault, block_hash, log_index) DO UPDATE SET orphaned_at = NULL WHERE token_transfer.orphaned_at IS NOT NULL;
  GET DIAGNOSTICS added_count = ROW_COUNT;
  RETURN added_count;
END
$$;

-- Extends what is covered. A range must begin where the last one ended, so a gap cannot be stored.
CREATE FUNCTION cover(p_chain bigint, p_vault bytea, p_subject text, p_proof text, p_from bigint, p_to bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  mark watermark := _lock_watermark(p_chain, p_vault);
  next_block bigint;
BEGIN
  SELECT coalesce((SELECT max(upper(c.blocks)) FROM coverage c
      WHERE (c.chain_id, c.vault, c.subject, c.proof) = (p_chain, p_vault, p_subject, p_proof)), v.start_block)
    INTO next_block FROM vault v WHERE v.chain_id = p_chain AND v.vault = p_vault;
  IF p_from <> next_block OR p_to < p_from THEN
    RAISE EXCEPTION 'cannot mark blocks % to % as %: the next block is %', p_from, p_to, p_proof, next_block
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Another indexer may be running. Read the watermark again.';
  END IF;
  UPDATE coverage SET blocks = int8range(lower(blocks), p_to + 1)
    WHERE chain_id = p_chain AND vault = p_vault AND subject = p_subject AND proof = p_proof AND upper(blocks) = next_block;
  IF NOT FOUND THEN
    INSERT INTO coverage (chain_id, vault, subject, proof, blocks) VALUES (p_chain, p_vault, p_subject, p_proof, int8range(p_from, p_to + 1));
  END IF;
  IF p_subject = 'vault' AND p_proof = 'scanned' THEN
    UPDATE watermark SET scanned_to = p_to, updated_at = now() WHERE chain_id = p_chain AND vault = p_vault;
  ELSIF p_subject = 'vault' THEN
    UPDATE chain_event SET proven = true
      WHERE chain_id = p_chain AND vault = p_vault AND block_number BETWEEN p_from AND p_to AND status <> 'orphaned' AND NOT proven;
    UPDATE watermark SET proven_to = p_to, updated_at = now() WHERE chain_id = p_chain AND vault = p_vault;
  ELSIF p_proof = 'proven' THEN
    UPDATE token_transfer SET proven = true
      WHERE chain_id = p_chain AND vault = p_vault AND block_number BETWEEN p_from AND p_to AND orphaned_at IS NULL AND NOT proven;
  END IF;
END
$$;
COMMENT ON FUNCTION cover(bigint, bytea, text, text, bigint, bigint) IS 'Marks blocks from..to of a subject (vault or token) as scanned or proven and moves the watermark. Refuses a gap.';

-- No event of a block that is not in the stored chain is ever counted (I1), whoever follows the chain, and however.
CREATE FUNCTION _require_canonical(p_chain bigint, p_vault bytea, p_to bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  stray record;
BEGIN
  SELECT e.block_number, e.block_hash INTO stray FROM chain_event e
    WHERE e.chain_id = p_chain AND e.vault = p_vault AND e.block_number <= p_to AND e.status IN ('pending', 'applied') AND e.proven
      AND NOT EXISTS (SELECT FROM block b WHERE b.chain_id = p_chain AND b.hash = e.block_hash AND b.orphaned_at IS NULL)
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'block % with the hash 0x% has events and is not in the stored chain', stray.block_number, encode(stray.block_hash, 'hex')
      USING ERRCODE = 'data_corrupted', HINT = 'Nothing was changed. Sync into a new database and compare.';
  END IF;
END
$$;

-- Proven withdrawals up to a block leave the balance: spendable first, the rest becomes debt.
CREATE FUNCTION withdraw(p_chain bigint, p_vault bytea, p_to bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  mark watermark := _lock_watermark(p_chain, p_vault);
  mined record;
  changed bytea[];
BEGIN
  SELECT array_agg(DISTINCT account ORDER BY account) INTO changed FROM chain_event
    WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'withdraw' AND proven;
  IF changed IS NULL THEN
    RETURN;
  END IF;
  PERFORM _require_canonical(p_chain, p_vault, p_to);
  PERFORM _lock_balances(mark, '{}');
  FOR mined IN
    SELECT block_hash, sum(amount::numeric) AS amount FROM chain_event
    WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'withdraw' AND proven
    GROUP BY block_number, block_hash ORDER BY block_number
  LOOP
    PERFORM _post('withdrawal_seen', _reference(p_vault, mined.block_hash) || '@' || pg_current_xact_id(),
      ARRAY['users', 'withdrawals_in_flight'], ARRAY[mined.amount, -mined.amount]);
  END LOOP;
  WITH counted AS (
    UPDATE chain_event SET status = 'applied', status_at = now()
      WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'withdraw' AND proven
      RETURNING account, amount
  ), taken AS (
    SELECT account, sum(amount::numeric) AS amount FROM counted GROUP BY account
  )
  UPDATE balance b SET spendable = greatest(0, b.spendable - b.debt - t.amount),
    debt = greatest(0, b.debt - b.spendable + t.amount), version = b.version + 1
    FROM taken t WHERE b.account = t.account;
  PERFORM _notify_balances(changed);
END
$$;
COMMENT ON FUNCTION withdraw(bigint, bytea, bigint) IS 'Counts proven withdrawals up to a block whose hash the quorum has at the head.';

CREATE FUNCTION _finalize_withdrawals(p_chain bigint, p_vault bytea, p_to bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  mined record;
BEGIN
  FOR mined IN
    SELECT block_hash, sum(amount::numeric) AS amount FROM chain_event
    WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'applied'
    GROUP BY block_number, block_hash ORDER BY block_number
  LOOP
    PERFORM _post('withdrawal_final', _reference(p_vault, mined.block_hash),
      ARRAY['withdrawals_in_flight', 'vault'], ARRAY[mined.amount, -mined.amount]);
  END LOOP;
  UPDATE chain_event SET status = 'final', status_at = now()
    WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'applied';
END
$$;

-- Pending deposits up to a block become spendable; debt is repaid first.
CREATE FUNCTION deposit(p_chain bigint, p_vault bytea, p_to bigint) RETURNS bytea[]
LANGUAGE plpgsql AS $$
DECLARE
  mined record;
  changed bytea[];
BEGIN
  SELECT array_agg(DISTINCT account ORDER BY account) INTO changed FROM chain_event
    WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'deposit';
  IF changed IS NULL THEN
    RETURN '{}';
  END IF;
  PERFORM 1 FROM balance WHERE account = ANY (changed) ORDER BY account FOR NO KEY UPDATE;
  FOR mined IN
    SELECT block_hash, sum(amount::numeric) AS amount FROM chain_event
    WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'deposit'
    GROUP BY block_number, block_hash ORDER BY block_number
  LOOP
    PERFORM _post('deposit', _reference(p_vault, mined.block_hash), ARRAY['vault', 'users'], ARRAY[mined.amount, -mined.amount]);
  END LOOP;
  WITH done AS (
    UPDATE chain_event SET status = 'final', status_at = now()
      WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'deposit'
      RETURNING account, amount
  ), credited AS (
    SELECT account, sum(amount::numeric) AS amount FROM done GROUP BY account
  )
  UPDATE balance b SET pending = b.pending - c.amount, spendable = greatest(0, b.spendable - b.debt + c.amount),
    debt = greatest(0, b.debt - b.spendable - c.amount), version = b.version + 1
    FROM credited c WHERE b.account = c.account;
  RETURN changed;
END
$$;

-- What the vault charged up to a block is settled: it lowers unsettled, whoever sent the transaction.
CREATE FUNCTION charged(p_chain bigint, p_vault bytea, p_to bigint) RETURNS bytea[]
LANGUAGE plpgsql AS $$
DECLARE
  mined record;
  changed bytea[];
BEGIN
  SELECT array_agg(DISTINCT account ORDER BY account) INTO changed FROM chain_event
    WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'charged';
  IF changed IS NULL THEN
    RETURN '{}';
  END IF;
  PERFORM 1 FROM balance WHERE account = ANY (changed) ORDER BY account FOR NO KEY UPDATE;
  FOR mined IN
    SELECT block_hash, sum(amount::numeric) AS amount FROM chain_event
    WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'charged'
    GROUP BY block_number, block_hash ORDER BY block_number
  LOOP
    PERFORM _post('charged', _reference(p_vault, mined.block_hash), ARRAY['pool', 'vault'], ARRAY[mined.amount, -mined.amount]);
  END LOOP;
  WITH done AS (
    UPDATE chain_event SET status = 'final', status_at = now()
      WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'charged'
      RETURNING account, amount
  ), taken AS (
    SELECT account, sum(amount::numeric) AS amount FROM done GROUP BY account
  )
  UPDATE balance b SET unsettled = b.unsettled - t.amount, version = b.version + 1
    FROM taken t WHERE b.account = t.account;
  RETURN changed;
END
$$;

-- What the vault paid up to a block lowers what its payee is owed. One journal entry a block, by the payees' roles.
CREATE FUNCTION paid(p_chain bigint, p_vault bytea, p_to bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  event record;
  before payable;
  after payable;
  current_block bytea;
  lines numeric[];
BEGIN
  IF NOT EXISTS (SELECT FROM chain_event
      WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'paid') THEN
    RETURN;
  END IF;
  -- What is owed is read before and after: epoch_tally() must not accrue in between.
  LOCK TABLE payee IN SHARE ROW EXCLUSIVE MODE;
  FOR event IN
    SELECT event_id, account, amount, block_hash FROM chain_event
    WHERE chain_id = p_chain AND vault = p_vault AND block_number <= p_to AND status = 'pending' AND kind = 'paid'
    ORDER BY block_number, log_index
  LOOP
    IF current_block IS DISTINCT FROM event.block_hash THEN
      IF current_block IS NOT NULL THEN
        PERFORM _post('paid', _reference(p_vault, current_block), ARRAY['operators', 'infrastructure', 'treasury', 'pool'], lines);
      END IF;
      current_block := event.block_hash;
      lines := ARRAY[0, 0, 0, 0];
    END IF;
    INSERT INTO payee (payee) VALUES (event.account) ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT before FROM payable WHERE payee = event.account;
    UPDATE payee SET paid = payee.paid + event.amount WHERE payee.payee = event.account;
    SELECT * INTO STRICT after FROM payable WHERE payee = event.account;
    lines := ARRAY[lines[1] + before.operators - after.operators, lines[2] + before.infrastructure - after.infrastructure,
      lines[3] + before.treasury - after.treasury, lines[4] - event.amount];
    UPDATE chain_event SET status = 'final', status_at = now() WHERE event_id = event.event_id;
  END LOOP;
  IF current_block IS NOT NULL THEN
    PERFORM _post('paid', _reference(p_vault, current_block), ARRAY['operators', 'infrastructure', 'treasury', 'pool'], lines);
  END IF;
END
$$;

-- Moves finality and applies what is both proven and final. Returns the block where the ledger now stands.
CREATE FUNCTION finalize(p_chain bigint, p_vault bytea, p_finalized bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  mark watermark;
  stands_at bigint;
  changed bytea[];
BEGIN
  mark := _lock_watermark(p_chain, p_vault);
  UPDATE watermark SET finalized_to = greatest(finalized_to, p_finalized), updated_at = now()
    WHERE chain_id = p_chain AND vault = p_vault RETURNING applied_to INTO stands_at;
  IF NOT EXISTS (SELECT FROM chain_event WHERE chain_id = p_chain AND vault = p_vault AND block_number <= stands_at
      AND status IN ('pending', 'applied')) THEN
    RETURN stands_at;
  END IF;
  PERFORM _require_canonical(p_chain, p_vault, stands_at);
  PERFORM _lock_balances(mark, '{}');
  PERFORM withdraw(p_chain, p_vault, stands_at);
  PERFORM _finalize_withdrawals(p_chain, p_vault, stands_at);
  changed := deposit(p_chain, p_vault, stands_at) || charged(p_chain, p_vault, stands_at);
  PERFORM paid(p_chain, p_vault, stands_at);
  PERFORM _notify_balances(changed);
  RETURN stands_at;
END
$$;
COMMENT ON FUNCTION finalize(bigint, bytea, bigint) IS 'Says how far consensus is final and applies every event up to min(proven, finalized).';

-- Takes blocks from p_from on out of the chain: their events are orphaned and their effects given back, debt first. Of every vault
-- of the chain: they share its blocks, and another's indexer would find the new chain stored and its old events still live.
CREATE FUNCTION orphan(p_chain bigint, p_vault bytea, p_from bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = credits, pg_temp AS $$
DECLARE
  final_to bigint;
  mined record;
  changed bytea[];
  orphaned_count bigint;
BEGIN
  PERFORM 1 FROM watermark WHERE chain_id = p_chain ORDER BY vault FOR UPDATE;
  PERFORM _lock_watermark(p_chain, p_vault);
  SELECT max(finalized_to) INTO final_to FROM watermark WHERE chain_id = p_chain;
  IF p_from <= final_to THEN
    RAISE EXCEPTION 'refusing to orphan block %: blocks up to % are final', p_from, final_to
      USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'The endpoints contradict finality. Nothing was changed; a person must decide which chain is right.';
  END IF;
  SELECT array_agg(DISTINCT account ORDER BY account) INTO changed FROM chain_event
    WHERE chain_id = p_chain AND block_number >= p_from AND status IN ('pending', 'applied') AND kind IN ('deposit', 'withdraw');
  PERFORM 1 FROM balance WHERE account = ANY (changed) ORDER BY account FOR NO KEY UPDATE;
  FOR mined IN
    SELECT vault, block_hash, sum(amount::numeric) AS amount FROM chain_event
    WHERE chain_id = p_chain AND block_number >= p_from AND status = 'applied'
    GROUP BY vault, block_number, block_hash ORDER BY block_number DESC, vault
  LOOP
    PERFORM _post('withdrawal_orphaned', _reference(mined.vault, mined.block_hash) || '@' || pg_current_xact_id(),
      ARRAY['withdrawals_in_flight', 'users'], ARRAY[mined.amount, -mined.amount]);
  END LOOP;
  WITH before AS (
    SELECT event_id, status FROM chain_event
      WHERE chain_id = p_chain AND block_number >= p_from AND status IN ('pending', 'applied')
  ), done AS (
    UPDATE chain_event e SET status = 'orphaned', status_at = now(), proven = false
      FROM before WHERE e.event_id = before.event_id
      RETURNING e.kind, e.account, e.amount, before.status AS was
  ), moved AS (
    SELECT account, coalesce(sum(amount::numeric) FILTER (WHERE kind = 'deposit'), 0) AS unpended,
      coalesce(sum(amount::numeric) FILTER (WHERE was = 'applied'), 0) AS returned
    FROM done WHERE kind IN ('deposit', 'withdraw') GROUP BY account
  ), effect AS (
    UPDATE balance b SET pending = b.pending - m.unpended, spendable = greatest(0, b.spendable - b.debt + m.returned),
      debt = greatest(0, b.debt - b.spendable - m.returned), version = b.version + 1
      FROM moved m WHERE b.account = m.account
  )
  SELECT count(*) INTO orphaned_count FROM done;
  UPDATE token_transfer SET orphaned_at = now(), proven = false
    WHERE chain_id = p_chain AND block_number >= p_from AND orphaned_at IS NULL;
  UPDATE block SET orphaned_at = now() WHERE chain_id = p_chain AND number >= p_from AND orphaned_at IS NULL;
  DELETE FROM coverage WHERE chain_id = p_chain AND lower(blocks) >= p_from;
  UPDATE coverage SET blocks = int8range(lower(blocks), p_from) WHERE chain_id = p_chain AND upper(blocks) > p_from;
  UPDATE watermark w SET scanned_to = least(w.scanned_to, greatest(p_from, v.start_block) - 1),
    proven_to = least(w.proven_to, greatest(p_from, v.start_block) - 1),
    reorgs = w.reorgs + (w.vault = p_vault)::int, updated_at = now()
    FROM vault v WHERE w.chain_id = p_chain AND (v.chain_id, v.vault) = (w.chain_id, w.vault);
  PERFORM _notify_balances(coalesce(changed, '{}'));
  RETURN orphaned_count;
END
$$;
COMMENT ON FUNCTION orphan(bigint, bytea, bigint) IS 'Orphans every block from a number on, above finality only. Returns how many events it took back.';

GRANT EXECUTE ON FUNCTION register_vault, set_head, note_omissions, record_blocks, record_events, record_transfers, cover, withdraw, finalize, orphan
  TO credits_indexer;
