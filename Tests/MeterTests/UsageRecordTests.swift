import Testing

@testable import Meter

private let account = "0x00000000000000000000000000000000000a11ce"

private func read(_ line: String) throws -> UsageRecord { try UsageRecord(line: Array(line.utf8)) }

private func record(_ changes: [String: String?] = [:]) -> String {
  var fields: [String: String] = [
    "request_id": "\"r1\"", "account": "\"\(account)\"", "model": "\"m\"", "node": "\"n1\"",
    "input_tokens": "1000",
    "output_tokens": "200",
  ]
  for (field, value) in changes { fields[field] = value }
  return "{" + fields.sorted { $0.key < $1.key }.map { "\"\($0)\": \($1)" }.joined(separator: ", ")
    + "}"
}

@Suite struct UsageRecordTests {
  @Test func `a record is read whole`() throws {
    let proof = "0x" + String(repeating: "ab", count: 32)
    let read = try read(
      record([
        "units": "{\"second\": 2, \"image\": 1}", "at": "\"2026-01-31T12:00:00Z\"",
        "proof": "\"\(proof)\"",
      ]))
    #expect(read.requestID == "r1")
    #expect(read.account.checksummed.lowercased() == account)
    #expect((read.inputTokens, read.outputTokens) == (1000, 200))
    #expect(read.unitsJSON == "{\"image\":1,\"second\":2}")
    #expect(read.at == "2026-01-31T12:00:00Z")
    #expect(read.proof?.hex == proof)
  }

  @Test func `tokens may be left out when units are given, and only then`() throws {
    #expect(
      try read(record(["input_tokens": nil, "output_tokens": nil, "units": "{\"image\": 1}"]))
        .inputTokens == 0)
    #expect(throws: RecordError.self) { try read(record(["output_tokens": nil])) }
  }

  @Test func `the largest count is exact`() throws {
    #expect(try read(record(["input_tokens": "9223372036854775807"])).inputTokens == .max)
    #expect(
      try read(record(["input_tokens": "9007199254740993"])).inputTokens == 9_007_199_254_740_993)
  }

  @Test func `a field that is given twice is refused: which of the two is owed?`() {
    let twice = record().replacing(
      "\"input_tokens\": 1000", with: "\"input_tokens\": 1000, \"input_tokens\": 1")
    let error = #expect(throws: RecordError.self) { try read(twice) }
    #expect(error?.description.contains("\"input_tokens\" twice") == true)
    #expect(throws: RecordError.self) {
      try read(record(["units": "{\"image\": 1, \"image\": 2}"]))
    }
  }

  @Test func `a byte order mark and a carriage return change nothing`() throws {
    #expect(try read("\u{feff}" + record() + "\r") == read(record()))
  }

  @Test(arguments: [
    ("input_tokens", "-1"), ("input_tokens", "0.5"), ("input_tokens", "\"5\""),
    ("input_tokens", "true"),
    ("input_tokens", "9223372036854775808"), ("input_tokens", "5.1"),
    ("input_tokens", "1e3"), ("input_tokens", "1e400"), ("input_tokens", "9223372036854775808.0"),
    (
      "input_tokens",
      "115792089237316195423570985008687907853269984665640564039457584007913129639936"
    ),
    ("account", "\"0x12\""), ("account", "7"), ("request_id", "\"\""),
    ("request_id", "\"a\\u0000b\""), ("model", "null"),
    ("node", "[]"), ("units", "[1]"), ("units", "{\"Image\": 1}"),
    ("units", "{\"input_token\": 1}"),
    ("units.image", "{\"image\": -1}"), ("units.image", "{\"image\": 1.5}"),
    ("at", "\"yesterday\""), ("at", "5"),
    ("proof", "\"0x12\""), ("outputTokens", "1"),
  ])
  func `a bad value is refused by the name of its field`(field: String, value: String) throws {
    let key = field.hasPrefix("units.") ? "units" : field
    let error = #expect(throws: RecordError.self) { try read(record([key: value])) }
    #expect(error?.field == field)
    #expect(error?.requestID == (field == "request_id" ? nil : "r1"))
    #expect(error?.description.hasPrefix(field) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: ["request_id", "account", "model", "node", "input_tokens", "output_tokens"])
  func `a missing field is named`(field: String) {
    let error = #expect(throws: RecordError.self) { try read(record([field: nil])) }
    #expect(error?.description == "\(field) is missing")
  }

  @Test(arguments: ["", "{", "[]", "null", "7", "{\"request_id\": \"r1\"} {}", "\u{0}"])
  func `what is no JSON object is refused`(line: String) {
    #expect(throws: RecordError.self) { try read(line) }
  }

  @Test func `a key that stands twice is refused: readers would differ in which one counts`() {
    let twice = record().dropLast() + ", \"output_tokens\": 0}"
    let error = #expect(throws: RecordError.self) { try read(String(twice)) }
    #expect(error?.description.contains("\"output_tokens\" twice") == true)
  }
}
