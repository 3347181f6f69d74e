import Ethereum
import JSON

/// The calls of an Ethereum node that are used here, with typed answers. Everything an answer says is checked for its
/// shape; whether it is true is for proofs and quorums.
public struct EthereumClient: Sendable {
  public let rpc: JSONRPCClient

  public init(_ rpc: JSONRPCClient) {
    self.rpc = rpc
  }

  /// Which block a question is about.
  public enum BlockID: Sendable, Hashable, CustomStringConvertible {
    case number(UInt64)
    case hash(Hash32)
    case latest, finalized, pending

    var parameter: JSONValue {
      switch self {
      case .number(let number): .string(UInt256(number).quantity)
      // EIP-1898.
      case .hash(let hash): ["blockHash": .string(hash.hex)]
      case .latest: "latest"
      case .finalized: "finalized"
      case .pending: "pending"
      }
    }

    public var description: String {
      switch self {
      case .number(let number): "block \(number)"
      case .hash(let hash): "block \(hash)"
      case .latest: "the latest block"
      case .finalized: "the finalized block"
      case .pending: "the pending block"
      }
    }
  }

  /// A header whose fields hash to what the endpoint called it, and its transactions' hashes as the endpoint says.
  public struct Block: Sendable, Equatable {
    public let header: Header
    public let hash: Hash32
    public let transactions: [Hash32]
  }

  /// A log with its place, as the endpoint says.
  public struct PlacedLog: Sendable, Hashable {
    public let log: Log
    public let blockNumber: UInt64
    public let blockHash: Hash32
    public let transaction: Hash32
    public let index: UInt64
  }

  /// A receipt with what is beside it in JSON.
  public struct PlacedReceipt: Sendable, Hashable {
    public let receipt: Receipt
    public let transaction: Hash32
    public let blockNumber: UInt64
    public let blockHash: Hash32
    public let gasUsed: UInt64
    public let effectiveGasPrice: UInt256
  }

  public func chainID() async throws -> UInt64 {
    try uint64(await rpc.call("eth_chainId"), "chain id")
  }

  /// Nil when the endpoint does not know the block.
  public func block(_ id: BlockID) async throws -> Block? {
    let answer: JSONValue
    switch id {
    case .hash(let hash):
      answer = try await rpc.call("eth_getBlockByHash", [.string(hash.hex), false])
    default: answer = try await rpc.call("eth_getBlockByNumber", [id.parameter, false])
    }
    guard answer != .null else { return nil }
    let block = try block(answer)
    switch id {
    case .number(let number) where block.header.number != number:
      throw rpc.malformed("block \(block.header.number) where \(number) was asked for")
    case .hash(let hash) where block.hash != hash:
      throw rpc.malformed("block \(block.hash) where \(hash) was asked for")
    default: return block
    }
  }

  /// The blocks of a range of numbers, in one batch.
  public func blocks(_ numbers: ClosedRange<UInt64>) async throws -> [Block] {
    let calls = numbers.map {
      JSONRPCClient.Call("eth_getBlockByNumber", [BlockID.number($0).parameter, false])
    }
    var blocks: [Block] = []
    for (number, result) in zip(numbers, try await rpc.batch(calls)) {
      let answer = try result.get()
      guard answer != .null else { throw rpc.malformed("block \(number) is missing") }
      let block = try block(answer)
      guard block.header.number == number else {
        throw rpc.malformed("block \(block.header.number) where \(number) was asked for")
      }
      blocks.append(block)
    }
    return blocks
  }

  /// A block's receipts in their order.
  public func receipts(_ block: Hash32) async throws -> [PlacedReceipt] {
    let answer = try await rpc.call("eth_getBlockReceipts", [.string(block.hex)])
    let items = try list(answer, "receipts")
    return try items.map { item in
      let receipt = try receipt(item)
      guard receipt.blockHash == block else {
        throw rpc.malformed("a receipt of block \(receipt.blockHash) where \(block) was asked for")
      }
      return receipt
    }
  }

  /// Nil when the endpoint knows no receipt of the transaction.
  public func receipt(_ transaction: Hash32) async throws -> PlacedReceipt? {
    let answer = try await rpc.call("eth_getTransactionReceipt", [.string(transaction.hex)])
    guard answer != .null else { return nil }
    let receipt = try receipt(answer)
    guard receipt.transaction == transaction else {
      throw rpc.malformed("a receipt of \(receipt.transaction) where \(transaction) was asked for")
    }
    return receipt
  }

