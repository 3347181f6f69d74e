/// Keccak-256 as Ethereum uses it: the original padding (0x01), not SHA3-256's (0x06). Rate 136 bytes, output 32.
///
/// One shot: `Keccak256.hash(bytes)`. Streaming: `update` any number of times, then `finalize`. Nothing is allocated.
/// Source: the Keccak reference, version 3.0; Yellow Paper, section 3.
public struct Keccak256: Sendable {
  /// A 32-byte hash value, inline.
  public struct Digest: Hashable, Sendable {
    // In memory order: comparing and hashing them is comparing and hashing the bytes. Not SIMD4, whose alignment is more
    // than the memory of asynchronous functions has.
    let first, second, third, fourth: UInt64

    /// The 32 bytes, in an array of their own.
    public var bytes: [UInt8] { unsafe withUnsafeBytes { unsafe Array($0) } }

    /// Gives the 32 bytes to `body`, in place.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
      try unsafe Swift.withUnsafeBytes(of: self, body)
    }
  }

  private static let rate = 136

  private var state = KeccakState()
  private var pending: [136 of UInt8] = .init(repeating: 0)
  private var pendingCount = 0

  public init() {}

  /// Hashes `bytes` in one go.
  public static func hash(_ bytes: [UInt8]) -> Digest {
    unsafe bytes.withUnsafeBytes { unsafe hash($0) }
  }

  /// Hashes a slice in one go.
  public static func hash(_ bytes: ArraySlice<UInt8>) -> Digest {
    unsafe bytes.withUnsafeBytes { unsafe hash($0) }
  }

  /// Hashes a buffer in one go.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
    var hasher = Keccak256()
    unsafe hasher.update(bytes)
    return hasher.finalize()
  }

  /// Adds bytes to the message.
  public mutating func update(_ bytes: [UInt8]) {
    unsafe bytes.withUnsafeBytes { unsafe update($0) }
  }

  /// Adds the bytes of a slice to the message.
  public mutating func update(_ bytes: ArraySlice<UInt8>) {
    unsafe bytes.withUnsafeBytes { unsafe update($0) }
  }

  /// Adds the bytes of a buffer to the message.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var rest = unsafe bytes[...]
    if pendingCount > 0 {
      let taken = unsafe min(Self.rate - pendingCount, rest.count)
      unsafe append(rest.prefix(taken))
      unsafe rest = rest.dropFirst(taken)
      guard pendingCount == Self.rate else { return }
      absorbPending()
    }
    while unsafe rest.count >= Self.rate {
      // In bounds: at least one whole block is left, and a rebased buffer of that size has a base address.
      if let block = unsafe UnsafeRawBufferPointer(rebasing: rest.prefix(Self.rate)).baseAddress {
        unsafe state.absorb(block)
      }
      unsafe rest = rest.dropFirst(Self.rate)
    }
    unsafe append(rest)
  }

  /// Pads, and returns the hash. The value may not be used for another message.
  public consuming func finalize() -> Digest {
    for index in pendingCount..<Self.rate { pending[index] = 0 }
    pending[pendingCount] ^= 0x01
    pending[Self.rate - 1] ^= 0x80
    absorbPending()
    return Digest(
      first: state.a0.littleEndian, second: state.a1.littleEndian,
      third: state.a2.littleEndian, fourth: state.a3.littleEndian)
  }

  private mutating func append(_ bytes: Slice<UnsafeRawBufferPointer>) {
    for index in unsafe bytes.indices {
      pending[pendingCount] = unsafe bytes[index]
      pendingCount += 1
    }
  }

  private mutating func absorbPending() {
    unsafe withUnsafeBytes(of: pending) { buffer in
      if let block = buffer.baseAddress { unsafe state.absorb(block) }
    }
    pendingCount = 0
  }
}
