import ChainRPC
import Ethereum
import Service
import Synchronization

/// The chain as endpoints show it: hashes by quorum; headers, receipts and logs from any one endpoint, checked here.
final class NodeChain: ChainSource {
  private let pool: EndpointPool
  private let metrics: Metrics?
  /// By the endpoint's name.
  private let health = Mutex<[String: EndpointHealth]>([:])

  /// Headers of one batch: on mainnet a block's JSON with its transactions' hashes is some 15 kB.
  private static let headersPerBatch: UInt64 = 64
  /// Receipts asked for one by one, at once, where `eth_getBlockReceipts` is missing.
  private static let receiptsInFlight = 8

  init(_ pool: EndpointPool, metrics: Metrics? = nil) {
    self.pool = pool
    self.metrics = metrics
  }

  var quorum: String { pool.quorumText }

  /// Those whose answers were not disproved of late: the well ones first, the quickest of them at the head.
  private var clients: [EthereumClient] {
    let now = ContinuousClock.now
    let health = health.withLock { $0 }
    func order(_ client: EthereumClient) -> (Int, Duration) {
      let own = health[client.name] ?? EndpointHealth()
      return (own.isWell(at: now) ? 0 : 1, own.latency ?? .zero)
    }
    return pool.clients.filter { health[$0.name]?.isBenched(at: now) != true }
      .sorted { order($0) < order($1) }
  }

  func exclude(_ endpoint: String, because reason: String) async throws {
    record(.disproved, of: endpoint)
    if clients.isEmpty { throw ChainFault.contradicted("\(endpoint) is contradicted: \(reason)") }
  }

  private func record(_ outcome: EndpointHealth.Outcome, of endpoint: String) {
    health.withLock {
      $0[endpoint, default: EndpointHealth()].record(
        outcome, at: .now, jitter: .random(in: 0...1))
    }
  }

  // MARK: Agreement

  private struct Standing: Sendable {
    let client: EthereumClient
    let head: EthereumClient.Block
    let finalized: BlockReference?
  }

  func tip() async throws -> ChainTip {
    let standings = try await everyAnswer { client in
      let head = try await self.ask(client, "eth_getBlockByNumber") { try await $0.block(.latest) }
      guard let head else { throw ChainFault.unavailable("\(client.name) has no latest block") }
      // A node that knows no finalized block yet, or no such tag, only delays crediting.
      let final = try? await self.ask(client, "eth_getBlockByNumber") {
        try await $0.block(.finalized)
      }
      return Standing(
        client: client, head: head,
        finalized: final.flatMap { $0 }.map {
          BlockReference(number: $0.header.number, hash: $0.hash)
        })
    }
    let heads = standings.map {
      ($0.client, BlockReference(number: $0.head.header.number, hash: $0.head.hash))
    }
    guard let head = try await agreed(heads) else {
      return ChainTip(head: nil, headTimestamp: 0, finalized: nil)
    }
    let finals = standings.compactMap { standing in
      standing.finalized.map { (standing.client, $0) }
    }
    // The newest head of all may be one block ahead of the agreed one: its time is near enough for a clock of staleness, but
    // never later than what was agreed on.
    let timestamp =
      standings.first { $0.head.hash == head.hash }?.head.header.timestamp
      ?? standings.map(\.head.header.timestamp).min() ?? 0
    return ChainTip(head: head, headTimestamp: timestamp, finalized: try await agreed(finals))
  }

  /// The highest block that enough endpoints have reached, if they agree on its hash there.
  private func agreed(
    _ claims: [(client: EthereumClient, block: BlockReference)]
  ) async throws -> BlockReference? {
    let sorted = claims.sorted { $0.block.number > $1.block.number }
    guard sorted.count >= pool.quorum else { return nil }
    let number = sorted[pool.quorum - 1].block.number
    var votes: [Hash32: Int] = [:]
    for claim in sorted where claim.block.number >= number {
      if claim.block.number == number {
        votes[claim.block.hash, default: 0] += 1
      } else if let hash = try? await hash(at: number, by: claim.client) {
        votes[hash, default: 0] += 1
      }
    }
    return winner(votes).map { BlockReference(number: number, hash: $0) }
  }

