import Ethereum
import Testing

@Suite struct WordsTests {
  /// The addresses of EIP-55's own test cases.
  @Test(arguments: [
    "0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
  ])
  func `EIP-55 checksums`(text: String) throws {
    #expect(try Address(text).checksummed == text)
    #expect(try Address(text.lowercased()).checksummed == text)
  }

  @Test func `a wrong checksum or shape is refused`() {
    #expect(throws: Address.ParsingError.self) {
      try Address("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
    }
    for text in [
      "", "0x", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
      "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", "0xzz",
    ] {
      #expect(throws: Address.ParsingError.self) { try Address(text) }
    }
  }

  @Test func `UInt256 text round trips and refuses what does not fit`() throws {
    let greatest =
      "115792089237316195423570985008687907853269984665640564039457584007913129639935"
    #expect(UInt256(decimal: greatest) == .max)
    #expect(UInt256.max.description == greatest)
    #expect(
      UInt256(
        decimal: "115792089237316195423570985008687907853269984665640564039457584007913129639936")
        == nil)
    for text in ["", "-1", "+1", "1.0", " 1", "1e3", "0x1", "٣"] {
      #expect(UInt256(decimal: text) == nil, "\(text)")
    }
    #expect(UInt256(quantity: "0x0") == 0)
    #expect(UInt256(quantity: "0x400") == 1024)
    for text in ["0x", "0x0400", "400", "0x0x1", "0x" + String(repeating: "f", count: 65)] {
      #expect(UInt256(quantity: text) == nil, "\(text)")
    }
    #expect(UInt256(1024).quantity == "0x400")
    #expect(UInt256(1_000_000_000_000_000_000).description == "1000000000000000000")
  }

  @Test func `arithmetic is checked`() throws {
    #expect(throws: UInt256.ArithmeticError.overflow) { try UInt256.max.adding(1) }
    #expect(throws: UInt256.ArithmeticError.belowZero) { try UInt256.zero.subtracting(1) }
    #expect(throws: UInt256.ArithmeticError.overflow) { try UInt256.max.multiplied(by: 2) }
    #expect(throws: UInt256.ArithmeticError.divisionByZero) {
      try UInt256.one.quotientAndRemainder(dividingBy: 0)
    }
    let (quotient, remainder) = try UInt256.max.multiplied(by: .max, dividedBy: .max)
    #expect(quotient == .max && remainder == 0)
  }

  @Test func `words of another length or with other digits are refused`() throws {
    for count in [0, 1, 19, 21, 31, 33, 64] {
      let bytes = [UInt8](repeating: 1, count: count)
      #expect(throws: Hex.DecodingError.self) { try Address(bytes) }
      #expect(throws: Hex.DecodingError.self) { try Hash32(bytes) }
      #expect(throws: Hex.DecodingError.self) { try Hash32(hex: Hex.encode(bytes)) }
    }
    for text in [
      "", "0", "0X00", "00", "0x0", "0xgg", "0x 0", "0x+1", "0x\u{ff11}\u{ff11}", "x0",
      "0x0\u{301}0",
    ] {
      #expect(throws: Hex.DecodingError.self, "\(text)") { try Hex.decode(text) }
      #expect(throws: Hex.DecodingError.self) { try Hash32(hex: text) }
      #expect(throws: Address.ParsingError.self) { try Address(text) }
    }
    #expect(try Hex.decode("0x") == [])
    #expect(try Hex.decode("0xAb") == [0xab])
    #expect(throws: Hex.DecodingError.self) {
      try UInt256(bigEndian: [UInt8](repeating: 0, count: 33))
    }
  }

  @Test func `words are ordered as their bytes`() throws {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<500 {
      let (a, b) = (random.bytes(32), random.bytes(32))
      #expect((try Hash32(a) < Hash32(b)) == a.lexicographicallyPrecedes(b))
      #expect((try UInt256(bigEndian: a) < UInt256(bigEndian: b)) == a.lexicographicallyPrecedes(b))
      let (c, d) = (Array(a.prefix(20)), Array(b.prefix(20)))
      #expect((try Address(c) < Address(d)) == c.lexicographicallyPrecedes(d))
      #expect(try Hash32(a).bytes == a && Address(c).bytes == c)
    }
  }
}

extension SystemRandomNumberGenerator {
  fileprivate mutating func bytes(_ count: Int) -> [UInt8] {
    // Few values, so that the first difference is anywhere.
    (0..<count).map { _ in UInt8.random(in: 0...1, using: &self) }
  }
}
