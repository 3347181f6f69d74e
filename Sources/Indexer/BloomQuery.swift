import Keccak

/// What a block's bloom is asked: may it hold a log with *all* of these? The bits are worked out once, not per block.
///
/// Yellow Paper, section 4.3.1: each address and topic sets three of 2,048 bits, each the low 11 bits of a pair of bytes of its
/// Keccak hash. Bit 0 is the last bit of the 256 bytes.
struct BloomQuery: Sendable {
  private let bits: [Int]

  /// - Parameter values: addresses (20 bytes) and topics (32 bytes)
  init(allOf values: [[UInt8]]) {
    bits = values.flatMap { value in
      let hash = Keccak256.hash(value).bytes
      return [0, 2, 4].map { (Int(hash[$0]) << 8 | Int(hash[$0 + 1])) & 2_047 }
    }
  }

  /// False only when the block certainly has no such log. A bloom that is not 256 bytes excludes nothing.
  func mayMatch(_ bloom: [UInt8]) -> Bool {
    guard bloom.count == 256 else { return true }
    return bits.allSatisfy { bloom[255 - $0 / 8] & (1 << ($0 % 8)) != 0 }
  }
}
