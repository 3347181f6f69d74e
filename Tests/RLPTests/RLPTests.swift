import RLP
import TestSupport
import Testing

@Suite struct RLPTests {
  /// Yellow Paper, appendix B, and the ethereum/tests RLP vectors (rlptest.json).
  static let vectors: [(RLPItem, [UInt8])] = [
    (.bytes([]), [0x80]),
    (.bytes([0x00]), [0x00]),
    (.bytes([0x7f]), [0x7f]),
    (.bytes([0x80]), [0x81, 0x80]),
    (.bytes(Array("dog".utf8)), [0x83, 0x64, 0x6f, 0x67]),
    (.list([]), [0xc0]),
    (
      .list([.bytes(Array("cat".utf8)), .bytes(Array("dog".utf8))]),
      [0xc8, 0x83, 0x63, 0x61, 0x74, 0x83, 0x64, 0x6f, 0x67]
    ),
    (.integer(15), [0x0f]),
    (.integer(1024), [0x82, 0x04, 0x00]),
    (
      .list([.list([]), .list([.list([])]), .list([.list([]), .list([.list([])])])]),
      [0xc7, 0xc0, 0xc1, 0xc0, 0xc3, 0xc0, 0xc1, 0xc0]
    ),
    (
      .bytes(Array("Lorem ipsum dolor sit amet, consectetur adipisicing elit".utf8)),
      [0xb8, 0x38] + Array("Lorem ipsum dolor sit amet, consectetur adipisicing elit".utf8)
    ),
  ]

  @Test func `published vectors encode and decode`() throws {
    for (item, bytes) in Self.vectors {
      #expect(RLP.encode(item) == bytes)
      #expect(try RLP.decode(bytes) == item)
    }
  }

  @Test(
    arguments: [
      ([0x81, 0x7f], RLPError.nonMinimalByte(offset: 0)),
      ([0xb8, 0x01, 0x80], .nonMinimalLength(offset: 0)),
      ([0xb9, 0x00, 0x38] + [UInt8](repeating: 1, count: 56), .leadingZeroInLength(offset: 0)),
      ([0x83, 0x01], .truncated(offset: 0, need: 3, have: 1)),
      ([0xc2, 0x83, 0x01], .truncated(offset: 1, need: 3, have: 1)),
      ([0x01, 0x02], .trailing(offset: 1, count: 1)),
      ([], .truncated(offset: 0, need: 1, have: 0)),
      ([0xb8], .truncated(offset: 0, need: 1, have: 0)),
      ([0xbf] + [UInt8](repeating: 0xff, count: 8), .lengthOverflow(offset: 0)),
      ([0xf8, 0x01, 0x80], .nonMinimalLength(offset: 0)),
    ] as [([UInt8], RLPError)])
  func `every other form is refused, with what and where`(bytes: [UInt8], wanted: RLPError) {
    #expect(throws: wanted) { try RLP.decode(bytes) }
  }

  @Test func `nesting is bounded`() throws {
    func nested(_ depth: Int) -> [UInt8] {
      var bytes: [UInt8] = [0xc0]
      for _ in 1..<depth { bytes = RLP.encodeList(ofEncoded: [bytes]) }
      return bytes
    }
    _ = try RLP.decode(nested(RLP.depthLimit))
    #expect(throws: RLPError.self) { try RLP.decode(nested(RLP.depthLimit + 1)) }
    #expect(throws: RLPError.self) { try RLP.decode(nested(100_000)) }
  }

  @Test func `integers refuse leading zeros and excess`() throws {
    #expect(try RLPView([0x82, 0x04, 0x00]).integer() == 1024)
    #expect(throws: RLPError.self) { try RLPView([0x00]).integer() }
    #expect(throws: RLPError.self) { try RLPView([0x82, 0x00, 0x01]).integer() }
    #expect(throws: RLPError.self) {
      try RLPView([0x89] + [UInt8](repeating: 1, count: 9)).integer()
    }
  }

  /// ethereum/tests, RLPTests/invalidRLPTest.json, all of it.
  @Test(arguments: [
    "bf0f000000000000021111", "ff0f000000000000021111", "f80180", "f80100",
    "b9002100dc2b275d0f74e8a53e6f4ec61b27f24278820be3f82ea2110e582081b0565df0",
    "f861f83eb9002100dc2b275d0f74e8a53e6f4ec61b27f24278820be3f82ea2110e582081b0565df027b90015002d5ef8"
      + "325ae4d034df55d4b58d0dfba64d61ddd17be00000b9001a00dae30907045a2f66fa36f2bb8aa9029cbb0b8a7b3b5c43"
      + "5ab331",
    "8100", "8101", "817F",
    "b90040000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d"
      + "2e2f303132333435363738393a3b3c3d3e3f",
    "b800",
    "fb00000040000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b"
      + "2c2d2e2f303132333435363738393a3b3c3d3e3f",
    "f800", "b81000112233445566778899aabbccddeeff", "b801ff",
    "f810000102030405060708090a0b0c0d0e0f",
    "f803112233", "", "81", "a0000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
    "c5010203", "e201020304050607", "ba010000aabbccddeeff", "b840ffeeddccbbaa99887766554433221100",
    "f90180", "ffffffffffffffffff0001020304050607",
  ])
  func `the published invalid encodings are refused`(hex: String) throws {
    let digits = Array(hex)
    let bytes = try stride(from: 0, to: digits.count, by: 2).map { index in
      try #require(UInt8(String(digits[index...index + 1]), radix: 16))
    }
    #expect(throws: RLPError.self) { try RLP.decode(bytes) }
  }

  private func item(_ random: inout SeededRandom, depth: Int = 0) -> RLPItem {
    if depth > 4 || Int.random(in: 0..<10, using: &random) < 6 {
      let count =
        [0, 1, 1, 2, 20, 32, 55, 56, 57, 255, 256, 300].randomElement(using: &random) ?? 0
      return .bytes((0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) })
    }
    return .list(
      (0..<Int.random(in: 0...6, using: &random)).map { _ in item(&random, depth: depth + 1) })
  }

  @Test func `changed, cut and lengthened encodings are refused or encode to themselves`() throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SeededRandom(seed: seed)
    var accepted = 0
    for _ in 0..<5000 {
      let value = item(&random)
      let bytes = RLP.encode(value)
      #expect(bytes.count == RLP.encodedLength(value))
      #expect(try RLP.decode(bytes) == value, "seed \(seed)")
      let changed = random.mutated(bytes)
      guard let decoded = try? RLP.decode(changed) else { continue }
      accepted += 1
      #expect(RLP.encode(decoded) == changed, "seed \(seed): \(changed)")
    }
    #expect(accepted > 0)
  }

  @Test func `random bytes never trap`() {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SeededRandom(seed: seed)
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0...12, using: &random)).map { _ in
        UInt8.random(in: .min ... .max, using: &random)
      }
      // Long forms are rare by chance.
      if Bool.random(using: &random), !bytes.isEmpty { bytes[0] |= 0xb8 }
      if let decoded = try? RLP.decode(bytes) {
        #expect(RLP.encode(decoded) == bytes, "seed \(seed): \(bytes)")
      }
    }
  }

  @Test func `the list of encoded items is the encoding of the list`() {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SeededRandom(seed: seed)
    for _ in 0..<200 {
      let items = (0..<Int.random(in: 0...60, using: &random)).map { _ in item(&random, depth: 4) }
      #expect(RLP.encodeList(ofEncoded: items.map(RLP.encode)) == RLP.encode(.list(items)))
    }
  }
}
