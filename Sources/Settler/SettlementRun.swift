import Credits
import Ethereum

/// Takes an approved epoch to its end: charges, waterfall, payouts, final.
///
/// Every step reads the ledger first and writes before it sends, so killing it anywhere and starting it again goes on
/// where it was, with the same bytes.
final class SettlementRun {
  enum Goal { case final, sent }
  enum Outcome: Equatable {
    case final, sent, stopped
    case timeIsUp(waitingFor: String)
  }

  /// What is to be done in one transaction: exactly what the manifest determines (I7).
  struct Payload: Equatable {
    let kind: String
    let chunk: Int
    let data: [UInt8]
    /// Cumulative amounts by user or payee, as in `data`.
    let lines: [Address: UInt256]
  }

  static let mostInFlight = 16

  let epoch: UInt64
  let plan: VerifiedPlan
  let key: PrivateKey
  let reader: LedgerReader
  let sql: SettlerSQL
  let chain: any SettlementChain
  let clock: any SettlerClock
  let log: @Sendable (String) -> Void
  let patience: SendState.Patience
  private var states: [Int64: SendState] = [:]
  private var lastTrouble = ""

  init(
    epoch: UInt64, plan: VerifiedPlan, key: PrivateKey, reader: LedgerReader, sql: SettlerSQL,
    chain: any SettlementChain, clock: any SettlerClock, patience: SendState.Patience = .init(),
    log: @escaping @Sendable (String) -> Void
  ) {
    self.epoch = epoch
    self.plan = plan
    self.key = key
    self.reader = reader
    self.sql = sql
    self.chain = chain
    self.clock = clock
    self.patience = patience
    self.log = log
  }

  private var manifest: Manifest { plan.manifest }
  private var vault: Address { manifest.vault }

  // MARK: Before anything is signed

  /// Everything is checked again on this host: what the ledger says about approvals is not believed (I7).
  func verify(_ policy: ApprovalPolicy) async throws {
    guard manifest.method == .vault else { throw SettlerError.transferMethod }
    guard key.address == manifest.settler else {
      throw SettlerError.otherKey(found: key.address, wanted: manifest.settler)
    }
    let isUnderWay = try await hasBegun()
    // The plan may expire while its transactions wait for finality; what was begun is finished.
    let now = UInt64(clamping: clock.nowMs() / 1_000)
    let at = isUnderWay ? min(now, manifest.limits.expires - 1) : now
    let approved = try plan.check(policy, now: at)
    log(
      "manifest \(manifest.hash): planned by \(plan.row.planner), approved by "
        + approved.map(\.checksummed).joined(separator: ", "))
    try await PlanVerifier(reader: reader).rebuild(plan, isUnderWay: isUnderWay)
    let block = try await standingBlock()
    let check = ChainCheck(chain: chain, vault: vault)
    try await check.checkVault(
      chainID: manifest.chainID, settler: manifest.settler, at: block.hash)
    let charged = try await reader.chargedTotals(upTo: block.number)
    let paid = try await reader.paidTotals(upTo: block.number)
    try await check.checkTotals(
      at: block, pool: try await reader.pool(upTo: block.number),
      charged: Dictionary(
        uniqueKeysWithValues: manifest.charges.map { ($0.user, charged[$0.user] ?? .zero) }),
      paid: Dictionary(
        uniqueKeysWithValues: manifest.payees.map { ($0.address, paid[$0.address] ?? .zero) }))
  }

  /// Whether this key has signed something of this manifest. A row alone says nothing: whoever can write to the
  /// database could add one and so outlive the plan's expiry.
  private func hasBegun() async throws -> Bool {
    let rows = try await reader.transactions(of: epoch)
    var payloads = ["charge": chargePayloads]
    if try await reader.waterfall(of: manifest.hash) != nil {
      payloads["pay"] = try await payPayloads()
    }
    for row in rows { try check(row, is: try payload(of: row, in: payloads[row.kind] ?? [])) }
    return !rows.isEmpty
  }

