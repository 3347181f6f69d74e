import Ethereum
import Postgres

/// Follows the chain into the ledger, step by step. A step is one decision and at most one database transaction: rows, coverage and
/// watermarks together. No transaction is open while the chain is asked, so a process killed anywhere goes on where it was.
struct ChainSync {
  let followed: FollowedLogs
  let source: any ChainSource
  let connection: PostgresConnection
  let sql: IndexerSQL
  let mode: ProofMode
  private let prover: Prover
  private var scanner: LogScanner
  /// Steps until a proof is tried again after no endpoint could give one.
  private var stepsWithoutProof = 0

  private static let stepsBetweenProofs = 32
  /// A scan of blocks that are not final stores each of their headers, for the reorg walk: so it is short.
  private static let mostUnfinalScanned: UInt64 = 256

  init(
    followed: FollowedLogs, source: any ChainSource, connection: PostgresConnection,
    chainID: UInt64,
    mode: ProofMode = .all,
    chooser: RangeChooser = RangeChooser()
  ) {
    self.followed = followed
    self.source = source
    self.connection = connection
    self.mode = mode
    sql = IndexerSQL(chainID: chainID, vault: followed.vault)
    prover = Prover(followed: followed, source: source)
    scanner = LogScanner(followed: followed, source: source, chooser: chooser)
  }

  /// What a step did.
  enum Outcome: Sendable {
    case stored(ChainSegment)
    /// Blocks from a number on left the chain, and this many events with them.
    case orphaned(from: UInt64, events: Int64)
    /// Nothing is left to fetch below `unscanned`; the ledger stands where finality allows.
    case current(unscanned: UInt64)
    /// Nothing can be done for now.
    case waiting(Reason)
  }

  enum Reason: Sendable, Equatable, CustomStringConvertible {
    case noHead
    case noQuorum(block: UInt64)
    case behind(head: UInt64)
    case forked(block: UInt64)
    case finalityContradicts(block: UInt64)
    case cannotProve(String)

    var description: String {
      switch self {
      case .noHead: "too few endpoints agree on the head"
      case .noQuorum(let block): "too few endpoints agree on block \(block)"
      case .behind(let head):
        "the endpoints' head \(head) is behind what is stored; they may be syncing"
      case .forked(let block): "the chain forked at block \(block) while it was read"
      case .finalityContradicts(let block):
        "the block \(block) that endpoints call final is not the one they showed before"
      case .cannotProve(let what):
        "no endpoint offers \(what): blocks are scanned, and credited once one does"
      }
    }
  }

  /// Does the next thing there is to do.
  ///
  /// - Parameter goal: no block after it is fetched
  /// - Throws: `IndexerHalt` when a person must decide, `ChainFault` and `PostgresError` when it should be tried again
  mutating func step(upTo goal: UInt64 = .max) async throws -> Outcome {
    let tip = try await source.tip()
    guard let head = tip.head else { return .waiting(.noHead) }
    let sql = sql
    let (marks, stored) = try await connection.transaction { db in
      let marks = try sql.marks(db)
      return (marks, try sql.storedBlocks(firstRevocable: marks.firstRevocable, db))
    }

    switch try await walk(stored, marks: marks, head: head) {
    case nil: return .waiting(.noQuorum(block: stored.first?.number ?? head.number))
    case .behind(let head)?: return .waiting(.behind(head: head))
    case .tooDeep(let number, let stored, let chain)?:
      throw IndexerHalt.reorgBelowFinality(number: number, stored: stored, chain: chain)
    case .fork(let from)?:
      scanner.forget()
      let events = try await connection.transaction { db in try sql.orphan(from: from, db) }
      return .orphaned(from: from, events: events)
    case .same?: break
    }

    // One above the head was asked for later, and the chain may have forked in between: the head need not be below it.
    let finalized = tip.finalized.flatMap { $0.number <= head.number ? $0 : nil }
    let known = try await connection.transaction { db in
      try finalized.flatMap { try sql.storedHash(at: $0.number, db) }
    }
    if let finalized, let known, known != finalized.hash {
      return .waiting(.finalityContradicts(block: finalized.number))
    }
    let consensus = Consensus(
      head: head, headTimestamp: tip.headTimestamp, finalized: finalized, quorum: source.quorum)

    let canProve = stepsWithoutProof == 0
    if !canProve { stepsWithoutProof -= 1 }
    let plan = SegmentPlan.next(
      unscanned: marks.unscanned, unproven: marks.unproven, head: min(head.number, goal),
      finalized: finalized?.number, mode: mode,
      canProve: canProve)
    do {
      switch plan {
      case nil:
        try await connection.transaction { db in _ = try db.pipeline(sql.follow(consensus)) }
        return canProve ? .current(unscanned: marks.unscanned) : .waiting(.cannotProve("receipts"))
      case .prove(let range)?:
        let segment = try await proven(range, finalized: finalized)
        try await store(segment, marks: marks, consensus: consensus)
        return .stored(segment)
      case .scan(let range)?:
        let segment = try await scanned(range, finalized: finalized)
        try await store(segment, marks: marks, consensus: consensus)
        return .stored(segment)
      }
    } catch ChainFault.unsupported(let what)
      where plan.map({ if case .prove = $0 { true } else { false } }) == true
    {
      stepsWithoutProof = Self.stepsBetweenProofs
      return .waiting(.cannotProve(what))
    } catch Prover.Obstacle.noQuorum(let block) {
      return .waiting(.noQuorum(block: block))
    } catch Prover.Obstacle.forked(let block) {
      scanner.forget()
      return .waiting(.forked(block: block))
    }
  }

