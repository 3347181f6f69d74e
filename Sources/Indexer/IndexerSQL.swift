import Ethereum

/// One database transaction: statements with parameters and results in PostgreSQL's text format, null as nil.
protocol LedgerTransaction {
  func rows(_ sql: String, _ parameters: [String?]) throws -> [[String?]]
}

/// A connection as `credits_indexer`. `transaction` commits when its body returns, and rolls back when it throws.
protocol LedgerSession: Sendable {
  func transaction<Result: Sendable>(
    _ body: @escaping @Sendable (any LedgerTransaction) throws -> Result
  ) async throws -> Result
}

/// Every SQL function that the indexer calls, and everything that it reads: the one place to look when a migration changes.
struct IndexerSQL: Sendable {
  let chainID: UInt64
  let vault: Address

  private var place: [String?] { [String(chainID), Self.text(vault.bytes)] }

  // MARK: Writing, migrations/0006_chain_functions.sql

  func registerVault(_ vault: VaultRegistration, _ transaction: any LedgerTransaction) throws {
    _ = try transaction.rows(
      "SELECT credits.register_vault($1::bigint, $2::bytea, $3::bytea, $4::bigint, $5::text, $6::text, $7::boolean)",
      place + [
        Self.text(vault.token.bytes), String(vault.startBlock), vault.depositEvent,
        vault.withdrawEvent,
        vault.startUnchecked ? "true" : "false",
      ])
  }

  /// Held for as long as its transaction is open: a second indexer of the chain is refused with 55P03.
  static func lockSingleWriter(chainID: UInt64) -> String {
    "LOCK TABLE credits.indexer_of_\(chainID) IN SHARE ROW EXCLUSIVE MODE NOWAIT"
  }

  func recordBlocks(_ headers: [CheckedHeader], _ transaction: any LedgerTransaction) throws {
    guard !headers.isEmpty else { return }
    _ = try transaction.rows(
      """
      SELECT credits.record_blocks($1::bigint, $2::bigint[], $3::bytea[], $4::bytea[],
        (SELECT array_agg(to_timestamp(t) ORDER BY i) FROM unnest($5::float8[]) WITH ORDINALITY AS s (t, i)), $6::bytea[])
      """,
      [
        String(chainID), Self.list(headers.map { String($0.reference.number) }),
        Self.list(headers.map { Self.element($0.reference.hash.bytes) }),
        Self.list(headers.map { Self.element($0.parent.bytes) }),
        Self.list(headers.map { String($0.timestamp) }),
        Self.list(headers.map { Self.element($0.rlp) }),
      ])
  }

  func recordEvents(_ events: [VaultEvent], _ transaction: any LedgerTransaction) throws {
    guard !events.isEmpty else { return }
    _ = try transaction.rows(
      """
      SELECT credits.record_events($1::bigint, $2::bytea, $3::text[], $4::bytea[], $5::numeric[], $6::numeric[], $7::bigint[],
        $8::bytea[], $9::bytea[], $10::int[], $11::int[])
      """,
      place + [
        Self.list(events.map(\.kind.rawValue)),
        Self.list(events.map { Self.element($0.account.bytes) }),
        Self.list(events.map { $0.amount.description }),
        Self.list(events.map { $0.total?.description ?? "NULL" }),
      ] + Self.places(events.map(\.place)) + [Self.list(events.map { String($0.ordinal) })])
  }

  func recordTransfers(_ transfers: [TokenTransfer], _ transaction: any LedgerTransaction) throws {
    guard !transfers.isEmpty else { return }
    _ = try transaction.rows(
      """
      SELECT credits.record_transfers($1::bigint, $2::bytea, $3::bytea[], $4::bytea[], $5::numeric[], $6::bigint[], $7::bytea[],
        $8::bytea[], $9::int[])
      """,
      place + [
        Self.list(transfers.map { Self.element($0.sender.bytes) }),
        Self.list(transfers.map { Self.element($0.recipient.bytes) }),
        Self.list(transfers.map { $0.amount.description }),
      ] + Self.places(transfers.map(\.place)))
  }

