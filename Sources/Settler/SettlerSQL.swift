import Credits
import Ethereum
import Ledger
import Postgres

/// Every function of the schema that the settler calls, and nothing else that writes.
struct SettlerSQL {
  let connection: PostgresConnection

  // MARK: Epochs (0003, 0008)

  func setSplit(_ split: Split, from: String?) async throws {
    try await connection.run(
      """
      SELECT credits.split_set(p_operators => $1::int, p_treasury => $2::int, p_infrastructure => $3::int,
        p_treasury_wallet => $4::bytea, p_infrastructure_wallet => $5::bytea, p_fallback_to => $6::text,
        p_from => $7::timestamptz)
      """,
      [
        .int(Int64(split.operatorsBasisPoints)), .int(Int64(split.treasuryBasisPoints)),
        .int(Int64(split.infrastructureBasisPoints)), .bytes(split.treasuryWallet.bytes),
        .bytes(split.infrastructureWallet.bytes), .text(split.fallbackTo.rawValue),
        from.map { .text($0) } ?? .null,
      ])
  }

  /// Cuts the open epoch. Raises 55P03 when spending held the fence too long: try again.
  func closeEpoch() async throws -> (epoch: UInt64, next: UInt64) {
    let row = try await connection.one("SELECT epoch, next FROM credits.epoch_close()", [])
    return (try row.uint64("epoch"), try row.uint64("next"))
  }

  func tally(_ epoch: UInt64) async throws {
    try await connection.run("SELECT credits.epoch_tally(p_epoch => $1)", [.unsigned(epoch)])
  }

  func cancel(_ epoch: UInt64, reason: String) async throws {
    try await connection.run(
      "SELECT credits.epoch_cancel(p_epoch => $1, p_reason => $2)",
      [.unsigned(epoch), .text(reason)])
  }

  func hold(_ payee: Address, held: Bool, reason: String?) async throws {
    try await connection.run(
      "SELECT credits.payee_hold(p_payee => $1, p_held => $2, p_reason => $3)",
      [.bytes(payee.bytes), .bool(held), reason.map { .text($0) } ?? .null])
  }

  // MARK: Planning and approving (0008)

  func storePlan(
    _ manifest: Manifest, planner: Address, signature: [UInt8], again: Bool
  ) async throws {
    try await connection.run(
      """
      SELECT credits.plan_store(p_epoch => $1, p_manifest => $2, p_bytes => $3, p_planner => $4,
        p_signature => $5, p_expires => to_timestamp($6::bigint), p_again => $7)
      """,
      [
        .unsigned(manifest.epoch), .bytes(manifest.hash.bytes), .bytes(manifest.bytes),
        .bytes(planner.bytes), .bytes(signature), .unsigned(manifest.limits.expires),
        .bool(again),
      ])
  }

  func storeApproval(
    _ manifest: Hash32, approver: Address, signature: [UInt8], complete: Bool
  ) async throws {
    try await connection.run(
      """
      SELECT credits.approval_store(p_manifest => $1, p_approver => $2, p_signature => $3,
        p_complete => $4)
      """,
      [
        .bytes(manifest.bytes), .bytes(approver.bytes), .bytes(signature), .bool(complete),
      ])
  }

  func revokeApproval(_ manifest: Hash32, approver: Address) async throws {
    try await connection.run(
      "SELECT credits.approval_revoke(p_manifest => $1, p_approver => $2)",
      [.bytes(manifest.bytes), .bytes(approver.bytes)])
  }

  // MARK: Sending (0008)

  /// The settlement address's next nonce and its first signed bytes, in one commit, before anything is sent.
  func storeTransaction(
    manifest: Hash32, kind: String, chunk: Int, chainID: UInt64, sender: Address, nonce: UInt64,
    recipient: Address, data: [UInt8], gasLimit: UInt64, hash: Hash32, raw: [UInt8], fees: Fees
  ) async throws {
    try await connection.run(
      """
      SELECT credits.transaction_store(p_manifest => $1, p_kind => $2, p_chunk => $3::int, p_chain => $4,
        p_sender => $5, p_nonce => $6, p_recipient => $7, p_value => 0, p_data => $8, p_gas => $9,
        p_hash => $10, p_raw => $11, p_max_fee => $12::numeric, p_priority_fee => $13::numeric)
      """,
      [
        .bytes(manifest.bytes), .text(kind), .int(Int64(chunk)), .unsigned(chainID),
        .bytes(sender.bytes), .unsigned(nonce), .bytes(recipient.bytes), .bytes(data),
        .unsigned(gasLimit), .bytes(hash.bytes), .bytes(raw), .wei(fees.maxFeePerGasWei),
        .wei(fees.priorityFeePerGasWei),
      ])
  }

  func storeAttempt(
    transaction: Int64, kind: String, hash: Hash32, raw: [UInt8], fees: Fees
  ) async throws {
    try await connection.run(
      """
      SELECT credits.attempt_store(p_transaction => $1, p_kind => $2, p_hash => $3, p_raw => $4,
        p_max_fee => $5::numeric, p_priority_fee => $6::numeric)
      """,
      [
        .int(transaction), .text(kind), .bytes(hash.bytes), .bytes(raw),
        .wei(fees.maxFeePerGasWei), .wei(fees.priorityFeePerGasWei),
      ])
  }

  func storeBroadcast(
    _ hash: Hash32, endpoint: String, outcome: String, accepted: Bool
  ) async throws {
    try await connection.run(
      """
      SELECT credits.broadcast_store(p_hash => $1, p_endpoint => $2, p_outcome => $3, p_accepted => $4)
      """,
      [.bytes(hash.bytes), .text(endpoint), .text(outcome), .bool(accepted)])
  }

  func storeOutcome(
    transaction: Int64, state: TransactionRow.State, _ inclusion: SendState.Inclusion?
  ) async throws {
    try await connection.run(
      """
      SELECT credits.transaction_outcome(p_transaction => $1, p_state => $2, p_hash => $3, p_block => $4,
        p_block_hash => $5, p_gas_used => $6, p_gas_price => $7::numeric)
      """,
      [
        .int(transaction), .text(state.rawValue), inclusion.map { .bytes($0.hash.bytes) } ?? .null,
        inclusion.map { .unsigned($0.blockNumber) } ?? .null,
        inclusion.map { .bytes($0.blockHash.bytes) } ?? .null,
        inclusion.map { .unsigned($0.gasUsed) } ?? .null,
        inclusion.map { .wei($0.gasPriceWei) } ?? .null,
      ])
  }

  func storeWaterfall(
    _ manifest: Hash32, block: UInt64, blockHash: Hash32, pool: UInt256, payouts: [PayoutRow]
  ) async throws {
    try await connection.run(
      """
      SELECT credits.waterfall_store(p_manifest => $1, p_block => $2, p_block_hash => $3, p_pool => $4::numeric,
        p_payees => $5::bytea[], p_amounts => $6::numeric[], p_totals => $7::numeric[], p_chunks => $8::int[])
      """,
      [
        .bytes(manifest.bytes), .unsigned(block), .bytes(blockHash.bytes), .wei(pool),
        .array(payouts.map { .address($0.payee) }), .array(payouts.map { .wei($0.amount) }),
        .array(payouts.map { .wei($0.total) }), .array(payouts.map { .int(Int64($0.chunk)) }),
      ])
  }

  func finish(_ epoch: UInt64) async throws {
    try await connection.run("SELECT credits.epoch_finish(p_epoch => $1)", [.unsigned(epoch)])
  }
}
