import Credits
import Ethereum

/// SplitMix64: a seed names a run, so that a failure can be had again.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

  /// Numbers of every length up to `bits`, small ones and zeros included, since ties live there.
  mutating func wei(bits: Int) -> UInt256 {
    let bytes = below(bits / 8 + 1)
    var number = [UInt8](repeating: 0, count: bytes)
    for index in number.indices { number[index] = UInt8.random(in: 0...255, using: &self) }
    if bytes == 1 { number[0] %= 4 }
    return try! UInt256(bigEndian: number)
  }

  mutating func signedWei(bits: Int) -> SignedWei {
    SignedWei(wei(bits: bits), isNegative: below(3) == 0)
  }

  mutating func address() -> Address {
    try! Address((0..<20).map { _ in UInt8.random(in: 0...255, using: &self) })
  }
}
