/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): the same numbers for the same seed.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) {
    state = seed
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }

  /// `bytes` with one to four of them changed, inserted, removed or doubled, or cut short, or lengthened.
  public mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &self) {
      let place = Int.random(in: 0...max(0, bytes.count - 1), using: &self)
      switch Int.random(in: 0..<6, using: &self) {
      case 0 where !bytes.isEmpty: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &self)
      case 1 where !bytes.isEmpty: bytes[place] = UInt8.random(in: .min ... .max, using: &self)
      case 2 where !bytes.isEmpty: bytes.remove(at: place)
      case 3: bytes.removeLast(min(bytes.count, Int.random(in: 1...40, using: &self)))
      case 4:
        bytes += (0..<Int.random(in: 1...40, using: &self)).map { UInt8(truncatingIfNeeded: $0) }
      default:
        bytes.insert(UInt8.random(in: .min ... .max, using: &self), at: min(place, bytes.count))
      }
    }
    return bytes
  }
}
