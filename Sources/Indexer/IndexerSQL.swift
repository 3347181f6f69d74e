import Ethereum
import Ledger
import Postgres

/// Every SQL function that the indexer calls, and everything that it reads: the one place to look when a migration changes.
///
/// Methods run inside the caller's transaction, or return statements that do.
struct IndexerSQL: Sendable {
  let chainID: UInt64
  let vault: Address

  private var chain: PostgresValue { .block(chainID) }
  private var place: [PostgresValue] { [chain, .address(vault)] }

  // MARK: Writing, migrations/0006_chain_functions.sql

  func registerVault(_ vault: VaultRegistration, _ db: isolated PostgresConnection) throws {
    try db.run(
      "SELECT credits.register_vault($1, $2, $3, $4, $5, $6, $7)",
      place + [
        .address(vault.token), .block(vault.startBlock), .text(vault.depositEvent),
        .text(vault.withdrawEvent), .bool(vault.startUnchecked),
      ])
  }

  /// Held for as long as the transaction is open: a second indexer of the chain is refused with 55P03.
  static func lockSingleWriter(chainID: UInt64) -> String {
    "LOCK TABLE credits.indexer_of_\(chainID) IN SHARE ROW EXCLUSIVE MODE NOWAIT"
  }

  // What a step writes is a list of statements, sent in one pipeline.

  func recordBlocks(_ headers: [CheckedHeader]) -> [PostgresStatement] {
    guard !headers.isEmpty else { return [] }
    return [
      PostgresStatement(
        """
        SELECT credits.record_blocks($1, $2, $3, $4,
          (SELECT array_agg(to_timestamp(t) ORDER BY i) FROM unnest($5::bigint[]) WITH ORDINALITY AS s (t, i)), $6)
        """,
        [
          chain, .array(headers.map { .block($0.header.number) }),
          .array(headers.map { .hash($0.hash) }),
          .array(headers.map { .hash($0.header.parentHash) }),
          .array(headers.map { .block($0.header.timestamp) }),
          .array(headers.map { .bytes($0.header.encoded) }),
        ])
    ]
  }

