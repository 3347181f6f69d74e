import JSON
import TestSupport
import Testing

@Suite struct JSONTests {
  @Test func `values, escapes and numbers keep their text`() throws {
    let value = try JSONValue(
      parsing:
        #" {"a": [1, -0.5e+10, true, null], "\"\\\u00e9\ud83d\ude00": "x\\\"", "n": 115792089237316195423570985008687907853269984665640564039457584007913129639936} "#
    )
    #expect(value["a"] == [.number("1"), .number("-0.5e+10"), true, nil])
    #expect(value["\"\\é😀"] == "x\\\"")
    #expect(value["n"]?.number?.count == 78)
    #expect(try JSONValue(parsing: value.description) == value)
  }

  @Test(arguments: [
    "", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{'a':1}", "01", "1.", "-", "+1", ".5", "1e", "nul",
    "tru",
    "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
    "\"\u{1}\"", "1 2",
    "{\"a\":1,\"a\":2}", "[1 2]", "\"\\u+123\"", "NaN",
  ])
  func `everything else is refused`(text: String) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
  }

  @Test func `truncation at every byte is refused, and never a trap`() throws {
    let whole = Array(#"{"a":[1,{"b":"c\n\u0041"}],"d":null}"#.utf8)
    _ = try JSONValue(parsing: whole)
    for length in 0..<whole.count {
      #expect(throws: JSONError.self) { try JSONValue(parsing: Array(whole.prefix(length))) }
    }
  }

  @Test func `nesting and invalid UTF-8 are bounded and refused`() {
    let deep = [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
    #expect(throws: JSONError.self) { try JSONValue(parsing: deep) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xff, 0x22]) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xc0, 0x80, 0x22]) }
  }

  /// RFC 8259, section 7.
  @Test(arguments: [
    (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"), (#""\u0041\u00e9\u20ac\u0000""#, "Aé€\0"),
    (#""\ud834\udd1e\uD834\uDD1E""#, "𝄞𝄞"), (#""\udbff\udfff""#, "\u{10ffff}"),
    (#""\uffff\u007f""#, "\u{ffff}\u{7f}"), ("\"é𝄞\u{7f}\"", "é𝄞\u{7f}"),
  ])
  func `escapes`(text: String, wanted: String) throws {
    let value = try JSONValue(parsing: text)
    #expect(value == .string(wanted))
    #expect(try JSONValue(parsing: value.description) == value)
  }

  @Test(arguments: [
    "0", "-0", "1", "-1", "10", "1.0", "-0.0", "1e5", "1E+5", "1e-5", "0e0", "1.5e300000000",
    "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
  ])
  func `a number is kept as it is written`(text: String) throws {
    #expect(try JSONValue(parsing: text) == .number(text))
    #expect(try JSONValue(parsing: " [\(text) ]").description == "[\(text)]")
  }

  @Test(arguments: [
    "00", "-01", "1.e5", ".1", "1.", "--1", "+1", "1e", "1e+", "1ee5", "0x1", "1_000", "Infinity",
    "-Infinity",
    "- 1", "1 .0", "\u{0661}", "1,", "-",
  ])
  func `what is no number is refused`(text: String) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: "[\(text)]") }
  }

  @Test(arguments: [
    #"{"a":1,"a":1}"#, #"{"a":1,"b":2,"a":3}"#, #"{"a":1,"\u0061":2}"#, #"{"":1,"":2}"#,
    #"[{"x":{"a":1,"a":2}}]"#,
  ])
  func `a key twice is refused, however it is written`(text: String) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
  }

  @Test func `nesting up to the limit is read, one more is not`() throws {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
      func nested(_ depth: Int) -> String {
        String(repeating: open, count: depth) + "0" + String(repeating: close, count: depth)
      }
      _ = try JSONValue(parsing: nested(JSONValue.depthLimit))
      #expect(throws: JSONError.self) { try JSONValue(parsing: nested(JSONValue.depthLimit + 1)) }
    }
  }

  @Test func `changed bytes are refused, or what they say is what is written again`() throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SeededRandom(seed: seed)
    let sample = Array(
      #"{"a":[1,-2.5e3,{"b":"c\n\u0041\ud83d\ude00é"}],"d":null,"e":[true,false,""]}"#.utf8)
    for _ in 0..<20_000 {
      let bytes = random.mutated(sample)
      guard let value = try? JSONValue(parsing: bytes) else { continue }
      #expect(try JSONValue(parsing: value.description) == value, "seed \(seed)")
    }
  }
}