  func agreedHash(at number: UInt64) async throws -> Hash32? {
    var votes: [Hash32: Int] = [:]
    for hash in try await everyAnswer({ try await self.hash(at: number, by: $0) }) {
      if let hash { votes[hash, default: 0] += 1 }
    }
    return winner(votes)
  }

  /// The hash that enough endpoints name; nil when none is, and when two are: a quorum need not be a majority.
  private func winner(_ votes: [Hash32: Int]) -> Hash32? {
    let winners = votes.filter { $0.value >= pool.quorum }
    return winners.count == 1 ? winners.first?.key : nil
  }

  private func hash(at number: UInt64, by client: EthereumClient) async throws -> Hash32? {
    try await ask(client, "eth_getBlockByNumber") { try await $0.block(.number(number))?.hash }
  }

  /// What each endpoint answers, asked at once; throws when none does.
  private func everyAnswer<Value: Sendable>(
    _ question: @escaping @Sendable (EthereumClient) async throws -> Value
  ) async throws -> [Value] {
    let asked = Set(clients.map(\.name))
    let answers = await pool.all { client in
      guard asked.contains(client.name) else {
        throw ChainFault.unavailable("\(client.name) was contradicted")
      }
      return try await question(client)
    }
    for case (let endpoint, .failure(let disproved as Disproved)) in answers {
      try await exclude(endpoint, because: disproved.reason)
    }
    let values = answers.compactMap { try? $0.result.get() }
    if values.isEmpty, case .failure(let error)? = answers.first?.result { throw error }
    return values
  }

  // MARK: What is checked

  func headers(_ range: ClosedRange<UInt64>) async throws -> [CheckedHeader] {
    try await firstGood { client in
      var headers: [CheckedHeader] = []
      var next = range.lowerBound
      while next <= range.upperBound {
        let end = min(range.upperBound, next + (Self.headersPerBatch - 1))
        let batch = next...end
        // The client computes each hash from the fields.
        let blocks = try await self.ask(client, "eth_getBlockByNumber") {
          try await $0.blocks(batch)
        }
        headers += blocks.map {
          CheckedHeader(header: $0.header, hash: $0.hash, transactions: $0.transactions)
        }
        next = end + 1
      }
      return headers
    }
  }

  func provenLogs(of header: CheckedHeader) async throws -> [ChainLog] {
    try await firstGood { client in
      let (hash, roots) = (header.hash, header.header)
      let receipts = try await self.receipts(of: header, by: client)
      // A receipt does not hold its transaction's hash, which is the credit's key: it has a root of its own.
      let transactions = try await self.ask(client, "eth_getBlockByHash") {
        try $0.check(receipts, of: hash, root: roots.receiptsRoot)
        return try await $0.provenTransactions(of: hash, root: roots.transactionsRoot)
      }
      guard transactions.count == receipts.count else {
        throw Disproved(
          reason: "block \(hash) has \(transactions.count) transactions, \(receipts.count) receipts"
        )
      }
      var logs: [ChainLog] = []
      for (transaction, receipt) in zip(transactions, receipts) {
        for log in receipt.receipt.logs {
          logs.append(
            ChainLog(
              log: log,
              place: LogPlace(
                block: header.reference, transaction: transaction, index: UInt32(logs.count))))
        }
      }
      return logs
    }
  }

  private func receipts(
    of header: CheckedHeader, by client: EthereumClient
  ) async throws -> [EthereumClient.PlacedReceipt] {
    do {
      return try await ask(client, "eth_getBlockReceipts") { try await $0.receipts(header.hash) }
    } catch ChainFault.unsupported {
      return try await oneByOne(header.transactions, by: client)
    }
  }

