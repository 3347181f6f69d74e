/// Cuts a stream of bytes into lines; holds no more than one line of `limit` bytes, whatever arrives.
struct LineSplitter {
  enum Line: Equatable {
    case whole([UInt8])
    /// A line above the limit: its bytes are gone.
    case tooLong
  }

  let limit: Int
  private var partial: [UInt8] = []
  private var isSkipping = false

  init(limit: Int = 1 << 16) { self.limit = limit }

  /// The lines that these bytes complete; empty ones are left out.
  mutating func received(_ bytes: some Sequence<UInt8>) -> [Line] {
    var lines: [Line] = []
    for byte in bytes {
      if byte == UInt8(ascii: "\n") {
        if let line = finish() { lines.append(line) }
      } else if partial.count < limit {
        partial.append(byte)
      } else {
        isSkipping = true
      }
    }
    return lines
  }

  /// The last line, when the stream ends without a line feed.
  mutating func finish() -> Line? {
    defer {
      partial.removeAll(keepingCapacity: true)
      isSkipping = false
    }
    if isSkipping { return .tooLong }
    return partial.allSatisfy { [0x20, 0x09, 0x0d].contains($0) } ? nil : .whole(partial)
  }
}