  func recordEvents(_ events: [VaultEvent]) -> [PostgresStatement] {
    guard !events.isEmpty else { return [] }
    return [
      PostgresStatement(
        "SELECT credits.record_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        place + [
          .array(events.map { .text($0.kind.rawValue) }),
          .array(events.map { .address($0.account) }),
          .array(events.map { .wei($0.amount) }),
          .array(events.map { $0.total.map { .wei($0) } ?? .null }),
        ] + Self.places(events.map(\.place)) + [.array(events.map { .int(Int64($0.ordinal)) })])
    ]
  }

  func recordTransfers(_ transfers: [TokenTransfer]) -> [PostgresStatement] {
    guard !transfers.isEmpty else { return [] }
    return [
      PostgresStatement(
        "SELECT credits.record_transfers($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        place + [
          .array(transfers.map { .address($0.sender) }),
          .array(transfers.map { .address($0.recipient) }),
          .array(transfers.map { .wei($0.amount) }),
        ] + Self.places(transfers.map(\.place)))
    ]
  }

  /// Numbers, hashes, transactions and log indexes.
  private static func places(_ places: [LogPlace]) -> [PostgresValue] {
    [
      .array(places.map { .block($0.block.number) }), .array(places.map { .hash($0.block.hash) }),
      .array(places.map { .hash($0.transaction) }),
      .array(places.map { .int(Int64($0.index)) }),
    ]
  }

  enum Coverage: String { case scanned, proven }

  /// Of the vault's logs and of the token's transfers.
  func cover(_ coverage: Coverage, _ range: ClosedRange<UInt64>) -> [PostgresStatement] {
    ["vault", "token"].map { subject in
      PostgresStatement(
        "SELECT credits.cover($1, $2, $3, $4, $5, $6)",
        place + [
          .text(subject), .text(coverage.rawValue), .block(range.lowerBound),
          .block(range.upperBound),
        ])
    }
  }

  func noteOmissions(_ count: Int) -> [PostgresStatement] {
    guard count > 0 else { return [] }
    return [
      PostgresStatement("SELECT credits.note_omissions($1, $2, $3)", place + [.int(Int64(count))])
    ]
  }

  /// Says where the chain stands, counts proven withdrawals up to its head, and applies what is proven and final.
  func follow(_ consensus: Consensus) -> [PostgresStatement] {
    let head = PostgresValue.block(consensus.head.number)
    return [
      PostgresStatement(
        "SELECT credits.set_head($1, $2, $3, to_timestamp($4::bigint), $5)",
        place + [head, .block(consensus.headTimestamp), .text(consensus.quorum)]),
      PostgresStatement("SELECT credits.withdraw($1, $2, $3)", place + [head]),
      // Also when nobody says what is final now: a proof may have moved the ledger up to what was final before, and what
      // it passed is applied in the same transaction (I9). Finality never goes back.
      PostgresStatement(
        "SELECT credits.finalize($1, $2, $3)", place + [.block(consensus.finalized?.number ?? 0)]),
    ]
  }

  /// - Returns: how many events were taken back
  func orphan(from number: UInt64, _ db: isolated PostgresConnection) throws -> Int64 {
    try db.one("SELECT credits.orphan($1, $2, $3) AS events", place + [.block(number)])
      .int64("events")
  }

  // MARK: Reading

  func marks(_ db: isolated PostgresConnection) throws -> Marks {
    let rows = try db.query(
      """
      SELECT scanned_to + 1 AS unscanned, proven_to + 1 AS unproven, finalized_to + 1 AS revocable
      FROM credits.watermark WHERE (chain_id, vault) = ($1, $2)
      """, place)
    guard let row = rows.first else { throw LedgerSurprise.noVault(vault) }
    return Marks(
      unscanned: try row.uint64("unscanned"), unproven: try row.uint64("unproven"),
      firstRevocable: try row.uint64("revocable"))
  }

  /// Canonical stored blocks that are not final, highest first, and below them the highest that is.
  func storedBlocks(
    firstRevocable: UInt64, _ db: isolated PostgresConnection
  ) throws -> [ReorgWalk.Stored] {
    try db.query(
      """
      (SELECT number, hash FROM credits.block WHERE chain_id = $1 AND orphaned_at IS NULL AND number >= $2)
      UNION ALL
      (SELECT number, hash FROM credits.block WHERE chain_id = $1 AND orphaned_at IS NULL AND number < $2
        ORDER BY number DESC LIMIT 1)
      ORDER BY number DESC
      """, [chain, .block(firstRevocable)]
    ).map { ReorgWalk.Stored(number: try $0.uint64("number"), hash: try $0.hash("hash")) }
  }

  func isRegistered(_ db: isolated PostgresConnection) throws -> Bool {
    try db.one(
      "SELECT EXISTS (SELECT FROM credits.vault WHERE (chain_id, vault) = ($1, $2)) AS known", place
    ).bool("known")
  }

  func storedHash(at number: UInt64, _ db: isolated PostgresConnection) throws -> Hash32? {
    try db.query(
      "SELECT hash FROM credits.block WHERE chain_id = $1 AND number = $2 AND orphaned_at IS NULL",
      [chain, .block(number)]
    ).first?.hash("hash")
  }

  /// The live rows of a range, in the chain's order.
  func rows(
    _ range: ClosedRange<UInt64>, _ db: isolated PostgresConnection
  ) throws -> FollowedRows {
    let parameters = place + [.block(range.lowerBound), .block(range.upperBound)]
    let events = try db.query(
      """
      SELECT block_number, block_hash, tx_hash, log_index, kind, account, amount, total, ordinal
      FROM credits.chain_event
      WHERE (chain_id, vault) = ($1, $2) AND block_number BETWEEN $3 AND $4 AND status <> 'orphaned'
      ORDER BY block_number, log_index
      """, parameters)
    let transfers = try db.query(
      """
      SELECT block_number, block_hash, tx_hash, log_index, sender, recipient, amount
      FROM credits.token_transfer
      WHERE (chain_id, vault) = ($1, $2) AND block_number BETWEEN $3 AND $4 AND orphaned_at IS NULL
      ORDER BY block_number, log_index
      """, parameters)
    return FollowedRows(
      events: try events.map { row in
        let kind = try row.text("kind")
        guard let kind = VaultEvent.Kind(rawValue: kind) else {
          throw PostgresError.column(name: "kind", problem: "is \(kind), which is not known here")
        }
        return VaultEvent(
          kind: kind, account: try row.address("account"), amount: try row.wei("amount"),
          total: try row.optionalText("total") == nil ? nil : try row.wei("total"),
          place: try Self.logPlace(row), ordinal: try Self.uint32("ordinal", row))
      },
      transfers: try transfers.map { row in
        TokenTransfer(
          sender: try row.address("sender"), recipient: try row.address("recipient"),
          amount: try row.wei("amount"), place: try Self.logPlace(row))
      })
  }

  private static func uint32(_ name: String, _ row: PostgresRow) throws -> UInt32 {
    let number = try row.uint64(name)
    guard let exact = UInt32(exactly: number) else {
      throw PostgresError.column(name: name, problem: "is \(number), above 2^32-1")
    }
    return exact
  }

  private static func logPlace(_ row: PostgresRow) throws -> LogPlace {
    LogPlace(
      block: BlockReference(
        number: try row.uint64("block_number"), hash: try row.hash("block_hash")),
      transaction: try row.hash("tx_hash"), index: try Self.uint32("log_index", row))
  }

  /// What `indexer status` prints. Without a chain and a vault: the only one there is.
  static func status(
    chainID: UInt64?, vault: Address?, _ db: isolated PostgresConnection
  ) throws -> IndexerStatus {
    let rows = try db.query(
      """
      SELECT w.*, v.start_unchecked, e.*
      FROM credits.watermark w JOIN credits.vault v USING (chain_id, vault) CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE kind = 'deposit' AND status <> 'orphaned') AS deposits,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'deposit' AND status <> 'orphaned'), 0) AS deposited,
          count(*) FILTER (WHERE kind = 'withdraw' AND status <> 'orphaned') AS withdrawals,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'withdraw' AND status <> 'orphaned'), 0) AS withdrawn,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'charged' AND status = 'final'), 0) AS charged,
          coalesce(sum(amount::numeric) FILTER (WHERE kind = 'paid' AND status = 'final'), 0) AS paid,
          count(*) FILTER (WHERE status = 'orphaned') AS orphaned
        FROM credits.chain_event c WHERE (c.chain_id, c.vault) = (w.chain_id, w.vault)
      ) AS e
      WHERE ($1::bigint IS NULL OR w.chain_id = $1) AND ($2::bytea IS NULL OR w.vault = $2)
      ORDER BY w.chain_id, w.vault LIMIT 2
      """, [chainID.map { .block($0) } ?? .null, vault.map { .address($0) } ?? .null])
    guard let row = rows.first else { throw LedgerSurprise.noVault(vault) }
    guard rows.count == 1 else { throw LedgerSurprise.severalVaults }
    return IndexerStatus(
      chainID: try row.uint64("chain_id"), vault: try row.address("vault"),
      quorum: try row.text("quorum"), head: try row.int64("head"),
      scannedTo: try row.int64("scanned_to"), provenTo: try row.int64("proven_to"),
      finalizedTo: try row.int64("finalized_to"),
      deposits: .init(count: try row.int64("deposits"), sum: try row.text("deposited")),
      withdrawals: .init(count: try row.int64("withdrawals"), sum: try row.text("withdrawn")),
      charged: try row.text("charged"), paid: try row.text("paid"),
      orphaned: try row.int64("orphaned"),
      omissionsDetected: try row.int64("omissions_detected"), reorgs: try row.int64("reorgs"),
      startUnchecked: try row.bool("start_unchecked"))
  }
}