  /// The block where the ledger stands.
  private func standingBlock() async throws -> Manifest.BlockReference {
    let number = try await reader.watermark().appliedTo
    guard let block = try await reader.block(number) else { throw SettlerError.noFinalBlock }
    return Manifest.BlockReference(number: number, hash: block.hash)
  }

  // MARK: The loop

  /// - Parameters:
  ///   - deadlineMs: when to stop waiting; nil waits for ever.
  ///   - isStopped: asked between steps; a step that was begun is never cut short.
  func run(
    until goal: Goal, deadlineMs: Int64?, pollMs: Int64 = 500, isStopped: () -> Bool = { false }
  ) async throws -> Outcome {
    while !isStopped() {
      var waitingFor: String
      do {
        switch try await step() {
        case .done: return .final
        case .waiting(let what, let allSent):
          if goal == .sent, allSent { return .sent }
          waitingFor = what
        case .moved: continue
        }
      } catch let error as ChainUnavailable {
        // No answer is no outcome (I8): nothing changes, it is asked again.
        waitingFor = "an endpoint: \(error)"
        if lastTrouble != waitingFor { log(waitingFor) }
      }
      lastTrouble = waitingFor
      if let deadlineMs, clock.nowMs() >= deadlineMs { return .timeIsUp(waitingFor: waitingFor) }
      try await clock.sleep(ms: pollMs)
    }
    return .stopped
  }

  private enum Step {
    case done
    case moved
    case waiting(String, allSent: Bool)
  }

  private func step() async throws -> Step {
    let row = try await reader.epoch(epoch)
    switch row.state {
    case .final: return .done
    case .approved, .charging:
      let progress = try await progress(chargePayloads)
      guard case .complete = progress else { return progress.step }
      try await storeWaterfall()
      return .moved
    case .paying:
      let progress = try await progress(try await payPayloads())
      guard case .complete = progress else { return progress.step }
      try await sql.finish(epoch)
      log("epoch \(epoch) is final")
      return .moved
    case .open, .closed, .planned, .cancelled:
      throw SettlerError.wrongState(epoch, row.state, wanted: "approved")
    }
  }

  private enum Progress {
    case complete
    case moved
    case waiting(String, allSent: Bool)

    var step: Step {
      switch self {
      case .complete, .moved: .moved
      case .waiting(let what, let allSent): .waiting(what, allSent: allSent)
      }
    }
  }

  /// Takes all payloads of one kind a step further.
  private func progress(_ payloads: [Payload]) async throws -> Progress {
    let kind = payloads.first?.kind
    let rows = try await reader.transactions(of: epoch).filter { $0.kind == kind }
    for row in rows { try check(row, is: try payload(of: row, in: payloads)) }
    let open = rows.filter { !$0.isDone }
    var moved = false
    var waitingFor: String?
    let market = try await market()
    var isLowest = true
    for row in open {
      let (didMove, waiting) = try await follow(
        row, of: try payload(of: row, in: payloads), market: market, isLowest: isLowest)
      moved = moved || didMove
      if waitingFor == nil { waitingFor = waiting }
      if row.state != .mined { isLowest = false }
    }
    let given = Set(rows.filter { $0.state != .reverted }.map(\.chunk))
    let due = payloads.filter { !given.contains($0.chunk) }
    if due.isEmpty, open.isEmpty { return .complete }
    if let next = due.first, open.count < Self.mostInFlight {
      guard let market, market.baseFeeWei < market.capWei else {
        return .waiting("the base fee to fall below the plan's cap", allSent: false)
      }
      for row in rows where row.chunk == next.chunk { try await proveReverted(row, of: next) }
      try await begin(next, market: market, open: open)
      return .moved
    }
    return moved ? .moved : .waiting(waitingFor ?? "the chain", allSent: due.isEmpty)
  }

  // MARK: One transaction

