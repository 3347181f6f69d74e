import Ethereum
import Synchronization

@testable import Indexer

/// A chain in memory with forks, finality and endpoints that can be told to lie. Its hashes are made up: that headers hash and
/// receipts rebuild their roots is for the endpoint pool to check, and its tests.
final class SimulatedChain: ChainSource {
  static let vault = try! Address([UInt8](repeating: 0x11, count: 20))
  static let token = try! Address([UInt8](repeating: 0x22, count: 20))
  static let follows = try! FollowedLogs(vault: vault, token: token)

  static func user(_ number: Int) -> Address {
    try! Address([UInt8](repeating: 0, count: 19) + [UInt8(number)])
  }

  /// A transaction, which keeps its hash when it is mined again in another block.
  struct Transaction {
    let hash: Hash32
    var logs: [Log]

    init(_ name: String) {
      hash = Hash32.keccak(Array(name.utf8))
      logs = []
    }

    func event(
      _ signature: String, _ account: Address, _ words: UInt64..., at contract: Address = vault
    ) -> Transaction {
      adding(contract, signature, [account], words)
    }

    func transfer(_ from: Address, _ to: Address, _ amount: UInt64) -> Transaction {
      adding(token, "Transfer(address,address,uint256)", [from, to], [amount])
    }

    private func adding(
      _ contract: Address, _ signature: String, _ indexed: [Address], _ words: [UInt64]
    ) -> Transaction {
      var copy = self
      let topics = indexed.map { try! Hash32([UInt8](repeating: 0, count: 12) + $0.bytes) }
      copy.logs.append(
        Log(
          address: contract, topics: [.keccak(Array(signature.utf8))] + topics,
          data: words.flatMap { UInt256($0).bigEndianBytes }))
      return copy
    }

    func deposit(_ user: Address, _ amount: UInt64) -> Transaction {
      transfer(user, vault, amount).event("Deposit(address,uint256)", user, amount)
    }
    func withdraw(_ user: Address, _ amount: UInt64) -> Transaction {
      event("Withdraw(address,uint256)", user, amount).transfer(vault, user, amount)
    }
    func charged(_ user: Address, _ amount: UInt64, total: UInt64) -> Transaction {
      event("Charged(address,uint256,uint256)", user, amount, total)
    }
    func paid(_ payee: Address, _ amount: UInt64, total: UInt64) -> Transaction {
      event("Paid(address,uint256,uint256)", payee, amount, total).transfer(vault, payee, amount)
    }
  }

  struct Block {
    let header: CheckedHeader
    let logs: [ChainLog]
    let transactions: [Transaction]
    let salt: String
  }

  /// How the endpoints behave.
  struct Manners {
    var leavesOut: @Sendable (ChainLog) -> Bool = { _ in false }
    var forges: [ChainLog] = []
    var hasReceipts = true
    var agrees = true
    var mostBlocks: UInt64 = .max
    var isUnreachable = false
    /// Answers this many more requests, then throws `Killed`.
    var livesFor: Int = .max
    /// A block that is called final, whatever the chain holds.
    var callsFinal: BlockReference?
    /// What happens to the chain before a request is answered.
    var before: (@Sendable (SimulatedChain, String) -> Void)?
  }

  struct Killed: Error {}

  private struct State {
    var blocks: [Block] = []
    var finalized: UInt64 = 0
    var manners = Manners()
    var endpoints = ["one"]
    var requests: [String: Int] = [:]
  }

  private let state = Mutex(State())

  init(blocks: Int = 1) { mine(blocks: blocks) }

  var head: UInt64 { state.withLock { UInt64($0.blocks.count - 1) } }
  var finalized: UInt64 {
    get { state.withLock { $0.finalized } }
    set { state.withLock { $0.finalized = newValue } }
  }
  var manners: Manners {
    get { state.withLock { $0.manners } }
    set { state.withLock { $0.manners = newValue } }
  }
  var endpoints: [String] {
    get { state.withLock { $0.endpoints } }
    set { state.withLock { $0.endpoints = newValue } }
  }
  func requests(_ method: String) -> Int { state.withLock { $0.requests[method, default: 0] } }

  /// Mines one block with these transactions; `salt` tells forks apart.
  func mine(_ transactions: Transaction..., salt: String = "") {
    mineOnce(transactions, salt: salt)
  }