  enum Subject: String { case vault, token }
  enum Coverage: String { case scanned, proven }

  func cover(
    _ subject: Subject, _ coverage: Coverage, _ range: ClosedRange<UInt64>,
    _ transaction: any LedgerTransaction
  ) throws {
    _ = try transaction.rows(
      "SELECT credits.cover($1::bigint, $2::bytea, $3::text, $4::text, $5::bigint, $6::bigint)",
      place + [
        subject.rawValue, coverage.rawValue, String(range.lowerBound), String(range.upperBound),
      ])
  }

  func noteOmissions(_ count: Int, _ transaction: any LedgerTransaction) throws {
    guard count > 0 else { return }
    _ = try transaction.rows(
      "SELECT credits.note_omissions($1::bigint, $2::bytea, $3::bigint)", place + [String(count)])
  }

  /// Says where the chain stands, counts proven withdrawals up to its head, and applies what is proven and final.
  func follow(_ consensus: Consensus, _ transaction: any LedgerTransaction) throws {
    let head = String(consensus.head.number)
    _ = try transaction.rows(
      "SELECT credits.set_head($1::bigint, $2::bytea, $3::bigint, to_timestamp($4::float8), $5::text)",
      place + [head, String(consensus.headTimestamp), consensus.quorum])
    _ = try transaction.rows(
      "SELECT credits.withdraw($1::bigint, $2::bytea, $3::bigint)", place + [head])
    if let finalized = consensus.finalized {
      _ = try transaction.rows(
        "SELECT credits.finalize($1::bigint, $2::bytea, $3::bigint)",
        place + [String(finalized.number)])
    }
  }

  /// - Returns: how many events were taken back
  func orphan(from number: UInt64, _ transaction: any LedgerTransaction) throws -> Int {
    let rows = try transaction.rows(
      "SELECT credits.orphan($1::bigint, $2::bytea, $3::bigint)", place + [String(number)])
    return try Self.integer(rows.first?.first ?? nil)
  }

  // MARK: Reading

  func marks(_ transaction: any LedgerTransaction) throws -> Marks {
    let rows = try transaction.rows(
      """
      SELECT w.head + 1, w.scanned_to + 1, w.proven_to + 1, w.finalized_to + 1, coalesce(max(upper(c.blocks)), v.start_block)
      FROM credits.watermark w JOIN credits.vault v USING (chain_id, vault)
        LEFT JOIN credits.coverage c ON (c.chain_id, c.vault, c.subject, c.proof) = (w.chain_id, w.vault, 'token', 'proven')
      WHERE (w.chain_id, w.vault) = ($1::bigint, $2::bytea)
      GROUP BY w.head, w.scanned_to, w.proven_to, w.finalized_to, v.start_block
      """, place)
    guard let row = rows.first else { throw LedgerSurprise.notRegistered(vault) }
    return Marks(
      afterHead: try Self.integer(row[0]), unscanned: try Self.integer(row[1]),
      unproven: try Self.integer(row[2]),
      firstRevocable: try Self.integer(row[3]), unprovenTransfers: try Self.integer(row[4]))
  }

  /// Canonical stored blocks at or below a number, highest first, ending with the first one below `firstRevocable`.
  func storedBlocks(
    firstRevocable: UInt64, _ transaction: any LedgerTransaction
  ) throws -> [ReorgWalk.Stored] {
    let sql = """
      (SELECT number, encode(hash, 'hex') FROM credits.block
        WHERE chain_id = $1::bigint AND orphaned_at IS NULL AND number >= $2::bigint)
      UNION ALL
      (SELECT number, encode(hash, 'hex') FROM credits.block
        WHERE chain_id = $1::bigint AND orphaned_at IS NULL AND number < $2::bigint ORDER BY number DESC LIMIT 1)
      ORDER BY number DESC
      """
    return try transaction.rows(sql, [String(chainID), String(firstRevocable)]).map { row in
      ReorgWalk.Stored(number: try Self.integer(row[0]), hash: try Self.hash(row[1]))
    }
  }