  /// Looks where a transaction is and does what its state machine says.
  private func follow(
    _ row: TransactionRow, of payload: Payload, market: SendState.Market?, isLowest: Bool
  ) async throws -> (moved: Bool, waitingFor: String?) {
    let observation = try await observe(row, of: payload)
    var state = states[row.id] ?? SendState(resuming: row, patience: patience)
    let action = try state.next(
      observation, market: market, isLowest: isLowest, atMs: clock.nowMs())
    states[row.id] = state
    switch action {
    case .wait:
      return (false, try await waitingFor(row, observation))
    case .broadcast(let hash):
      guard let attempt = row.attempts.first(where: { $0.hash == hash }) else {
        // The row was read before the replacement was stored; the next reading has it.
        return (true, nil)
      }
      try await broadcast(hash, attempt.raw, id: row.id)
      return (true, nil)
    case .replace(let fees):
      try await replace(row, fees)
      return (true, nil)
    case .recordMined(let inclusion):
      try await sql.storeOutcome(transaction: row.id, state: .mined, inclusion)
      log("\(row.kind) \(row.chunk) mined in block \(inclusion.blockNumber)")
      return (true, nil)
    case .recordUnknown:
      try await sql.storeOutcome(transaction: row.id, state: .unknown, nil)
      log("\(row.kind) \(row.chunk) is no longer mined: its block was reorganised away")
      return (true, nil)
    case .recordFinal(let inclusion):
      try await sql.storeOutcome(transaction: row.id, state: .final, inclusion)
      log("\(row.kind) \(row.chunk) final in block \(inclusion.blockNumber)")
      return (true, nil)
    case .recordReverted(let inclusion):
      try await sql.storeOutcome(transaction: row.id, state: .reverted, inclusion)
      log("\(row.kind) \(row.chunk) reverted in block \(inclusion.blockNumber): it is owed again")
      return (true, nil)
    case .haltAndAsk(let why):
      throw SettlerError.halted(why)
    }
  }

  private func observe(
    _ row: TransactionRow, of payload: Payload
  ) async throws -> SendState.Observation {
    let standing = try await standingBlock()
    // Read before the receipts: a nonce used at a final block whose receipt cannot be found afterwards is another's.
    let used = try await chain.nonce(of: manifest.settler, at: standing.hash) > row.nonce
    for attempt in row.attempts {
      guard let inclusion = try await chain.inclusion(of: attempt.hash) else { continue }
      guard inclusion.blockNumber <= standing.number else { return .mined(inclusion) }
      guard let block = try await reader.block(inclusion.blockNumber) else {
        return .mined(inclusion)
      }
      guard block.hash == inclusion.blockHash else {
        throw ChainUnavailable(
          "it has \(attempt.hash) in block \(inclusion.blockHash), which is not the final block"
            + " \(inclusion.blockNumber) of this ledger")
      }
      let proven = try await chain.provenReceipts(of: block.hash, header: block.header)
      guard let index = proven.transactions.firstIndex(of: attempt.hash),
        proven.receipts.indices.contains(index)
      else {
        throw ChainUnavailable("block \(inclusion.blockNumber) does not hold \(attempt.hash)")
      }
      let receipt = proven.receipts[index]
      let expected = SettlementReceipt(vault: vault, kind: payload.kind, lines: payload.lines)
      if let why = try expected.contradiction(
        receipt, paidTotals: try await reader.paidTotals(upTo: inclusion.blockNumber))
      {
        throw ChainUnavailable(
          "it has \(attempt.hash) in block \(inclusion.blockNumber), whose proven receipt says otherwise: \(why)"
        )
      }
      let baseFee = try Header(encoded: block.header)[.baseFeePerGas]
      return .proven(
        SendState.Inclusion(
          hash: attempt.hash, blockNumber: inclusion.blockNumber, blockHash: block.hash,
          gasUsed: receipt.gasUsed,
          gasPriceWei: try attempt.fees.price(baseFeeWei: UInt256(bigEndian: baseFee ?? [])),
          succeeded: receipt.succeeded))
    }
    return used ? .consumedByAnother(block: standing.number) : .unmined
  }

