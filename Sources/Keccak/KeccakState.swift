/// The Keccak-f[1600] permutation: 24 rounds over 25 lanes of 64 bits (FIPS 202, section 3).
///
/// The lanes are local variables so that they live in registers; the statements are short and typed because one
/// large expression takes the type checker minutes.
struct KeccakState {
  var a0: UInt64 = 0
  var a1: UInt64 = 0
  var a2: UInt64 = 0
  var a3: UInt64 = 0
  var a4: UInt64 = 0
  var a5: UInt64 = 0
  var a6: UInt64 = 0
  var a7: UInt64 = 0
  var a8: UInt64 = 0
  var a9: UInt64 = 0
  var a10: UInt64 = 0
  var a11: UInt64 = 0
  var a12: UInt64 = 0
  var a13: UInt64 = 0
  var a14: UInt64 = 0
  var a15: UInt64 = 0
  var a16: UInt64 = 0
  var a17: UInt64 = 0
  var a18: UInt64 = 0
  var a19: UInt64 = 0
  var a20: UInt64 = 0
  var a21: UInt64 = 0
  var a22: UInt64 = 0
  var a23: UInt64 = 0
  var a24: UInt64 = 0

  @inline(__always)
  private static func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 {
    (x &<< n) | (x &>> (64 &- n))
  }

  mutating func permute() {
    var a0: UInt64 = self.a0
    var a1: UInt64 = self.a1
    var a2: UInt64 = self.a2
    var a3: UInt64 = self.a3
    var a4: UInt64 = self.a4
    var a5: UInt64 = self.a5
    var a6: UInt64 = self.a6
    var a7: UInt64 = self.a7
    var a8: UInt64 = self.a8
    var a9: UInt64 = self.a9
    var a10: UInt64 = self.a10
    var a11: UInt64 = self.a11
    var a12: UInt64 = self.a12
    var a13: UInt64 = self.a13
    var a14: UInt64 = self.a14
    var a15: UInt64 = self.a15
    var a16: UInt64 = self.a16
    var a17: UInt64 = self.a17
    var a18: UInt64 = self.a18
    var a19: UInt64 = self.a19
    var a20: UInt64 = self.a20
    var a21: UInt64 = self.a21
    var a22: UInt64 = self.a22
    var a23: UInt64 = self.a23
    var a24: UInt64 = self.a24
    for round in 0..<24 {
      var c0: UInt64 = a0 ^ a5
      c0 ^= a10
      c0 ^= a15
      c0 ^= a20
      var c1: UInt64 = a1 ^ a6
      c1 ^= a11
      c1 ^= a16
      c1 ^= a21
      var c2: UInt64 = a2 ^ a7
      c2 ^= a12
      c2 ^= a17
      c2 ^= a22
      var c3: UInt64 = a3 ^ a8
      c3 ^= a13
      c3 ^= a18
      c3 ^= a23
      var c4: UInt64 = a4 ^ a9
      c4 ^= a14
      c4 ^= a19
      c4 ^= a24
      let d0: UInt64 = c4 ^ Self.rotate(c1, 1)
      let d1: UInt64 = c0 ^ Self.rotate(c2, 1)
      let d2: UInt64 = c1 ^ Self.rotate(c3, 1)
      let d3: UInt64 = c2 ^ Self.rotate(c4, 1)
      let d4: UInt64 = c3 ^ Self.rotate(c0, 1)
      let b0: UInt64 = a0 ^ d0
      let b10: UInt64 = Self.rotate(a1 ^ d1, 1)
      let b20: UInt64 = Self.rotate(a2 ^ d2, 62)
      let b5: UInt64 = Self.rotate(a3 ^ d3, 28)
      let b15: UInt64 = Self.rotate(a4 ^ d4, 27)
      let b16: UInt64 = Self.rotate(a5 ^ d0, 36)
      let b1: UInt64 = Self.rotate(a6 ^ d1, 44)
      let b11: UInt64 = Self.rotate(a7 ^ d2, 6)
      let b21: UInt64 = Self.rotate(a8 ^ d3, 55)
      let b6: UInt64 = Self.rotate(a9 ^ d4, 20)
      let b7: UInt64 = Self.rotate(a10 ^ d0, 3)
      let b17: UInt64 = Self.rotate(a11 ^ d1, 10)
      let b2: UInt64 = Self.rotate(a12 ^ d2, 43)
      let b12: UInt64 = Self.rotate(a13 ^ d3, 25)
      let b22: UInt64 = Self.rotate(a14 ^ d4, 39)
      let b23: UInt64 = Self.rotate(a15 ^ d0, 41)
      let b8: UInt64 = Self.rotate(a16 ^ d1, 45)
      let b18: UInt64 = Self.rotate(a17 ^ d2, 15)
      let b3: UInt64 = Self.rotate(a18 ^ d3, 21)
      let b13: UInt64 = Self.rotate(a19 ^ d4, 8)
      let b14: UInt64 = Self.rotate(a20 ^ d0, 18)
      let b24: UInt64 = Self.rotate(a21 ^ d1, 2)
      let b9: UInt64 = Self.rotate(a22 ^ d2, 61)
      let b19: UInt64 = Self.rotate(a23 ^ d3, 56)
      let b4: UInt64 = Self.rotate(a24 ^ d4, 14)
      a0 = b0 ^ (~b1 & b2)
      a1 = b1 ^ (~b2 & b3)
      a2 = b2 ^ (~b3 & b4)
      a3 = b3 ^ (~b4 & b0)
      a4 = b4 ^ (~b0 & b1)
      a5 = b5 ^ (~b6 & b7)
      a6 = b6 ^ (~b7 & b8)
      a7 = b7 ^ (~b8 & b9)
      a8 = b8 ^ (~b9 & b5)
      a9 = b9 ^ (~b5 & b6)
      a10 = b10 ^ (~b11 & b12)
      a11 = b11 ^ (~b12 & b13)
      a12 = b12 ^ (~b13 & b14)
      a13 = b13 ^ (~b14 & b10)
      a14 = b14 ^ (~b10 & b11)
      a15 = b15 ^ (~b16 & b17)
      a16 = b16 ^ (~b17 & b18)
      a17 = b17 ^ (~b18 & b19)
      a18 = b18 ^ (~b19 & b15)
      a19 = b19 ^ (~b15 & b16)
      a20 = b20 ^ (~b21 & b22)
      a21 = b21 ^ (~b22 & b23)
      a22 = b22 ^ (~b23 & b24)
      a23 = b23 ^ (~b24 & b20)
      a24 = b24 ^ (~b20 & b21)
      a0 ^= Self.roundConstants[round]
    }
    self.a0 = a0
    self.a1 = a1
    self.a2 = a2
    self.a3 = a3
    self.a4 = a4
    self.a5 = a5
    self.a6 = a6
    self.a7 = a7
    self.a8 = a8
    self.a9 = a9
    self.a10 = a10
    self.a11 = a11
    self.a12 = a12
    self.a13 = a13
    self.a14 = a14
    self.a15 = a15
    self.a16 = a16
    self.a17 = a17
    self.a18 = a18
    self.a19 = a19
    self.a20 = a20
    self.a21 = a21
    self.a22 = a22
    self.a23 = a23
    self.a24 = a24
  }

