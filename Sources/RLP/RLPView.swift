/// An item inside encoded bytes: no copy, only ranges. Its header is checked when it is made, its contents when they are asked for.
public struct RLPView: Sendable {
  /// The whole input that offsets refer to.
  public let input: [UInt8]
  /// The item with its header.
  public let range: Range<Int>
  /// The item without its header.
  public let payload: Range<Int>
  public let isList: Bool

  /// The item that takes all of `input`.
  public init(_ input: [UInt8]) throws(RLPError) {
    self = try RLPView(input, at: 0, end: input.count)
    guard range.upperBound == input.count else {
      throw .trailing(offset: range.upperBound, count: input.count - range.upperBound)
    }
  }

  init(_ input: [UInt8], at start: Int, end: Int) throws(RLPError) {
    guard start < end else { throw .truncated(offset: start, need: 1, have: 0) }
    let prefix = input[start]
    let header: Int
    let length: Int
    switch prefix {
    case 0..<0x80: (header, length) = (0, 1)
    case 0x80...0xb7: (header, length) = (1, Int(prefix) - 0x80)
    case 0xb8...0xbf:
      (header, length) = try Self.longLength(input, at: start, end: end, base: 0xb7)
    case 0xc0...0xf7: (header, length) = (1, Int(prefix) - 0xc0)
    default: (header, length) = try Self.longLength(input, at: start, end: end, base: 0xf7)
    }
    // header ≤ 9 and start + header ≤ end were checked, so the subtraction cannot overflow.
    guard length <= end - start - header else {
      throw .truncated(offset: start, need: length, have: max(0, end - start - header))
    }
    if prefix == 0x81, input[start + 1] < 0x80 { throw .nonMinimalByte(offset: start) }
    self.input = input
    self.range = start..<(start + header + length)
    self.payload = (start + header)..<(start + header + length)
    self.isList = prefix >= 0xc0
  }

  private static func longLength(
    _ input: [UInt8], at start: Int, end: Int, base: UInt8
  ) throws(RLPError) -> (header: Int, length: Int) {
    let count = Int(input[start] - base)
    guard count <= end - start - 1 else {
      throw .truncated(offset: start, need: count, have: end - start - 1)
    }
    guard input[start + 1] != 0 else { throw .leadingZeroInLength(offset: start) }
    var length: UInt64 = 0
    for index in 0..<count { length = length << 8 | UInt64(input[start + 1 + index]) }
    guard length >= 56 else { throw .nonMinimalLength(offset: start) }
    guard let exact = Int(exactly: length) else { throw .lengthOverflow(offset: start) }
    return (1 + count, exact)
  }

  /// The bytes of a string item.
  public func bytes() throws(RLPError) -> ArraySlice<UInt8> {
    guard !isList else { throw .unexpectedKind(offset: range.lowerBound, wanted: "string") }
    return input[payload]
  }

  /// The items of a list.
  public func items() throws(RLPError) -> [RLPView] {
    guard isList else { throw .unexpectedKind(offset: range.lowerBound, wanted: "list") }
    var items: [RLPView] = []
    var offset = payload.lowerBound
    while offset < payload.upperBound {
      let item = try RLPView(input, at: offset, end: payload.upperBound)
      items.append(item)
      offset = item.range.upperBound
    }
    return items
  }

  /// A canonical integer of at most eight bytes.
  public func integer() throws(RLPError) -> UInt64 {
    var value: UInt64 = 0
    for byte in try integerBytes(atMost: 8) { value = value << 8 | UInt64(byte) }
    return value
  }

  /// The bytes of a canonical integer: no leading zero, at most `limit` of them.
  public func integerBytes(atMost limit: Int) throws(RLPError) -> ArraySlice<UInt8> {
    let bytes = try bytes()
    guard bytes.count <= limit else {
      throw .badInteger(
        offset: range.lowerBound, reason: "takes \(bytes.count) bytes, more than \(limit)")
    }
    guard bytes.first != 0 else {
      throw .badInteger(offset: range.lowerBound, reason: "begins with a zero byte")
    }
    return bytes
  }

  /// The tree of objects below this item. Depth is bounded by `RLP.depthLimit`, so input cannot exhaust the stack.
  public func item() throws(RLPError) -> RLPItem {
    try item(depth: 0)
  }

  private func item(depth: Int) throws(RLPError) -> RLPItem {
    guard isList else { return .bytes(Array(input[payload])) }
    guard depth < RLP.depthLimit else {
      throw .tooDeep(offset: range.lowerBound, limit: RLP.depthLimit)
    }
    var children: [RLPItem] = []
    for view in try items() { children.append(try view.item(depth: depth + 1)) }
    return .list(children)
  }
}