  /// Logs of addresses with one of the first topics.
  public func logs(
    _ range: ClosedRange<UInt64>, addresses: [Address], topics: [[Hash32]?]
  ) async throws -> [PlacedLog] {
    let filter: JSONValue = [
      "fromBlock": BlockID.number(range.lowerBound).parameter,
      "toBlock": BlockID.number(range.upperBound).parameter,
      "address": .array(addresses.map { .string($0.checksummed) }),
      "topics": .array(topics.map { $0.map { .array($0.map { .string($0.hex) }) } ?? .null }),
    ]
    let answer = try await rpc.call("eth_getLogs", [filter])
    return try list(answer, "logs").map(log)
  }

  public func call(
    to: Address, data: [UInt8], from: Address? = nil, at block: BlockID
  ) async throws -> [UInt8] {
    var request: [(key: String, value: JSONValue)] = [
      ("to", .string(to.checksummed)), ("data", .string(Hex.encode(data))),
    ]
    if let from { request.append(("from", .string(from.checksummed))) }
    return try bytes(await rpc.call("eth_call", [.object(request), block.parameter]), "eth_call")
  }

  public func estimateGas(from: Address, to: Address, data: [UInt8]) async throws -> UInt64 {
    let request: JSONValue = [
      "from": .string(from.checksummed), "to": .string(to.checksummed),
      "data": .string(Hex.encode(data)),
    ]
    return try uint64(await rpc.call("eth_estimateGas", [request]), "gas estimate")
  }

  public func code(_ address: Address, at block: BlockID) async throws -> [UInt8] {
    try bytes(
      await rpc.call("eth_getCode", [.string(address.checksummed), block.parameter]), "code")
  }

  /// Wei.
  public func balance(_ address: Address, at block: BlockID) async throws -> UInt256 {
    try uint256(
      await rpc.call("eth_getBalance", [.string(address.checksummed), block.parameter]), "balance")
  }

  public func transactionCount(_ address: Address, at block: BlockID) async throws -> UInt64 {
    try uint64(
      await rpc.call("eth_getTransactionCount", [.string(address.checksummed), block.parameter]),
      "transaction count")
  }

  /// Wei per gas: the next block's base fee, and the median tip of late.
  public func fees() async throws -> (baseFee: UInt256, tip: UInt256) {
    let answer = try await rpc.call("eth_feeHistory", ["0x5", "latest", [50]])
    guard let base = answer["baseFeePerGas"]?.array?.last else {
      throw rpc.malformed("eth_feeHistory without baseFeePerGas")
    }
    let tips = try (answer["reward"]?.array ?? []).compactMap {
      try $0.array?.first.map { try uint256($0, "tip") }
    }
    let sorted = tips.sorted()
    return (try uint256(base, "base fee"), sorted.isEmpty ? 0 : sorted[sorted.count / 2])
  }

  /// The hash that the endpoint gives to the bytes.
  public func send(_ raw: [UInt8]) async throws -> Hash32 {
    try hash(
      await rpc.call("eth_sendRawTransaction", [.string(Hex.encode(raw))]), "sent transaction")
  }

  // MARK: Reading answers

  private func block(_ value: JSONValue) throws -> Block {
    func field(_ name: String) throws -> JSONValue { try member(name, of: value, "a block") }
    func word(_ name: String) throws -> Hash32 { try hash(field(name), name) }
    func quantity(_ name: String) throws -> UInt64 { try uint64(field(name), name) }
    var tail: [Header.Tail] = []
    for candidate in Header.Field.allCases {
      guard let item = value[candidate.rawValue], item != .null else { continue }
      guard tail.count == Header.Field.allCases.firstIndex(of: candidate) else {
        throw rpc.malformed("a block with \(candidate.rawValue) but without what comes before it")
      }
      let bytes =
        candidate.isQuantity
        ? try uint256(item, candidate.rawValue).minimalBigEndianBytes
        : try hash(item, candidate.rawValue).bytes
      tail.append(Header.Tail(field: candidate, bytes: bytes))
    }
    let header = Header(
      parentHash: try word("parentHash"), ommersHash: try word("sha3Uncles"),
      beneficiary: try address(field("miner"), "miner"), stateRoot: try word("stateRoot"),
      transactionsRoot: try word("transactionsRoot"), receiptsRoot: try word("receiptsRoot"),
      logsBloom: try bloom(field("logsBloom")),
      difficulty: try uint256(field("difficulty"), "difficulty"),
      number: try quantity("number"), gasLimit: try quantity("gasLimit"),
      gasUsed: try quantity("gasUsed"), timestamp: try quantity("timestamp"),
      extraData: try bytes(field("extraData"), "extraData"), mixHash: try word("mixHash"),
      nonce: try bytes(field("nonce"), "nonce"), tail: tail)
    guard header.nonce.count == 8 else {
      throw rpc.malformed("a nonce of \(header.nonce.count) bytes")
    }
    // The ledger's columns take no more, and 2^40 seconds are the year 36812.
    guard header.number <= UInt64(Int64.max), header.timestamp < 1 << 40 else {
      throw rpc.malformed("block \(header.number) of the time \(header.timestamp)")
    }
    let claimed = try word("hash")
    guard header.hash == claimed else {
      throw rpc.disproved(
        "block \(header.number) does not hash to \(claimed): a header field is wrong or unknown here"
      )
    }
    let transactions = try list(field("transactions"), "transactions").map {
      try hash($0, "transaction hash")
    }
    return Block(header: header, hash: claimed, transactions: transactions)
  }