  func storedHash(at number: UInt64, _ transaction: any LedgerTransaction) throws -> Hash32? {
    let rows = try transaction.rows(
      "SELECT encode(hash, 'hex') FROM credits.block WHERE chain_id = $1::bigint AND number = $2::bigint AND orphaned_at IS NULL",
      [String(chainID), String(number)])
    return try rows.first.map { try Self.hash($0[0]) }
  }

  /// The live rows of a range, in the chain's order.
  func rows(_ range: ClosedRange<UInt64>, _ transaction: any LedgerTransaction) throws
    -> FollowedRows
  {
    let bounds = place + [String(range.lowerBound), String(range.upperBound)]
    let events = try transaction.rows(
      """
      SELECT block_number, encode(block_hash, 'hex'), encode(tx_hash, 'hex'), log_index, kind, encode(account, 'hex'),
        amount, total, ordinal
      FROM credits.chain_event
      WHERE (chain_id, vault) = ($1::bigint, $2::bytea) AND block_number BETWEEN $3::bigint AND $4::bigint AND status <> 'orphaned'
      ORDER BY block_number, log_index
      """, bounds)
    let transfers = try transaction.rows(
      """
      SELECT block_number, encode(block_hash, 'hex'), encode(tx_hash, 'hex'), log_index, encode(sender, 'hex'),
        encode(recipient, 'hex'), amount
      FROM credits.token_transfer
      WHERE (chain_id, vault) = ($1::bigint, $2::bytea) AND block_number BETWEEN $3::bigint AND $4::bigint AND orphaned_at IS NULL
      ORDER BY block_number, log_index
      """, bounds)
    return FollowedRows(
      events: try events.map { row in
        guard let kind = row[4].flatMap(VaultEvent.Kind.init) else {
          throw LedgerSurprise.unreadable(row[4])
        }
        return VaultEvent(
          kind: kind, account: try Self.address(row[5]), amount: try Self.amount(row[6]),
          total: try row[7].map { try Self.amount($0) }, place: try Self.logPlace(row),
          ordinal: try Self.integer(row[8]))
      },
      transfers: try transfers.map { row in
        TokenTransfer(
          sender: try Self.address(row[4]), recipient: try Self.address(row[5]),
          amount: try Self.amount(row[6]),
          place: try Self.logPlace(row))
      })
  }

  /// What `indexer status` prints. Without a chain and a vault: the only one there is.
  static func status(
    chainID: UInt64?, vault: Address?, _ transaction: any LedgerTransaction
  ) throws -> IndexerStatus {
    let rows = try transaction.rows(
      """
      SELECT w.chain_id, encode(w.vault, 'hex'), w.quorum, w.head, w.scanned_to, w.proven_to, w.finalized_to,
        w.omissions_detected, w.reorgs, v.start_unchecked,
        e.deposits, e.deposited, e.withdrawals, e.withdrawn, e.charged, e.paid, e.orphaned
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
      WHERE ($1::bigint IS NULL OR w.chain_id = $1::bigint) AND ($2::bytea IS NULL OR w.vault = $2::bytea)
      ORDER BY w.chain_id, w.vault LIMIT 2
      """, [chainID.map { String($0) }, vault.map { text($0.bytes) }])
    guard let row = rows.first else { throw LedgerSurprise.noVault(vault) }
    guard rows.count == 1 else { throw LedgerSurprise.severalVaults }
    return IndexerStatus(
      chainID: try integer(row[0]), vault: try address(row[1]).checksummed, quorum: row[2] ?? "",
      head: try integer(row[3]),
      scannedTo: try integer(row[4]), provenTo: try integer(row[5]),
      finalizedTo: try integer(row[6]),
      deposits: .init(count: try integer(row[10]), sum: row[11] ?? "0"),
      withdrawals: .init(count: try integer(row[12]), sum: row[13] ?? "0"), charged: row[14] ?? "0",
      paid: row[15] ?? "0",
      orphaned: try integer(row[16]), omissionsDetected: try integer(row[7]),
      reorgs: try integer(row[8]),
      startUnchecked: row[9] == "t")
  }
}