  private func oneByOne(
    _ transactions: [Hash32], by client: EthereumClient
  ) async throws -> [EthereumClient.PlacedReceipt] {
    try await withThrowingTaskGroup(of: (Int, EthereumClient.PlacedReceipt).self) { group in
      var receipts = [EthereumClient.PlacedReceipt?](repeating: nil, count: transactions.count)
      for (index, transaction) in transactions.enumerated() {
        if index >= Self.receiptsInFlight, let (place, receipt) = try await group.next() {
          receipts[place] = receipt
        }
        group.addTask {
          let receipt = try await self.ask(client, "eth_getTransactionReceipt") {
            try await $0.receipt(transaction)
          }
          guard let receipt else {
            throw ChainFault.unavailable("\(client.name) has no receipt of \(transaction)")
          }
          return (index, receipt)
        }
      }
      for try await (place, receipt) in group { receipts[place] = receipt }
      return receipts.compactMap { $0 }
    }
  }

  func logs(
    _ filter: LogFilter, in range: ClosedRange<UInt64>
  ) async throws -> (logs: [ChainLog], endpoint: String) {
    try await firstGood { client in
      let found = try await self.ask(client, "eth_getLogs") {
        try await $0.logs(range, addresses: [filter.address], topics: filter.topics)
      }
      let logs = try found.map { placed in
        guard let index = UInt32(exactly: placed.index) else {
          throw Disproved(reason: "eth_getLogs answered log index \(placed.index)")
        }
        return ChainLog(
          log: placed.log,
          place: LogPlace(
            block: BlockReference(number: placed.blockNumber, hash: placed.blockHash),
            transaction: placed.transaction, index: index))
      }
      return (logs, client.name)
    }
  }

  /// An answer that was disproved: the endpoint is not asked again.
  private struct Disproved: Error { let reason: String }

  /// The first endpoint's answer that holds.
  private func firstGood<Value: Sendable>(
    _ question: (EthereumClient) async throws -> Value
  ) async throws -> Value {
    var fault = ChainFault.unavailable("every endpoint was contradicted")
    for client in clients {
      do {
        return try await question(client)
      } catch let disproved as Disproved {
        try await exclude(client.name, because: disproved.reason)
      } catch let objection as ChainFault {
        if case .refused = objection { throw objection }
        fault = objection
      }
    }
    throw fault
  }

  // MARK: Start and probe

  /// Whether an address has code at a block (nil: now), or nil when no endpoint has that state.
  func hasCode(_ address: Address, at block: UInt64?) async throws -> Bool? {
    var unavailable: ChainFault?
    for client in clients {
      do {
        return try await ask(client, "eth_getCode") {
          try await !$0.code(address, at: block.map { .number($0) } ?? .latest).isEmpty
        }
      } catch ChainFault.refused where block != nil {
        continue
      } catch ChainFault.unsupported where block != nil {
        continue
      } catch let fault as ChainFault {
        unavailable = fault
      }
    }
    if let unavailable { throw unavailable }
    return nil
  }

  func reports() async -> [EndpointReport] {
    let answers = await pool.all { client in
      let chainID = try await self.ask(client, "eth_chainId") { try await $0.chainID() }
      let head = try await self.ask(client, "eth_getBlockByNumber") { try await $0.block(.latest) }
      let finalized = try? await self.ask(client, "eth_getBlockByNumber") {
        try await $0.block(.finalized)
      }
      var hasReceipts = false
      if let head {
        hasReceipts =
          (try? await self.ask(client, "eth_getBlockReceipts") {
            try await $0.receipts(head.hash)
          }) != nil
      }
      return EndpointReport(
        endpoint: client.name, chainID: chainID, head: head?.header.number,
        finalized: finalized.flatMap { $0 }?.header.number, hasReceipts: hasReceipts, problem: nil)
    }
    return answers.map { endpoint, result in
      switch result {
      case .success(let report): report
      case .failure(let error):
        EndpointReport(
          endpoint: endpoint, chainID: nil, head: nil, finalized: nil, hasReceipts: false,
          problem: "\(error)")
      }
    }
  }

