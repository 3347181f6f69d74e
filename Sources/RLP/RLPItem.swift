/// An RLP item: a string of bytes or a list of items (Yellow Paper, appendix B).
public enum RLPItem: Equatable, Sendable {
  case bytes([UInt8])
  case list([RLPItem])

  /// A non-negative integer as RLP has it: big-endian, without leading zeros, zero as the empty string.
  public static func integer(_ value: UInt64) -> RLPItem {
    var bytes: [UInt8] = []
    var shift = 56
    while shift >= 0 {
      let byte = UInt8(truncatingIfNeeded: value >> UInt64(shift))
      if byte != 0 || !bytes.isEmpty { bytes.append(byte) }
      shift -= 8
    }
    return .bytes(bytes)
  }
}
