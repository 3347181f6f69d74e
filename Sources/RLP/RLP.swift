/// Recursive Length Prefix: Ethereum's serialisation (Yellow Paper, appendix B).
public enum RLP {
  /// Decoding refuses lists nested deeper than this. What is encoded was built by this program.
  public static let depthLimit = 64

  /// The encoding of an item, in one buffer of exactly its size.
  public static func encode(_ item: RLPItem) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(encodedLength(item))
    append(item, to: &output)
    return output
  }

  /// The encoding of a list whose items are encoded already.
  public static func encodeList(ofEncoded items: [[UInt8]]) -> [UInt8] {
    let payload = items.reduce(0) { $0 + $1.count }
    var output: [UInt8] = []
    output.reserveCapacity(headerLength(payload) + payload)
    appendHeader(payload, short: 0xc0, to: &output)
    for item in items { output.append(contentsOf: item) }
    return output
  }

  /// How many bytes the encoding of an item takes.
  public static func encodedLength(_ item: RLPItem) -> Int {
    switch item {
    case .bytes(let bytes):
      if bytes.count == 1, bytes[0] < 0x80 { return 1 }
      return headerLength(bytes.count) + bytes.count
    case .list(let items):
      let payload = items.reduce(0) { $0 + encodedLength($1) }
      return headerLength(payload) + payload
    }
  }

  /// Decodes one item that must take all of `input`, strictly: every form but the canonical one is refused.
  public static func decode(_ input: [UInt8]) throws(RLPError) -> RLPItem {
    let view = try RLPView(input)
    return try view.item()
  }

  private static func headerLength(_ payload: Int) -> Int {
    payload < 56 ? 1 : 1 + lengthBytes(payload)
  }

  private static func lengthBytes(_ length: Int) -> Int {
    (Int.bitWidth - length.leadingZeroBitCount + 7) / 8
  }

  private static func append(_ item: RLPItem, to output: inout [UInt8]) {
    switch item {
    case .bytes(let bytes):
      if bytes.count == 1, bytes[0] < 0x80 {
        output.append(bytes[0])
      } else {
        appendHeader(bytes.count, short: 0x80, to: &output)
        output.append(contentsOf: bytes)
      }
    case .list(let items):
      appendHeader(items.reduce(0) { $0 + encodedLength($1) }, short: 0xc0, to: &output)
      for item in items { append(item, to: &output) }
    }
  }

  private static func appendHeader(_ payload: Int, short: UInt8, to output: inout [UInt8]) {
    if payload < 56 {
      output.append(short + UInt8(payload))
      return
    }
    let count = lengthBytes(payload)
    output.append(short + 55 + UInt8(count))
    for index in stride(from: count - 1, through: 0, by: -1) {
      output.append(UInt8(truncatingIfNeeded: payload >> (8 * index)))
    }
  }
}