  /// A payload is owed again only when the chain proves that it reverted: the row's word is not enough for another nonce.
  private func proveReverted(_ row: TransactionRow, of payload: Payload) async throws {
    switch try await observe(row, of: payload) {
    case .proven(let inclusion) where !inclusion.succeeded: return
    case .proven(let inclusion):
      throw SettlerError.alteredTransaction(
        nonce: row.nonce, "is reverted, but succeeded in block \(inclusion.blockNumber)")
    case .mined, .unmined, .consumedByAnother:
      throw ChainUnavailable("no proven receipt shows that nonce \(row.nonce) reverted")
    }
  }

  private func waitingFor(
    _ row: TransactionRow, _ observation: SendState.Observation
  ) async throws -> String {
    switch observation {
    case .mined(let inclusion):
      let applied = try await reader.watermark().appliedTo
      return "block \(inclusion.blockNumber) to be final (indexer at \(applied))"
    default:
      return "\(row.kind) \(row.chunk) with nonce \(row.nonce) to be mined"
    }
  }

  // MARK: Signing

  /// Simulates, gives out a nonce, signs, stores, and only then sends.
  private func begin(
    _ payload: Payload, market: SendState.Market, open: [TransactionRow]
  ) async throws {
    let all = try await reader.transactions(of: epoch)
    guard all.count < manifest.limits.maxTransactions else {
      throw SettlerError.tooManyTransactions(allowed: manifest.limits.maxTransactions)
    }
    let settler = manifest.settler
    let estimated: UInt64
    do {
      try await chain.simulate(from: settler, to: vault, data: payload.data)
      estimated = try await chain.estimateGas(from: settler, to: vault, data: payload.data)
    } catch let error as EstimateRefused {
      throw SettlerError.cannotSimulate(
        kind: payload.kind, chunk: payload.chunk, error.reason)
    }
    let allowed = manifest.limits.gasPerTransaction
    guard estimated <= allowed else {
      throw SettlerError.chunkTooLarge(
        kind: payload.kind, chunk: payload.chunk, gas: estimated, allowed: allowed)
    }
    // A quarter more: what else is in the block may make storage dearer.
    let gasLimit = min(allowed, max(estimated + estimated / 4, 21_000))
    try await checkGasMoney(open: open, nextGas: gasLimit)
    let nonce = try await ChainCheck(chain: chain, vault: vault).nextNonce(
      of: settler, last: try await reader.lastNonce(of: settler),
      lastFinal: all.filter(\.isDone).map(\.nonce).max())
    guard
      let fees = try Fees.first(
        baseFeeWei: market.baseFeeWei, tipWei: market.tipWei, capWei: market.capWei)
    else { throw ChainUnavailable("the base fee is above the plan's cap") }
    let signed = try sign(payload.data, nonce: nonce, gasLimit: gasLimit, fees)
    try await sql.storeTransaction(
      manifest: manifest.hash, kind: payload.kind, chunk: payload.chunk,
      chainID: manifest.chainID, sender: settler, nonce: nonce, recipient: vault,
      data: payload.data, gasLimit: gasLimit, hash: signed.hash, raw: signed.raw, fees: fees)
    log("\(payload.kind) \(payload.chunk) signed with nonce \(nonce)")
    guard
      let row = try await reader.transactions(of: epoch).first(where: { $0.nonce == nonce })
    else { throw SettlerError.alteredTransaction(nonce: nonce, "is gone") }
    states[row.id] = SendState(
      nonce: nonce, attempts: [SendState.Attempt(hash: signed.hash, fees: fees)],
      patience: patience)
    try await broadcast(signed.hash, signed.raw, id: row.id)
  }

