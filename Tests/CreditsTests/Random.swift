import Credits
import Ethereum
import TestSupport

extension SeededRandom {
  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

  /// Numbers of every length up to `bits`, small ones and zeros included, since ties live there.
  mutating func wei(bits: Int) -> UInt256 {
    let bytes = below(bits / 8 + 1)
    var number = (0..<bytes).map { _ in UInt8.random(in: 0...255, using: &self) }
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

extension Sequence<UInt8> {
  var hex: String {
    map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