extension PostgresValue {
  /// A block's number, or another count that fits bigint.
  fileprivate static func block(_ number: UInt64) -> PostgresValue { .text(String(number)) }
}

/// A vault to follow, as it is registered once and for ever.
struct VaultRegistration: Sendable, Equatable {
  let token: Address
  let startBlock: UInt64
  let depositEvent: String
  let withdrawEvent: String
  let startUnchecked: Bool
}

/// The watermarks, each as the first block that it does not include.
struct Marks: Sendable, Equatable {
  let unscanned: UInt64
  let unproven: UInt64
  let firstRevocable: UInt64
}

/// Where the quorum says the chain stands, to be stored with a step.
struct Consensus: Sendable, Equatable {
  let head: BlockReference
  let headTimestamp: UInt64
  let finalized: BlockReference?
  let quorum: String
}

/// What the database does not hold, or holds too often.
enum LedgerSurprise: Error, Equatable, CustomStringConvertible {
  case noVault(Address?)
  case severalVaults

  var description: String {
    switch self {
    case .noVault(let vault?):
      "vault \(vault) is not followed in this database: check VAULT_ADDRESS and CHAIN_ID, or run indexer sync"
    case .noVault: "no vault is followed in this database yet: run indexer sync"
    case .severalVaults:
      "several vaults are followed in this database: say which with --vault-address and --chain-id"
    }
  }
}
