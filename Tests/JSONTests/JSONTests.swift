import JSON
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
}
