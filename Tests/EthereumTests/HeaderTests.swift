import Ethereum
import Foundation
import RLP
import TestSupport
import Testing

@Suite struct HeaderTests {
  private struct Known {
    let fork: String
    let number: UInt64
    let hash: Hash32
    let bytes: [UInt8]
  }

  /// Real blocks of mainnet: their hashes are known, so every field of them is right.
  private func known() throws -> [Known] {
    try Fixtures.lines("mainnet_headers.txt").map { line in
      let part = line.split(separator: " ").map(String.init)
      return Known(
        fork: part[0], number: try #require(UInt64(part[1])), hash: try Hash32(hex: part[2]),
        bytes: try Hex.decode(part[3]))
    }
  }

  @Test func `mainnet headers of every fork hash to their blocks' hashes`() throws {
    let tails = [
      "Frontier": 0, "London": 1, "Paris": 1, "Shanghai": 2, "Cancun": 5, "Prague": 6,
    ]
    let headers = try known()
    #expect(Set(headers.map(\.fork)) == Set(tails.keys))
    for known in headers {
      let header = try Header(encoded: known.bytes)
      #expect(header.hash == known.hash)
      #expect(header.number == known.number)
      #expect(header.encoded == known.bytes)
      #expect(
        header.tail.map(\.field) == Array(Header.Field.allCases.prefix(tails[known.fork] ?? -1)))
    }
  }

  /// As explorers show them.
  @Test func `fields of mainnet headers`() throws {
    let headers = Dictionary(uniqueKeysWithValues: try known().map { ($0.fork, $0.bytes) })
    let genesis = try Header(encoded: try #require(headers["Frontier"]))
    #expect(genesis.difficulty == 17_179_869_184)
    #expect(genesis.gasLimit == 5000)
    #expect(genesis.nonce == [0, 0, 0, 0, 0, 0, 0, 0x42])
    #expect(genesis.receiptsRoot == OrderedTrie.emptyRoot)
    let london = try Header(encoded: try #require(headers["London"]))
    #expect(try UInt256(bigEndian: try #require(london[.baseFeePerGas])) == 1_000_000_000)
    #expect(london.timestamp == 1_628_166_822)
    let paris = try Header(encoded: try #require(headers["Paris"]))
    #expect(paris.difficulty == 11_055_787_484_078_698)
    let shanghai = try Header(encoded: try #require(headers["Shanghai"]))
    #expect(try Hash32(try #require(shanghai[.withdrawalsRoot])) == OrderedTrie.emptyRoot)
    let cancun = try Header(encoded: try #require(headers["Cancun"]))
    #expect(cancun[.blobGasUsed] == [] && cancun[.excessBlobGas] == [])
    #expect(
      Hex.encode(try #require(cancun[.parentBeaconBlockRoot]))
        == "0xb35bb80bc5f4e3d8f19b62f6274add24dca334db242546c3024403027aaf6412")
    // SHA-256 of nothing: a block without requests (EIP-7685).
    let prague = try Header(encoded: try #require(headers["Prague"]))
    #expect(
      Hex.encode(try #require(prague[.requestsHash]))
        == "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }

  @Test func `a changed field changes the hash`() throws {
    for known in try known() {
      let header = try Header(encoded: known.bytes)
      var changed = header
      changed.receiptsRoot = .zero
      #expect(changed.hash != known.hash)
      changed = header
      changed.tail = Array(header.tail.dropLast())
      #expect(header.tail.isEmpty || changed.hash != known.hash)
      changed = header
      changed.logsBloom = try Bloom(header.logsBloom.bytes.map { ~$0 })
      #expect(changed.hash != known.hash)
    }
  }

  /// With up to all eight appended fields, `blockAccessListHash` and `slotNumber` among them.
  @Test func `random headers agree with the rlp package`() throws {
    let seed = Int.random(in: 0..<1_000_000)
    let lines = try Python.lines("chain.py", ["headers", "--seed", "\(seed)", "--count", "1000"])
    #expect(lines.count == 1000)
    var counts: Set<Int> = []
    for line in lines {
      let part = line.split(separator: " ").map(String.init)
      let bytes = try Hex.decode(part[0])
      let header = try Header(encoded: bytes)
      #expect(header.encoded == bytes, "seed \(seed)")
      #expect(header.hash.hex == part[1], "seed \(seed)")
      counts.insert(header.tail.count)
    }
    #expect(counts == Set(0...8))
  }

  @Test func `a header of another shape is refused`() throws {
    let bytes = try #require(try known().last?.bytes)
    guard case .list(let items) = try RLP.decode(bytes) else { return }
    let more = RLPItem.bytes([UInt8](repeating: 1, count: 32))
    // Fewer and more fields than any known fork has; the announced ones are known.
    for count in [0, 1, 14] {
      #expect(throws: RLPError.self) {
        try Header(encoded: RLP.encode(.list(Array(items.prefix(count)))))
      }
    }
    _ = try Header(encoded: RLP.encode(.list(items + [more, .integer(7)])))
    #expect(throws: RLPError.self) {
      try Header(encoded: RLP.encode(.list(items + [more, .integer(7), more])))
    }
    #expect(throws: RLPError.self) { try Header(encoded: RLP.encode(.bytes(bytes))) }
    // Each field: a list, too long, and for what has a length, too short.
    let free = 12
    for index in items.indices {
      for wrong: RLPItem in [
        .list([]), .bytes([UInt8](repeating: 1, count: 257)), .bytes([1, 2, 3]),
      ] {
        var changed = items
        changed[index] = wrong
        let isInteger = [7, 8, 9, 10, 11, 15, 17, 18].contains(index)
        if index == free, wrong != .list([]) { continue }
        if isInteger, wrong == .bytes([1, 2, 3]) { continue }
        #expect(throws: (any Error).self, "field \(index)") {
          try Header(encoded: RLP.encode(.list(changed)))
        }
      }
    }
    // Quantities have no leading zero.
    for index in [7, 8, 9, 10, 11, 15, 17, 18] {
      var changed = items
      changed[index] = .bytes([0, 1])
      #expect(throws: RLPError.self) { try Header(encoded: RLP.encode(.list(changed))) }
    }
  }

  @Test func `changed bytes are refused or decode to themselves`() throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SeededRandom(seed: seed)
    let all = try known()
    for _ in 0..<2000 {
      let bytes = random.mutated(try #require(all.randomElement(using: &random)).bytes)
      if let header = try? Header(encoded: bytes) {
        #expect(header.encoded == bytes, "seed \(seed)")
      }
    }
  }
}
