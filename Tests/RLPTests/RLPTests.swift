import RLP
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
}
