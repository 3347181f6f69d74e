import ChainRPC
import Ethereum
import JSON
import TestSupport
import Testing

/// A block's transactions and receipts are believed only as far as they rebuild the header's roots.
@Suite struct ProofTests {
  private static let block = Hash32.keccak([1])

  private struct Block {
    let root: Hash32
    let hashes: [Hash32]
    let transactions: [JSONValue]
  }

  /// Signed and encoded by eth-account, the root by py-trie.
  private static func blocks(seed: UInt64, count: Int) throws -> [Block] {
    try Python.lines("block_transactions.py", ["\(seed)", "\(count)"]).map { line in
      let value = try JSONValue(parsing: line)
      return Block(
        root: try Hash32(hex: value["root"]?.string ?? ""),
        hashes: try (value["hashes"]?.array ?? []).map { try Hash32(hex: $0.string ?? "") },
        transactions: value["transactions"]?.array ?? [])
    }
  }

  private func proven(_ transactions: [JSONValue], root: Hash32) async throws -> [Hash32] {
    try await ScriptedEndpoint.with(.result(["transactions": .array(transactions)])) { endpoint in
      let client = EthereumClient(JSONRPCClient(try Endpoint(endpoint.url())))
      return try await client.provenTransactions(of: Self.block, root: root)
    }
  }

  @Test func `transactions of every type rebuild the root, and have their hashes`() async throws {
    let seed = UInt64.random(in: 0...UInt64(Int64.max))
    for block in try Self.blocks(seed: seed, count: 8) {
      let found = try await proven(block.transactions, root: block.root)
      #expect(found == block.hashes, "seed \(seed)")
    }
  }

  @Test func `a changed, missing, doubled or moved transaction is disproved`() async throws {
    let seed = UInt64.random(in: 0...UInt64(Int64.max))
    guard let block = try Self.blocks(seed: seed, count: 3).last else { return }
    var lies: [[JSONValue]] = [
      Array(block.transactions.dropLast()), block.transactions + [block.transactions[0]],
      Array(block.transactions.reversed()),
    ]
    for index in block.transactions.indices {
      for name in ["nonce", "value", "input", "to", "r", "s"] {
        lies.append(block.transactions)
        lies[lies.count - 1][index] = Self.changed(name, of: block.transactions[index])
      }
    }
    for lie in lies {
      let error = await #expect(throws: RPCError.self, "seed \(seed)") {
        try await proven(lie, root: block.root)
      }
      if case .disproved? = error {} else { Issue.record("seed \(seed): \(error as Any)") }
    }
  }

  @Test func `a type that is not known is malformed, not guessed`() async throws {
    let error = await #expect(throws: RPCError.self) {
      try await proven(
        [["type": "0x7e", "to": nil, "value": "0x0", "input": "0x"]], root: Self.block)
    }
    #expect("\(error as Any)".contains("type 126"))
  }

  @Test func `receipts that do not rebuild the root are disproved`() async throws {
    try await ScriptedEndpoint.with(.result([])) { endpoint in
      let client = EthereumClient(JSONRPCClient(try Endpoint(endpoint.url())))
      #expect(
        try await client.provenReceipts(of: Self.block, root: OrderedTrie.emptyRoot).isEmpty)
      let error = await #expect(throws: RPCError.self) {
        try await client.provenReceipts(of: Self.block, root: Self.block)
      }
      if case .disproved? = error {} else { Issue.record("\(error as Any)") }
    }
  }

  private static func changed(_ name: String, of transaction: JSONValue) -> JSONValue {
    guard case .object(let members) = transaction else { return transaction }
    let other: JSONValue =
      switch name {
      case "input": "0x0123456789"
      case "to": .string("0x" + String(repeating: "77", count: 20))
      default: "0x1234567"
      }
    return .object(members.map { (key: $0.key, value: $0.key == name ? other : $0.value) })
  }
}