/// A vault to follow, as it is registered once and for ever.
struct VaultRegistration: Sendable, Equatable {
  let token: Address
  let startBlock: UInt64
  let depositEvent: String
  let withdrawEvent: String
  let startUnchecked: Bool
}

/// The watermarks, each as the first block it does not include.
struct Marks: Sendable, Equatable {
  let afterHead: UInt64
  let unscanned: UInt64
  let unproven: UInt64
  let firstRevocable: UInt64
  let unprovenTransfers: UInt64
}

/// Where the quorum says the chain stands, to be stored with a step.
struct Consensus: Sendable, Equatable {
  let head: BlockReference
  let headTimestamp: UInt64
  let finalized: BlockReference?
  let quorum: String
}

/// What the database held that it should not.
enum LedgerSurprise: Error, Equatable, CustomStringConvertible {
  case notRegistered(Address)
  case noVault(Address?)
  case severalVaults
  case unreadable(String?)

  var description: String {
    switch self {
    case .notRegistered(let vault):
      "vault \(vault) is not registered in this database; check VAULT_ADDRESS and CHAIN_ID"
    case .noVault(let vault?):
      "vault \(vault) is not followed in this database; run indexer sync first"
    case .noVault: "no vault is followed in this database; run indexer sync first"
    case .severalVaults:
      "several vaults are followed in this database; say which with --vault-address and --chain-id"
    case .unreadable(let text):
      "the database answered \"\(text ?? "null")\" where that cannot be; is its schema the one of this version?"
    }
  }
}

// PostgreSQL's text format (manual, 8.4 bytea and 8.15 arrays).
extension IndexerSQL {
  private static func text(_ bytes: [UInt8]) -> String { "\\x" + Hex.digits(bytes) }
  /// Inside an array the backslash is doubled.
  private static func element(_ bytes: [UInt8]) -> String { "\\\\x" + Hex.digits(bytes) }
  private static func list(_ elements: [String]) -> String {
    "{\(elements.joined(separator: ","))}"
  }

  /// Numbers, hashes, transactions and log indexes, as four arrays.
  private static func places(_ places: [LogPlace]) -> [String?] {
    [
      list(places.map { String($0.block.number) }),
      list(places.map { element($0.block.hash.bytes) }),
      list(places.map { element($0.transaction.bytes) }), list(places.map { String($0.index) }),
    ]
  }

  private static func logPlace(_ row: [String?]) throws -> LogPlace {
    LogPlace(
      block: BlockReference(number: try integer(row[0]), hash: try hash(row[1])),
      transaction: try hash(row[2]),
      index: try integer(row[3]))
  }

  private static func integer<Number: FixedWidthInteger>(_ text: String?) throws -> Number {
    guard let text, let number = Number(text) else { throw LedgerSurprise.unreadable(text) }
    return number
  }

  private static func amount(_ text: String?) throws -> UInt256 {
    guard let text, let amount = UInt256(decimal: text) else {
      throw LedgerSurprise.unreadable(text)
    }
    return amount
  }

  private static func hash(_ text: String?) throws -> Hash32 {
    guard let text, let hash = try? Hash32(hex: "0x" + text) else {
      throw LedgerSurprise.unreadable(text)
    }
    return hash
  }

  private static func address(_ text: String?) throws -> Address {
    guard let text, let bytes = try? Hex.decode("0x" + text), let address = try? Address(bytes)
    else {
      throw LedgerSurprise.unreadable(text)
    }
    return address
  }
}
