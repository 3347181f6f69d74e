/// Why bytes are not the canonical RLP of anything. Offsets are from the start of the input.
public enum RLPError: Error, Equatable, Sendable {
  /// The item at `offset` needs `need` bytes; `have` are left.
  case truncated(offset: Int, need: Int, have: Int)
  /// Bytes follow the item.
  case trailing(offset: Int, count: Int)
  /// A single byte below 0x80 was encoded with a prefix.
  case nonMinimalByte(offset: Int)
  /// A length is written in the long form although the short form holds it.
  case nonMinimalLength(offset: Int)
  /// A length begins with a zero byte.
  case leadingZeroInLength(offset: Int)
  /// A length does not fit this machine's integers.
  case lengthOverflow(offset: Int)
  /// Lists are nested deeper than the limit.
  case tooDeep(offset: Int, limit: Int)
  /// A string was found where a list is due, or the other way round.
  case unexpectedKind(offset: Int, wanted: String)
  /// An integer begins with a zero byte or is longer than its type.
  case badInteger(offset: Int, reason: String)
  /// A list holds another number of items than it must.
  case wrongCount(offset: Int, wanted: String, found: Int)
}

extension RLPError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .truncated(let offset, let need, let have):
      "RLP item at offset \(offset) needs \(need) bytes and \(have) are left"
    case .trailing(let offset, let count):
      "\(count) bytes follow the RLP item, from offset \(offset)"
    case .nonMinimalByte(let offset):
      "RLP byte at offset \(offset) has a prefix although it is below 0x80"
    case .nonMinimalLength(let offset):
      "RLP length at offset \(offset) is in the long form although the short form holds it"
    case .leadingZeroInLength(let offset): "RLP length at offset \(offset) begins with zero"
    case .lengthOverflow(let offset): "RLP length at offset \(offset) is beyond any input"
    case .tooDeep(let offset, let limit):
      "RLP list at offset \(offset) is nested deeper than \(limit)"
    case .unexpectedKind(let offset, let wanted): "RLP item at offset \(offset) is not a \(wanted)"
    case .badInteger(let offset, let reason): "RLP integer at offset \(offset) \(reason)"
    case .wrongCount(let offset, let wanted, let found):
      "RLP list at offset \(offset) holds \(found) items, not \(wanted)"
    }
  }
}