  private func replace(_ row: TransactionRow, _ fees: Fees) async throws {
    let signed = try sign(row.data, nonce: row.nonce, gasLimit: row.gasLimit, fees)
    try await sql.storeAttempt(
      transaction: row.id, kind: row.kind, hash: signed.hash, raw: signed.raw, fees: fees)
    log("\(row.kind) \(row.chunk): nonce \(row.nonce) offered \(fees.maxFeePerGasWei) wei a gas")
    states[row.id]?.added(
      SendState.Attempt(hash: signed.hash, fees: fees), atMs: clock.nowMs())
    try await broadcast(signed.hash, signed.raw, id: row.id)
  }

  private func broadcast(_ hash: Hash32, _ raw: [UInt8], id: Int64) async throws {
    // Noted as sent before it is: an answer that never comes is no reason to send at once again.
    states[id]?.sent(atMs: clock.nowMs())
    for answer in await chain.send(raw) {
      try await sql.storeBroadcast(
        hash, endpoint: answer.endpoint, outcome: answer.outcome, accepted: answer.accepted)
      if !answer.accepted { log("\(answer.endpoint) answered: \(answer.outcome)") }
    }
  }

  private func sign(
    _ data: [UInt8], nonce: UInt64, gasLimit: UInt64, _ fees: Fees
  ) throws -> (hash: Hash32, raw: [UInt8]) {
    guard fees.maxFeePerGasWei <= manifest.limits.maxFeePerGasWei,
      gasLimit <= manifest.limits.gasPerTransaction
    else { throw SettlerError.halted("fees or gas beyond the manifest's limits were asked for") }
    let transaction = Transaction(
      chainID: manifest.chainID, nonce: nonce,
      fees: .dynamic(maxFee: fees.maxFeePerGasWei, priorityFee: fees.priorityFeePerGasWei),
      gasLimit: gasLimit, to: vault, value: .zero, data: data)
    let signed = try transaction.signed(by: key)
    return (signed.hash, signed.raw)
  }

  /// All open nonces at their caps, and the next one: checked before each signature, so that none gets stuck.
  private func checkGasMoney(open: [TransactionRow], nextGas: UInt64) async throws {
    let cap = manifest.limits.maxFeePerGasWei
    let gas = open.reduce(nextGas) { $0 + $1.gasLimit }
    let needs = try cap.multiplied(by: UInt256(gas))
    let has = try await chain.balance(of: manifest.settler)
    guard has >= needs else {
      throw SettlerError.gasMoney(has: has, needs: needs, open: open.count + 1)
    }
  }

  private func market() async throws -> SendState.Market? {
    let fees = try await chain.fees()
    return SendState.Market(
      baseFeeWei: fees.baseFeeWei, tipWei: fees.tipWei, capWei: manifest.limits.maxFeePerGasWei)
  }

  // MARK: What the manifest determines

  private var chargePayloads: [Payload] {
    manifest.chargeChunks.enumerated().map { chunk, range in
      Payload(
        kind: "charge", chunk: chunk, data: manifest.chargeCallData(range),
        lines: Dictionary(
          uniqueKeysWithValues: manifest.charges[range].map { ($0.user, $0.spent) }))
    }
  }

  /// The payouts, computed again from the manifest and the proven logs; the stored rows must be the same.
  private func payPayloads() async throws -> [Payload] {
    guard let waterfall = try await reader.waterfall(of: manifest.hash) else {
      throw SettlerError.alteredPayouts("the waterfall is gone")
    }
    let payouts = try await computedPayouts(at: waterfall.block)
    let block = try await reader.block(waterfall.block)
    guard payouts.pool == waterfall.pool, block?.hash == waterfall.blockHash else {
      throw SettlerError.alteredPayouts("the pool or its block differs")
    }
    let stored = try await reader.payouts(of: manifest.hash)
    guard stored == payouts.rows else {
      throw SettlerError.alteredPayouts(
        "\(stored.count) rows are stored, \(payouts.rows.count) are due, or their amounts differ")
    }
    return payouts.chunks.enumerated().map { chunk, payments in
      Payload(
        kind: "pay", chunk: chunk, data: Waterfall.payCallData(payments),
        lines: Dictionary(uniqueKeysWithValues: payments.map { ($0.payee, $0.paid) }))
    }
  }