  // MARK: Reorgs

  /// Nil when the quorum does not agree on a block that the walk needs.
  private func walk(_ stored: [ReorgWalk.Stored], marks: Marks, head: BlockReference) async throws
    -> ReorgWalk.Verdict?
  {
    let walk = ReorgWalk(stored: stored, firstRevocable: marks.firstRevocable)
    var chain = [head.number: head.hash]
    while true {
      if let verdict = walk.verdict(chain: chain, head: head.number) { return verdict }
      for number in walk.next(chain: chain, head: head.number) {
        guard let hash = try await source.agreedHash(at: number) else { return nil }
        chain[number] = hash
      }
    }
  }

  // MARK: Fetching

  /// What was read of blocks that are not final is not kept for another step, however this one ends: a fork may come between
  /// that no walk sees, because nothing of the range is stored.
  private mutating func forget(_ range: ClosedRange<UInt64>, above finalized: BlockReference?) {
    if range.upperBound > finalized?.number ?? 0 { scanner.forget() }
  }

  private mutating func proven(_ range: ClosedRange<UInt64>, finalized: BlockReference?)
    async throws -> ChainSegment
  {
    defer { forget(range, above: finalized) }
    let parent = try await parent(of: range)
    let (headers, rows) = try await prover.prove(range, parent: parent)
    if let finalized, range.contains(finalized.number),
      headers[Int(finalized.number - range.lowerBound)].reference != finalized
    {
      throw Prover.Obstacle.forked(at: finalized.number)
    }
    let omissions = try await omissions(range, rows: rows, headers: headers, finalized: finalized)
    return ChainSegment(
      range: range, headers: headers, rows: rows, isProven: true, omissions: omissions)
  }

  /// How many of the proven rows `eth_getLogs` leaves out. The proof stands without it: this finds endpoints that lie.
  private mutating func omissions(
    _ range: ClosedRange<UInt64>, rows: FollowedRows, headers: [CheckedHeader],
    finalized: BlockReference?
  ) async throws -> Int {
    // A single new block without followed logs is not worth three requests more.
    if range.count == 1, rows.isEmpty { return 0 }
    // Reading ahead beyond finality would keep rows of a fork.
    let limit = max(range.upperBound, finalized?.number ?? 0)
    let page: LogScanner.Page
    do {
      page = try await scanner.rows(of: range, readingTo: limit)
    } catch ChainFault.unavailable, ChainFault.unsupported, ChainFault.refused {
      return 0
    }
    let comparison = ScanComparison(scanned: page.rows, proven: rows)
    guard let forged = comparison.forged.first else { return comparison.omitted.count }
    scanner.forget()
    let header = headers[Int(forged.block.number - range.lowerBound)]
    // A log of another block with this number may be a fork that came or went meanwhile, unless the block is final.
    if header.reference != forged.block, forged.block.number > finalized?.number ?? 0 {
      throw Prover.Obstacle.forked(at: forged.block.number)
    }
    for endpoint in Set(comparison.forged.compactMap { page.origins[$0] }).sorted() {
      try await source.exclude(
        endpoint,
        because:
          "eth_getLogs answered log \(forged.index) of block \(forged.block.number), which its receipts disprove"
      )
    }
    return try await omissions(range, rows: rows, headers: headers, finalized: finalized)
  }

  /// The stored hash of the block before a range.
  private func parent(of range: ClosedRange<UInt64>) async throws -> Hash32? {
    let sql = sql
    return try await connection.transaction { db in
      range.lowerBound == 0 ? nil : try sql.storedHash(at: range.lowerBound - 1, db)
    }
  }