  private func receipt(_ value: JSONValue) throws -> PlacedReceipt {
    func field(_ name: String) throws -> JSONValue { try member(name, of: value, "a receipt") }
    let outcome: Receipt.Outcome
    if let status = value["status"], status != .null {
      let code = try uint64(status, "status")
      guard code <= 1 else { throw rpc.malformed("receipt status \(code)") }
      outcome = .status(code == 1)
    } else {
      outcome = .stateRoot(try hash(field("root"), "root"))
    }
    let type = try value["type"].map { try uint64($0, "type") } ?? 0
    guard type < 128 else { throw rpc.malformed("receipt type \(type)") }
    let logs = try list(field("logs"), "logs").map { try log($0).log }
    return PlacedReceipt(
      receipt: Receipt(
        type: UInt8(type), outcome: outcome,
        cumulativeGasUsed: try uint64(field("cumulativeGasUsed"), "cumulativeGasUsed"), logs: logs),
      transaction: try hash(field("transactionHash"), "transactionHash"),
      blockNumber: try uint64(field("blockNumber"), "blockNumber"),
      blockHash: try hash(field("blockHash"), "blockHash"),
      gasUsed: try uint64(field("gasUsed"), "gasUsed"),
      effectiveGasPrice: try value["effectiveGasPrice"].map { try uint256($0, "effectiveGasPrice") }
        ?? 0)
  }

  private func log(_ value: JSONValue) throws -> PlacedLog {
    func field(_ name: String) throws -> JSONValue { try member(name, of: value, "a log") }
    let topics = try list(field("topics"), "topics").map { try hash($0, "topic") }
    guard topics.count <= 4 else { throw rpc.malformed("a log with \(topics.count) topics") }
    return PlacedLog(
      log: Log(
        address: try address(field("address"), "address"), topics: topics,
        data: try bytes(field("data"), "data")),
      blockNumber: try uint64(field("blockNumber"), "blockNumber"),
      blockHash: try hash(field("blockHash"), "blockHash"),
      transaction: try hash(field("transactionHash"), "transactionHash"),
      index: try uint64(field("logIndex"), "logIndex"))
  }

  func member(_ name: String, of value: JSONValue, _ what: String) throws -> JSONValue {
    guard let field = value[name], field != .null else {
      throw rpc.malformed("\(what) without \(name)")
    }
    return field
  }

  func list(_ value: JSONValue, _ name: String) throws -> [JSONValue] {
    guard let items = value.array else { throw rpc.malformed("\(name) are \(value.kind)") }
    return items
  }

  func bytes(_ value: JSONValue, _ name: String) throws -> [UInt8] {
    guard let text = value.string, let bytes = try? Hex.decode(text) else {
      throw rpc.malformed("\(name) is not hexadecimal data")
    }
    return bytes
  }

  private func bloom(_ value: JSONValue) throws -> Bloom {
    guard let bloom = try? Bloom(bytes(value, "logsBloom")) else {
      throw rpc.malformed("logsBloom")
    }
    return bloom
  }

  func hash(_ value: JSONValue, _ name: String) throws -> Hash32 {
    guard let text = value.string, let hash = try? Hash32(hex: text) else {
      throw rpc.malformed("\(name) is not a 32-byte hash")
    }
    return hash
  }

  func address(_ value: JSONValue, _ name: String) throws -> Address {
    guard let text = value.string, let address = try? Address(text) else {
      throw rpc.malformed("\(name) is not an address")
    }
    return address
  }

  func uint256(_ value: JSONValue, _ name: String) throws -> UInt256 {
    guard let text = value.string, let number = UInt256(quantity: text) else {
      throw rpc.malformed("\(name) is not a quantity")
    }
    return number
  }

  func uint64(_ value: JSONValue, _ name: String) throws -> UInt64 {
    guard let number = UInt64(exactly: try uint256(value, name)) else {
      throw rpc.malformed("\(name) is above 2^64-1")
    }
    return number
  }
}