  private static let roundConstants: [24 of UInt64] = [
    0x0000_0000_0000_0001, 0x0000_0000_0000_8082, 0x8000_0000_0000_808a,
    0x8000_0000_8000_8000, 0x0000_0000_0000_808b, 0x0000_0000_8000_0001,
    0x8000_0000_8000_8081, 0x8000_0000_0000_8009, 0x0000_0000_0000_008a,
    0x0000_0000_0000_0088, 0x0000_0000_8000_8009, 0x0000_0000_8000_000a,
    0x0000_0000_8000_808b, 0x8000_0000_0000_008b, 0x8000_0000_0000_8089,
    0x8000_0000_0000_8003, 0x8000_0000_0000_8002, 0x8000_0000_0000_0080,
    0x0000_0000_0000_800a, 0x8000_0000_8000_000a, 0x8000_0000_8000_8081,
    0x8000_0000_0000_8080, 0x0000_0000_8000_0001, 0x8000_0000_8000_8008,
  ]

  /// Xors a block of 136 bytes (17 little-endian words) into the state.
  @inline(__always)
  mutating func absorb(_ block: UnsafeRawPointer) {
    unsafe a0 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
    unsafe a1 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    unsafe a2 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    unsafe a3 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    unsafe a4 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 32, as: UInt64.self))
    unsafe a5 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 40, as: UInt64.self))
    unsafe a6 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 48, as: UInt64.self))
    unsafe a7 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 56, as: UInt64.self))
    unsafe a8 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 64, as: UInt64.self))
    unsafe a9 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 72, as: UInt64.self))
    unsafe a10 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 80, as: UInt64.self))
    unsafe a11 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 88, as: UInt64.self))
    unsafe a12 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 96, as: UInt64.self))
    unsafe a13 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 104, as: UInt64.self))
    unsafe a14 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 112, as: UInt64.self))
    unsafe a15 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 120, as: UInt64.self))
    unsafe a16 ^= UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 128, as: UInt64.self))
    permute()
  }
}