  private func computedPayouts(
    at block: UInt64
  ) async throws -> (pool: UInt256, rows: [PayoutRow], chunks: [[Waterfall.Payment]]) {
    let pool = try await reader.pool(upTo: block)
    let payments = try manifest.payments(
      pool: pool, paidTotals: try await reader.paidTotals(upTo: block))
    let chunks = manifest.payChunks(payments)
    let rows = chunks.enumerated().flatMap { chunk, payments in
      payments.map {
        PayoutRow(payee: $0.payee, amount: $0.delta, total: $0.paid, chunk: chunk)
      }
    }
    return (pool, rows.sorted { ($0.chunk, $0.payee) < ($1.chunk, $1.payee) }, chunks)
  }

  /// When every charge is final: what the chain collected decides who gets what.
  private func storeWaterfall() async throws {
    let block = try await standingBlock()
    let payouts = try await computedPayouts(at: block.number)
    let paid = try await reader.paidTotals(upTo: block.number)
    try await ChainCheck(chain: chain, vault: vault).checkTotals(
      at: block, pool: payouts.pool, charged: [:],
      paid: Dictionary(
        uniqueKeysWithValues: manifest.payees.map { ($0.address, paid[$0.address] ?? .zero) }))
    try await sql.storeWaterfall(
      manifest.hash, block: block.number, blockHash: block.hash, pool: payouts.pool,
      payouts: payouts.rows)
    log(
      "waterfall at block \(block.number): pool \(PRLX.text(payouts.pool)) PRLX, \(payouts.rows.count) payees"
    )
  }

  // MARK: What the ledger holds must be what was signed

  private func payload(of row: TransactionRow, in payloads: [Payload]) throws -> Payload {
    guard payloads.indices.contains(row.chunk) else {
      throw SettlerError.alteredTransaction(
        nonce: row.nonce, "is \(row.kind) \(row.chunk), which the manifest does not have")
    }
    return payloads[row.chunk]
  }

  /// A stored transaction and all its bytes are exactly the payload, signed by our key, within the limits.
  private func check(_ row: TransactionRow, is payload: Payload) throws {
    func refuse(_ what: String) -> SettlerError {
      .alteredTransaction(nonce: row.nonce, what)
    }
    guard row.data == payload.data, row.recipient == vault, row.value == .zero else {
      throw refuse("is not what the manifest determines")
    }
    guard !row.attempts.isEmpty else { throw refuse("has no signed bytes") }
    for attempt in row.attempts {
      guard Hash32.keccak(attempt.raw) == attempt.hash,
        let signed = try? SignedTransaction(raw: attempt.raw),
        case .dynamic(let maxFee, let priorityFee) = signed.transaction.fees
      else { throw refuse("has bytes that are no signed transaction") }
      let transaction = signed.transaction
      guard transaction.chainID == manifest.chainID, transaction.nonce == row.nonce,
        transaction.to == vault, transaction.value == .zero, transaction.data == payload.data,
        transaction.gasLimit == row.gasLimit,
        transaction.gasLimit <= manifest.limits.gasPerTransaction,
        maxFee <= manifest.limits.maxFeePerGasWei, priorityFee <= maxFee,
        attempt.fees == Fees(maxFeePerGasWei: maxFee, priorityFeePerGasWei: priorityFee),
        signed.sender == manifest.settler
      else { throw refuse("has bytes that say something else than the manifest") }
    }
  }
}

/// The endpoints did not answer, or contradicted what the ledger has proven. It says nothing about any transaction.
struct ChainUnavailable: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
