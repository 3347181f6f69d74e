import Ethereum
import RLP
import TestSupport
import Testing

@Suite struct ReceiptTests {
  /// Block 411443 of the Hoodi testnet (0x5e98e8e4d80928867e03eb2224f66fc8c68f687de3a5550119c365fca7abb118) holds one plain
  /// transfer; this is its receiptsRoot.
  @Test func `the root of one plain transfer`() {
    let receipt = Receipt(
      type: 0, outcome: .status(true), cumulativeGasUsed: 21000, logs: [])
    #expect(
      OrderedTrie.root([receipt.encoded]).hex
        == "0x056b23fbba480696b65fe5a59b8f2148a1299103c4f57df839233af2cf4ca2d2")
  }

  /// Yellow Paper, appendix D: Keccak of RLP's empty string.
  @Test func `the root of nothing`() {
    #expect(
      OrderedTrie.root([]).hex
        == "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
  }

  @Test func `random receipts, legacy and typed, agree with rlp and eth-bloom`() throws {
    let seed = Int.random(in: 0..<1_000_000)
    let lines = try Python.lines("chain.py", ["receipts", "--seed", "\(seed)", "--count", "1000"])
    #expect(lines.count == 1000)
    for line in lines {
      let part = line.split(separator: " ").map(String.init)
      let outcome = try Hex.decode(part[1])
      var logs: [Log] = []
      for text in part[3].split(separator: ";") where part[3] != "-" {
        let log = text.split(separator: ",").map(String.init)
        let topics =
          log[1] == "-" ? [] : try log[1].split(separator: "|").map { try Hash32(hex: $0) }
        logs.append(
          Log(address: try Address(log[0]), topics: topics, data: try Hex.decode(log[2])))
      }
      let receipt = Receipt(
        type: try #require(UInt8(part[0])),
        outcome: outcome.count == 32 ? .stateRoot(try Hash32(outcome)) : .status(outcome == [1]),
        cumulativeGasUsed: try #require(UInt64(part[2])), logs: logs)
      #expect(Hex.encode(receipt.encoded) == part[4], "seed \(seed)")
    }
  }

  /// Lists of 0, 1, 2, 15 to 17, 127 to 129, 255 to 257 and 300 items, where the keys change their length, and of random ones.
  @Test func `the root of a list agrees with py-trie`() throws {
    let seed = Int.random(in: 0..<1_000_000)
    let lines = try Python.lines("chain.py", ["tries", "--seed", "\(seed)", "--count", "50"])
    #expect(lines.count == 50)
    for line in lines {
      let part = line.split(separator: " ").map(String.init)
      let items = part[1] == "-" ? [] : try part[1].split(separator: ",").map { try Hex.decode($0) }
      #expect(OrderedTrie.root(items).hex == part[0], "seed \(seed): \(items.count) items")
    }
  }

  @Test func `a root depends on every item, on their order and on their number`() {
    let items = (0..<130).map { [UInt8($0), 1, 2, 3] }
    let root = OrderedTrie.root(items)
    for index in items.indices {
      var changed = items
      changed[index][0] ^= 1
      #expect(OrderedTrie.root(changed) != root)
    }
    #expect(OrderedTrie.root(items.dropLast()) != root)
    #expect(OrderedTrie.root(items + [[1]]) != root)
    #expect(OrderedTrie.root(items.reversed()) != root)
  }

  /// Yellow Paper, section 4.3.1; the bits of a filter are checked against eth-bloom above.
  @Test func `a bloom may contain what was put in, and certainly not what sets other bits`() throws
  {
    let log = Log(
      address: try Address("0x00000000000000000000000000000000000000aa"),
      topics: [.keccak([1]), .keccak([2])], data: [9])
    var bloom = Bloom.empty
    bloom.insert(log)
    #expect(bloom.mayContain(log.address.bytes))
    #expect(log.topics.allSatisfy { bloom.mayContain($0.bytes) })
    #expect(!bloom.mayContain([9]))
    #expect(!Bloom.empty.mayContain(log.address.bytes))
    #expect(throws: Hex.DecodingError.self) { try Bloom([UInt8](repeating: 0, count: 255)) }
  }
}
