import Testing

@testable import Meter

private let good =
  #"{"request_id":"r1","account":"0x00000000000000000000000000000000000a11ce","model":"m","node":"n1","input_tokens":1,"output_tokens":0}"#

@Suite struct IngestTests {
  @Test func `lines are the same however the bytes arrive`() {
    let bytes = Array("one\ntwo\r\n\n  \nthree".utf8)
    for size in 1...bytes.count {
      var splitter = LineSplitter()
      var lines: [LineSplitter.Line] = []
      for start in stride(from: 0, to: bytes.count, by: size) {
        lines += splitter.received(bytes[start..<min(start + size, bytes.count)])
      }
      if let last = splitter.finish() { lines.append(last) }
      #expect(
        lines == ["one", "two\r", "three"].map { .whole(Array($0.utf8)) }, "pieces of \(size)")
    }
  }

  @Test func `a line above the limit is refused and the next one read`() {
    var splitter = LineSplitter(limit: 4)
    #expect(
      splitter.received(Array("12345678\n1234\n12345".utf8)) == [
        .tooLong, .whole(Array("1234".utf8)),
      ])
    #expect(splitter.finish() == .tooLong)
  }

  @Test func `every line is answered in its order, the bad ones too`() {
    var batch = IngestBatch()
    for line in ["nonsense", good, #"{"request_id":"r2"}"#, good] {
      batch.add(.whole(Array(line.utf8)))
    }
    batch.add(.tooLong)
    #expect(batch.count == 5)
    #expect(batch.records.map(\.requestID) == ["r1", "r1"])
    let results = batch.results([
      DebitAnswer(status: "ok", cost: "1"), DebitAnswer(status: "insufficient", cost: "1"),
    ])
    #expect(results.map(\.status) == ["invalid", "ok", "invalid", "insufficient", "invalid"])
    #expect(results.map(\.requestID) == [nil, "r1", "r2", "r1", nil])
    #expect(results.map(\.isRefusal) == [true, false, true, true, true])
    #expect(results[1].json == #"{"request_id":"r1","status":"ok","cost":"1"}"#)
    #expect(
      results[0].json
        == #"{"request_id":null,"status":"invalid","cost":null,"error":"the line is no JSON object: an unknown word at byte 1"}"#
    )
  }

  @Test func `an answer is JSON whatever the request is called`() {
    let result = IngestResult(requestID: "a\"b\\c\n\u{1}é", status: "ok", cost: nil, error: nil)
    #expect(result.json == #"{"request_id":"a\"b\\c\n\u0001é","status":"ok","cost":null}"#)
  }

  @Test func `a batch is sent again after a lost connection, and not for ever`() {
    var resend = Resend()
    #expect(resend.failed(sqlState: nil) == .wait(milliseconds: 100))
    #expect(resend.failed(sqlState: "40P01") == .wait(milliseconds: 200))
    resend.succeeded()
    for _ in 0..<8 { #expect(resend.failed(sqlState: "57P01") != .giveUp) }
    #expect(resend.failed(sqlState: "57P01") == .giveUp)
  }

  @Test(arguments: ["42501", "22023", "42883", "25001"])
  func `a refusal is not tried again`(state: String) {
    var resend = Resend()
    #expect(resend.failed(sqlState: state) == .giveUp)
  }
}