  // MARK: Asking

  /// Waits for the endpoint's turn, counts, times, and says what kind of failure it is.
  private func ask<Value: Sendable>(
    _ client: EthereumClient, _ method: String,
    _ question: (EthereumClient) async throws -> Value
  ) async throws -> Value {
    try await turn(of: client)
    let start = ContinuousClock.now
    var outcome = "ok"
    defer {
      metrics?.rpc(
        endpoint: client.name, method: method, outcome: outcome, took: .now - start)
    }
    do {
      let answer = try await question(client)
      record(.answered(after: .now - start), of: client.name)
      return answer
    } catch let error as RPCError {
      outcome = error.outcome
      let fault = Self.fault(error, method: method)
      if let behaviour = Self.behaviour(error, fault) { record(behaviour, of: client.name) }
      throw fault
    } catch {
      outcome = "malformed"
      throw ChainFault.unavailable("\(client.name): \(error)")
    }
  }

  /// An endpoint that is paused for longer than this is not waited for: another may answer, and the caller tries again.
  private static let longestTurn = Duration.seconds(2)

  private func turn(of client: EthereumClient) async throws {
    let now = ContinuousClock.now
    let slot = health.withLock { health -> ContinuousClock.Instant? in
      let pausedUntil = health[client.name]?.pausedUntil ?? now
      guard pausedUntil - now <= Self.longestTurn else { return nil }
      return health[client.name, default: EndpointHealth()].reserve(at: now)
    }
    guard let slot else {
      throw ChainFault.unavailable("\(client.name) is left alone for a while after failures")
    }
    if slot > now { try await Task.sleep(until: slot, clock: .continuous) }
  }

  /// What an error says of the endpoint itself; nil when it says something of the question, as refusals of a range do.
  private static func behaviour(
    _ error: RPCError, _ fault: any Error
  ) -> EndpointHealth.Outcome? {
    switch error {
    case .http(_, 429, let seconds): return .limited(retryAfter: seconds.map { .seconds($0) })
    case .remote(_, _, let message, _):
      let text = message.lowercased()
      let isLimit = ["rate limit", "too many requests", "request limit", "capacity exceeded"]
        .contains { text.contains($0) }
      return isLimit ? .limited(retryAfter: nil) : nil
    case .transport, .http, .bodyTooLarge, .malformed:
      if case ChainFault.refused = fault { return nil }
      return .failed
    case .disproved, .noQuorum: return nil
    }
  }

  private static func fault(_ error: RPCError, method: String) -> any Error {
    switch error {
    case .disproved(_, let what): return Disproved(reason: what)
    case .remote(_, let code, let message, _):
      let text = message.lowercased()
      if code == -32601 || text.contains("does not exist") || text.contains("not supported")
        || text.contains("method not found")
      {
        return ChainFault.unsupported(method)
      }
      return ["eth_getLogs", "eth_getCode"].contains(method)
        ? ChainFault.refused(code: code, message: message)
        : ChainFault.unavailable(error.description)
    // What is too much for one answer is asked for in smaller parts.
    case .bodyTooLarge where method == "eth_getLogs",
      .http(_, 413, _) where method == "eth_getLogs":
      return ChainFault.refused(code: nil, message: "response size: \(error)")
    case .transport(_, let why) where method == "eth_getLogs" && why == "timed out":
      return ChainFault.refused(code: nil, message: "query timeout: \(error)")
    default: return ChainFault.unavailable(error.description)
    }
  }
}

extension EthereumClient {
  /// The endpoint without what may be a secret.
  fileprivate var name: String { rpc.endpoint.description }
}

extension RPCError {
  fileprivate var outcome: String {
    switch self {
    case .transport: "transport"
    case .http(_, let status, _): "http_\(status)"
    case .bodyTooLarge: "too_large"
    case .malformed: "malformed"
    case .disproved: "disproved"
    case .remote: "error"
    case .noQuorum: "no_quorum"
    }
  }
}
