import Credits
import Ethereum
import TestSupport
import Testing

@Suite struct AmountTests {
  static let largest =
    "115792089237316195423570985008687907853269984665640564039457.584007913129639935"

  @Test(arguments: [
    ("0", "0"), ("1", "1000000000000000000"), ("0.002", "2000000000000000"),
    ("0.000000000000000001", "1"), ("12.5", "12500000000000000000"),
    ("007.10", "7100000000000000000"),
    (largest, UInt256.max.description),
    (
      "000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
      "1000000000000000000"
    ),
  ]) func `an amount of PRLX is exactly so many wei`(prlx: String, wei: String) throws {
    #expect(try PRLX.wei(prlx).description == wei)
  }

  @Test(arguments: [
    ("", AmountError.empty), (".5", .notDecimal(".5")), ("5.", .notDecimal("5.")),
    (".", .notDecimal(".")), ("1.2.3", .notDecimal("1.2.3")), ("-1", .notDecimal("-1")),
    ("+1", .notDecimal("+1")), ("1e3", .notDecimal("1e3")), ("1,5", .notDecimal("1,5")),
    (" 1", .notDecimal(" 1")), ("0x10", .notDecimal("0x10")), ("١", .notDecimal("١")),
    ("1_000", .notDecimal("1_000")), ("NaN", .notDecimal("NaN")),
    ("0.0000000000000000001", .tooManyDecimals("0.0000000000000000001", decimals: 19)),
    ("0.0000000000000000000", .tooManyDecimals("0.0000000000000000000", decimals: 19)),
    (
      "115792089237316195423570985008687907853269984665640564039457.584007913129639936",
      .tooLarge("115792089237316195423570985008687907853269984665640564039457.584007913129639936")
    ),
  ]) func `a text that is no amount is refused`(text: String, error: AmountError) {
    #expect(throws: error) { try PRLX.wei(text) }
  }

  @Test func `a refusal names the text and what to type`() {
    #expect(AmountError.notDecimal("1e3").description.contains("1e3"))
    #expect(AmountError.notDecimal("1e3").description.contains("0.002"))
  }

  @Test func `a long hostile text is not echoed whole`() {
    let text = String(repeating: "9", count: 1_000_000) + "x"
    #expect { try PRLX.wei(text) } throws: { "\($0)".utf8.count < 400 }
  }

  @Test(arguments: [
    ("0", "0"), ("1", "0.000000000000000001"), ("2000000000000000", "0.002"),
    ("1000000000000000000", "1"), ("100000000000000000000000000", "100000000"),
    ("10500000000000000000", "10.5"), (UInt256.max.description, largest),
  ]) func `wei are written as PRLX without trailing zeros`(wei: String, prlx: String) throws {
    #expect(PRLX.text(try #require(UInt256(decimal: wei))) == prlx)
  }

  @Test func `text and wei are inverse over random amounts`() throws {
    var random = SeededRandom(seed: 1)
    for _ in 0..<2_000 {
      let wei = random.wei(bits: 256)
      #expect(try PRLX.wei(PRLX.text(wei)) == wei)
    }
  }
}

@Suite struct SignedWeiTests {
  static func number(_ text: String) throws -> SignedWei { try #require(SignedWei(text)) }

  @Test(arguments: [
    ("5", "3", "8", "2"), ("5", "-3", "2", "8"), ("-5", "3", "-2", "-8"), ("-5", "-3", "-8", "-2"),
    ("3", "5", "8", "-2"), ("3", "-3", "0", "6"), ("0", "0", "0", "0"), ("0", "7", "7", "-7"),
  ]) func `signed amounts add and subtract`(a: String, b: String, sum: String, difference: String)
    throws
  {
    let (a, b) = (try Self.number(a), try Self.number(b))
    #expect(try a.adding(b).description == sum)
    #expect(try a.subtracting(b).description == difference)
  }

  @Test func `there is one zero`() {
    #expect(SignedWei("-0") == .zero)
    #expect(SignedWei("-0")?.description == "0")
    #expect(SignedWei(.zero, isNegative: true) == .zero)
  }

  @Test func `an overflow throws and the opposite signs at the edge do not`() throws {
    let largest = SignedWei(.max)
    #expect(throws: (any Error).self) { try largest.adding(SignedWei(.one)) }
    #expect(throws: (any Error).self) { try largest.negated.subtracting(SignedWei(.one)) }
    #expect(try largest.adding(largest.negated) == .zero)
  }

  @Test func `signed amounts are ordered`() throws {
    let texts = ["-9", "-5", "0", "3", "12"]
    let numbers = try texts.map(Self.number)
    #expect(numbers.reversed().sorted() == numbers)
  }

  @Test(arguments: ["", "-", "+1", "1.0", "1e3", " 1", "--1", "1-", UInt256.max.description + "0"])
  func `a text that is no whole number is refused`(text: String) {
    #expect(SignedWei(text) == nil)
  }

  @Test func `text and amount are inverse`() {
    for text in ["0", "1", "-1", UInt256.max.description, "-" + UInt256.max.description] {
      #expect(SignedWei(text)?.description == text)
    }
  }
}
