import Ethereum

/// What is known of one nonce, and what to do next: observations and the time go in, an action comes out.
///
/// No observation of an endpoint alone ever says *failed* (I8): a nonce is done when a proven, final block
/// holds one of its hashes.
struct SendState: Equatable, Sendable {
  /// Signed bytes of this nonce.
  struct Attempt: Equatable, Sendable {
    let hash: Hash32
    let fees: Fees
  }

  /// Where one of the hashes was mined.
  struct Inclusion: Equatable, Sendable {
    let hash: Hash32
    let blockNumber: UInt64
    let blockHash: Hash32
    let gasUsed: UInt64
    let gasPriceWei: UInt256
    let succeeded: Bool

    func isSamePlace(as other: Inclusion?) -> Bool {
      hash == other?.hash && blockHash == other?.blockHash
    }
  }

  enum Observation: Equatable, Sendable {
    /// No endpoint knows a receipt of any of the hashes.
    case unmined
    /// An endpoint says so; the block is not final in this ledger, or not proven.
    case mined(Inclusion)
    /// From receipts that rebuild the root of a header that the ledger holds as proven and final.
    case proven(Inclusion)
    /// The account's nonce at the final block is past this one, and none of the hashes is there.
    case consumedByAnother(block: UInt64)
  }

  /// What the network asks for now.
  struct Market: Equatable, Sendable {
    let baseFeeWei: UInt256
    let tipWei: UInt256
    let capWei: UInt256
  }

  enum Action: Equatable, Sendable {
    case wait
    /// Send these bytes again; they are already stored.
    case broadcast(Hash32)
    /// Sign the same payload with these fees, store it, then send it.
    case replace(Fees)
    case recordMined(Inclusion)
    /// The inclusion that was recorded is gone: the block was reorganised away.
    case recordUnknown
    case recordFinal(Inclusion)
    case recordReverted(Inclusion)
    case haltAndAsk(String)
  }

  /// How long to wait before sending the same bytes again, and before offering more.
  struct Patience: Equatable, Sendable {
    var rebroadcastMs: Int64 = 30_000
    var replaceMs: Int64 = 180_000
  }

  let nonce: UInt64
  let patience: Patience
  private(set) var attempts: [Attempt]
  private(set) var mined: Inclusion?
  private(set) var isDone = false
  private var sentAtMs: Int64?
  private var offeredAtMs: Int64?

  /// - Parameter attempts: in the order of their fees.
  init(nonce: UInt64, attempts: [Attempt], mined: Inclusion? = nil, patience: Patience = Patience())
  {
    self.nonce = nonce
    self.attempts = attempts
    self.mined = mined
    self.patience = patience
  }

  /// What the ledger has of a transaction, after a restart.
  init(resuming row: TransactionRow, patience: Patience) {
    var mined: Inclusion?
    if row.state == .mined, let hash = row.outcomeHash, let number = row.outcomeBlock,
      let block = row.outcomeBlockHash
    {
      mined = Inclusion(
        hash: hash, blockNumber: number, blockHash: block, gasUsed: row.gasUsed ?? 0,
        gasPriceWei: row.gasPriceWei ?? .zero, succeeded: true)
    }
    self.init(
      nonce: row.nonce,
      attempts: row.attempts.map { Attempt(hash: $0.hash, fees: $0.fees) }, mined: mined,
      patience: patience)
  }

  /// The bytes were given to the endpoints, whatever they answered.
  mutating func sent(atMs now: Int64) {
    sentAtMs = now
    if offeredAtMs == nil { offeredAtMs = now }
  }

  /// A replacement was signed and stored.
  mutating func added(_ attempt: Attempt, atMs now: Int64) {
    attempts.append(attempt)
    sentAtMs = nil
    offeredAtMs = now
  }

  /// - Parameters:
  ///   - isLowest: no lower nonce of the account is unmined; only that one is worth more money.
  mutating func next(
    _ observation: Observation, market: Market?, isLowest: Bool, atMs now: Int64
  ) throws -> Action {
    switch observation {
    case .proven(let inclusion):
      isDone = true
      mined = inclusion
      return inclusion.succeeded ? .recordFinal(inclusion) : .recordReverted(inclusion)
    case .mined(let inclusion):
      guard !inclusion.isSamePlace(as: mined) else { return .wait }
      mined = inclusion
      return .recordMined(inclusion)
    case .consumedByAnother(let block):
      return .haltAndAsk(
        "nonce \(nonce) is used at block \(block) by a transaction that is none of ours: the settlement key"
          + " is used elsewhere; find out where before anything else is sent")
    case .unmined:
      if mined != nil {
        mined = nil
        sentAtMs = nil
        return .recordUnknown
      }
      return try nextUnmined(market: market, isLowest: isLowest, atMs: now)
    }
  }

  private func nextUnmined(market: Market?, isLowest: Bool, atMs now: Int64) throws -> Action {
    guard let newest = attempts.last else { return .wait }
    // After a restart nothing says whether the bytes left the machine: they are sent again.
    guard let sentAtMs else { return .broadcast(newest.hash) }
    if isLowest, let market, let offeredAtMs, now - offeredAtMs >= patience.replaceMs,
      let raised = try newest.fees.raised(
        baseFeeWei: market.baseFeeWei, tipWei: market.tipWei, capWei: market.capWei)
    {
      return .replace(raised)
    }
    return now - sentAtMs >= patience.rebroadcastMs ? .broadcast(newest.hash) : .wait
  }
}