  private mutating func scanned(_ range: ClosedRange<UInt64>, finalized: BlockReference?)
    async throws -> ChainSegment
  {
    defer { forget(range, above: finalized) }
    let isFinal = finalized.map { range.upperBound <= $0.number } ?? false
    let most =
      isFinal || range.upperBound - range.lowerBound < Self.mostUnfinalScanned
      ? range.upperBound : range.lowerBound + (Self.mostUnfinalScanned - 1)
    let page = try await scanner.page(from: range.lowerBound, to: most)
    let end = page.range.upperBound
    let parent = try await parent(of: range)
    let headers = try await source.headers(isFinal ? end...end : page.range)
    guard let anchor = try await source.agreedHash(at: end) else {
      throw Prover.Obstacle.noQuorum(at: end)
    }
    // Linked to what is stored: later walks end at the highest block, and would not see a fork below it.
    try Prover.check(
      headers, cover: isFinal ? end...end : page.range, parent: isFinal ? nil : parent,
      anchor: anchor)
    let hashes = Dictionary(headers.map { ($0.reference.number, $0.reference.hash) }) { first, _ in
      first
    }
    for place in page.rows.events.map(\.place) + page.rows.transfers.map(\.place) {
      if let hash = hashes[place.block.number], hash != place.block.hash {
        throw Prover.Obstacle.forked(at: place.block.number)
      }
    }
    return ChainSegment(
      range: page.range, headers: headers, rows: page.rows, isProven: false, omissions: 0)
  }

  // MARK: Storing

  private func store(_ segment: ChainSegment, marks: Marks, consensus: Consensus) async throws {
    let sql = sql
    try await connection.transaction { db in
      // The chain may have forked since the walk: what is stored of this range is then of another fork, and no lie.
      let hashes = Dictionary(segment.headers.map { ($0.header.number, $0.hash) }) { $1 }
      for stored in try sql.storedBlocks(firstRevocable: marks.firstRevocable, db) {
        if let hash = hashes[stored.number], hash != stored.hash {
          throw Prover.Obstacle.forked(at: stored.number)
        }
      }
      var omissions = segment.omissions
      let wasScanned = segment.range.lowerBound < marks.unscanned
      if wasScanned {
        // Stored from a scan before: it must be what is proven now, or balances would grow from what the chain does not hold.
        let comparison = ScanComparison(
          scanned: try sql.rows(segment.range, db), proven: segment.rows)
        if let forged = comparison.forged.first { throw IndexerHalt.storedRowDisproved(forged) }
        omissions = max(omissions, comparison.omitted.count)
      }
      try db.pipeline(
        sql.recordBlocks(segment.headers)
          + sql.recordEvents(segment.rows.events)
          + sql.recordTransfers(segment.rows.transfers)
          + (wasScanned ? [] : sql.cover(.scanned, segment.range))
          + (segment.isProven ? sql.cover(.proven, segment.range) : [])
          + sql.noteOmissions(omissions)
          + sql.follow(consensus))
    }
  }
}

/// Why the indexer stops and waits for a person. Nothing was changed.
enum IndexerHalt: Error, Equatable, CustomStringConvertible {
  case reorgBelowFinality(number: UInt64, stored: Hash32, chain: Hash32)
  case storedRowDisproved(LogPlace)
  case wrongChain(endpoint: String, found: UInt64, wanted: UInt64)
  case noCode(vault: Address)
  case startTooLate(vault: Address, startBlock: UInt64)
  case noHistory(startBlock: UInt64)
  case secondIndexer(chainID: UInt64)

  var description: String {
    switch self {
    case .reorgBelowFinality(let number, let stored, let chain):
      "block \(number) was final as \(stored) and the endpoints now show \(chain); nothing was changed. Find out which chain is "
        + "right: if the endpoints are wrong, name others in RPC_URL; if the ledger is, restore it from before"
    case .storedRowDisproved(let place):
      "log \(place.index) of block \(place.block.number) was stored from a scan (--proof off, or no receipts) and the chain does "
        + "not hold it; nothing was changed. Sync into a new database with --proof all"
    case .wrongChain(let endpoint, let found, let wanted):
      "\(endpoint) is of chain \(found), not \(wanted); check RPC_URL and CHAIN_ID"
    case .noCode(let vault):
      "there is no contract at \(vault) on this chain; check VAULT_ADDRESS and RPC_URL"
    case .startTooLate(let vault, let startBlock):
      "\(vault) already had code before block \(startBlock), so events could be missed; set START_BLOCK to the block that "
        + "deployed it, or accept the gap with --start-unchecked"
    case .noHistory(let startBlock):
      "no endpoint has the state before block \(startBlock), so nobody can check that the history starts there; name an archive "
        + "endpoint in RPC_URL, or accept it with --start-unchecked"
    case .secondIndexer(let chainID):
      "another indexer of chain \(chainID) is running on this database; stop it first"
    }
  }
}
