import Ethereum
import JSON
import RLP

/// A block's contents that rebuild the roots in its header: whatever an endpoint says, they are what the block's hash stands for.
extension EthereumClient {
  /// The hashes of a block's transactions in their order. Their bytes are put together from the fields of the answer, and
  /// rebuild `transactionsRoot`.
  ///
  /// - Throws: `RPCError.disproved` when they do not; `RPCError.malformed` also for a type that is not known here
  public func provenTransactions(of block: Hash32, root: Hash32) async throws -> [Hash32] {
    let answer = try await rpc.call("eth_getBlockByHash", [.string(block.hex), true])
    guard answer != .null else { throw rpc.malformed("block \(block) is missing") }
    let transactions = try list(
      member("transactions", of: answer, "a block"), "transactions"
    ).map(encodedTransaction)
    guard OrderedTrie.root(transactions) == root else {
      throw rpc.disproved("its transactions of block \(block) do not rebuild transactionsRoot")
    }
    return transactions.map { Hash32.keccak($0) }
  }

  /// A block's receipts in their order, which rebuild `receiptsRoot`. What stands beside a receipt (transaction, gas) is the
  /// endpoint's word.
  ///
  /// - Throws: `RPCError.disproved` when they do not
  public func provenReceipts(of block: Hash32, root: Hash32) async throws -> [PlacedReceipt] {
    let receipts = try await receipts(block)
    try check(receipts, of: block, root: root)
    return receipts
  }

  /// The check of `provenReceipts`, for receipts that were asked for one by one.
  public func check(_ receipts: [PlacedReceipt], of block: Hash32, root: Hash32) throws(RPCError) {
    guard OrderedTrie.root(receipts.map(\.receipt.encoded)) == root else {
      throw rpc.disproved("its receipts of block \(block) do not rebuild receiptsRoot")
    }
  }

  /// The bytes that the transactions trie holds: legacy, EIP-2930, EIP-1559, EIP-4844 (without blobs), EIP-7702.
  private func encodedTransaction(_ value: JSONValue) throws -> [UInt8] {
    func field(_ name: String) throws -> JSONValue { try member(name, of: value, "a transaction") }
    func quantity(_ name: String) throws -> RLPItem {
      .bytes(try uint256(field(name), name).minimalBigEndianBytes)
    }
    let type = try value["type"].map { try uint64($0, "type") } ?? 0
    let to: RLPItem =
      value["to"].map { $0 == .null } ?? true
      ? .bytes([]) : .bytes(try address(field("to"), "to").bytes)
    let call = [
      to, try quantity("value"), .bytes(try bytes(field("input"), "input")),
    ]
    if type == 0 {
      let items =
        try ["nonce", "gasPrice", "gas"].map(quantity) + call + ["v", "r", "s"].map(quantity)
      return RLP.encode(.list(items))
    }
    let dynamicFees = ["maxPriorityFeePerGas", "maxFeePerGas"]
    let fees: [String]
    switch type {
    case 1: fees = ["gasPrice"]
    case 2, 3, 4: fees = dynamicFees
    default: throw rpc.malformed("transaction type \(type) is not known here")
    }
    var items = try (["chainId", "nonce"] + fees + ["gas"]).map(quantity) + call
    items.append(.list(try list(field("accessList"), "accessList").map(accessListEntry)))
    if type == 3 {
      items.append(try quantity("maxFeePerBlobGas"))
      items.append(
        .list(
          try list(field("blobVersionedHashes"), "blobVersionedHashes").map {
            .bytes(try hash($0, "blobVersionedHash").bytes)
          }))
    }
    if type == 4 {
      items.append(
        .list(try list(field("authorizationList"), "authorizationList").map(authorization)))
    }
    // Older nodes know the parity only as v.
    items.append(try quantity(value["yParity"] == nil ? "v" : "yParity"))
    items += try ["r", "s"].map(quantity)
    return [UInt8(type)] + RLP.encode(.list(items))
  }

  /// EIP-2930.
  private func accessListEntry(_ value: JSONValue) throws -> RLPItem {
    .list([
      .bytes(try address(member("address", of: value, "an access list"), "address").bytes),
      .list(
        try list(member("storageKeys", of: value, "an access list"), "storageKeys").map {
          .bytes(try hash($0, "storage key").bytes)
        }),
    ])
  }

  /// EIP-7702.
  private func authorization(_ value: JSONValue) throws -> RLPItem {
    func quantity(_ name: String) throws -> RLPItem {
      .bytes(
        try uint256(member(name, of: value, "an authorization"), name).minimalBigEndianBytes)
    }
    let delegate = try address(member("address", of: value, "an authorization"), "address")
    return .list(
      [try quantity("chainId"), .bytes(delegate.bytes), try quantity("nonce")]
        + (try ["yParity", "r", "s"].map(quantity)))
  }
}