  /// The same, without those that the chain holds already: a transaction is mined once.
  func mineOnce(_ wanted: [Transaction], salt: String) {
    state.withLock { state in
      var known = Set(state.blocks.flatMap { $0.transactions.map(\.hash) })
      let transactions = wanted.filter { known.insert($0.hash).inserted }
      let number = UInt64(state.blocks.count)
      var bloom = Bloom()
      for log in transactions.flatMap(\.logs) { bloom.insert(log) }
      let content = transactions.flatMap(\.hash.bytes)
      let fields = Header(
        parentHash: state.blocks.last?.header.hash ?? .zero, ommersHash: .zero, beneficiary: .zero,
        stateRoot: .zero,
        transactionsRoot: transactions.isEmpty ? OrderedTrie.emptyRoot : .keccak(content),
        receiptsRoot: .zero, logsBloom: bloom, difficulty: .zero, number: number, gasLimit: 0,
        gasUsed: 0, timestamp: 1_700_000_000 + 12 * number, extraData: Array(salt.utf8),
        mixHash: .zero, nonce: [UInt8](repeating: 0, count: 8), tail: [])
      let header = CheckedHeader(
        header: fields, hash: fields.hash, transactions: transactions.map(\.hash))
      let reference = header.reference
      var logs: [ChainLog] = []
      for transaction in transactions {
        for log in transaction.logs {
          let place = LogPlace(
            block: reference, transaction: transaction.hash, index: UInt32(logs.count))
          logs.append(ChainLog(log: log, place: place))
        }
      }
      state.blocks.append(
        Block(header: header, logs: logs, transactions: transactions, salt: salt))
    }
  }

  func mine(blocks: Int, salt: String = "") { for _ in 0..<blocks { mine(salt: salt) } }

  /// Takes blocks off the top.
  @discardableResult
  func drop(_ count: Int) -> [Block] {
    state.withLock { state in
      defer { state.blocks.removeLast(count) }
      return Array(state.blocks.suffix(count))
    }
  }

  func log(block: UInt64, index: Int) -> ChainLog {
    state.withLock { $0.blocks[Int(block)].logs[index] }
  }

  // MARK: ChainSource

  private func ask<Answer>(_ method: String, _ body: (inout State) throws -> Answer) throws
    -> Answer
  {
    manners.before?(self, method)
    return try state.withLock { state in
      state.requests[method, default: 0] += 1
      if state.manners.livesFor <= 0 { throw Killed() }
      if state.manners.livesFor < .max { state.manners.livesFor -= 1 }
      if state.manners.isUnreachable { throw ChainFault.unavailable("connection refused") }
      return try body(&state)
    }
  }

  var quorum: String { "1 of 1" }

  func tip() async throws -> ChainTip {
    try ask("tip") { state in
      guard state.manners.agrees, let head = state.blocks.last?.header else {
        return ChainTip(head: nil, headTimestamp: 0, finalized: nil)
      }
      let finalized =
        state.finalized < state.blocks.count
        ? state.blocks[Int(state.finalized)].header.reference : nil
      return ChainTip(
        head: head.reference, headTimestamp: head.header.timestamp,
        finalized: state.manners.callsFinal ?? finalized)
    }
  }

  func agreedHash(at number: UInt64) async throws -> Hash32? {
    try ask("hash") { state in
      state.manners.agrees && number < state.blocks.count
        ? state.blocks[Int(number)].header.reference.hash : nil
    }
  }

  func headers(_ range: ClosedRange<UInt64>) async throws -> [CheckedHeader] {
    try ask("headers") { state in
      state.blocks.map(\.header).filter { range.contains($0.header.number) }
    }
  }

  func provenLogs(of header: CheckedHeader) async throws -> [ChainLog] {
    try ask("receipts") { state in
      guard state.manners.hasReceipts else { throw ChainFault.unsupported("eth_getBlockReceipts") }
      guard let block = state.blocks.first(where: { $0.header.reference == header.reference })
      else {
        throw ChainFault.unavailable("block \(header.reference.number) is gone")
      }
      return block.logs
    }
  }

  func logs(_ filter: LogFilter, in range: ClosedRange<UInt64>) async throws -> (
    logs: [ChainLog], endpoint: String
  ) {
    try ask("logs") { state in
      if range.upperBound - range.lowerBound >= state.manners.mostBlocks {
        throw ChainFault.refused(
          code: -32602,
          message: "eth_getLogs is limited to a \(state.manners.mostBlocks) block range")
      }
      let manners = state.manners
      let honest = state.blocks.flatMap(\.logs).filter { !manners.leavesOut($0) }
      // Only the first endpoint lies.
      let all =
        state.endpoints.first == "one" ? honest + manners.forges : state.blocks.flatMap(\.logs)
      let found = all.filter { log in
        log.log.address == filter.address && range.contains(log.place.block.number)
          && zip(filter.topics, log.log.topics).allSatisfy { $0?.contains($1) ?? true }
      }
      return (found, state.endpoints.first ?? "none")
    }
  }

  func exclude(_ endpoint: String, because reason: String) async throws {
    try state.withLock { state in
      state.endpoints.removeAll { $0 == endpoint }
      if state.endpoints.isEmpty { throw ChainFault.contradicted("\(endpoint): \(reason)") }
    }
  }
}
