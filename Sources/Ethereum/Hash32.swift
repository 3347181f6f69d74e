import Keccak

/// A 32-byte hash or word, compared by its bytes.
public struct Hash32: Hashable, Sendable {
  // Big-endian words, so that comparing them is comparing the bytes.
  private let words: FourWords

  public static let zero = Hash32(words: FourWords(repeating: 0))

  private init(words: FourWords) {
    self.words = words
  }

  /// The 32 bytes given.
  public init(_ bytes: some Collection<UInt8>) throws(Hex.DecodingError) {
    guard bytes.count == 32 else { throw .wrongLength(wanted: 32, found: bytes.count) }
    var words = FourWords(repeating: 0)
    for (index, byte) in bytes.enumerated() {
      words[index / 8] = words[index / 8] << 8 | UInt64(byte)
    }
    self.words = words
  }

  /// `0x` and 64 digits.
  public init(hex: some StringProtocol) throws(Hex.DecodingError) {
    try self.init(Hex.decode(hex, count: 32))
  }

  public init(_ digest: Keccak256.Digest) {
    self.words = unsafe digest.withUnsafeBytes { buffer in
      var words = FourWords(repeating: 0)
      for index in 0..<4 {
        words[index] = unsafe UInt64(
          bigEndian: buffer.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
      }
      return words
    }
  }

  /// The Keccak-256 hash of bytes.
  public static func keccak(_ bytes: [UInt8]) -> Hash32 { Hash32(Keccak256.hash(bytes)) }
  public static func keccak(_ bytes: ArraySlice<UInt8>) -> Hash32 { Hash32(Keccak256.hash(bytes)) }

  /// The 32 bytes.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    for word in 0..<4 {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: words[word] >> UInt64(shift)))
      }
    }
    return bytes
  }

  /// `0x` and 64 lower-case digits.
  public var hex: String { Hex.encode(bytes) }
}

extension Hash32: Comparable {
  public static func < (left: Hash32, right: Hash32) -> Bool {
    for index in 0..<4 where left.words[index] != right.words[index] {
      return left.words[index] < right.words[index]
    }
    return false
  }
}

extension Hash32: CustomStringConvertible {
  public var description: String { hex }
}
