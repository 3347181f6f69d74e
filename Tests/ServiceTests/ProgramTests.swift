import Foundation
import Service
import TestSupport
import Testing

@Suite struct ProgramTests {
  @Test func `control characters are spelt out, and what they hide is seen`() {
    #expect("a\u{1B}[2Jb\u{7F}\u{9B}".withoutControls == #"a\u001b[2Jb\u007f\u009b"#)
    #expect("one\ntwo\r".withoutControls == "one\n" + #"two\u000d"#)
    #expect("one\ntwo".onOneLine == #"one\u000atwo"#)
    // Text direction (Unicode, annex 9): "paid" would read backwards.
    #expect("\u{202E}diap\u{2066}".withoutControls == #"\u202ediap\u2066"#)
    #expect("PRLX – “é” 👩‍💻".withoutControls == "PRLX – “é” 👩‍💻")
  }

  @Test func `JSON with controls spelt out is the same JSON`() throws {
    let text = try JSONSerialization.data(withJSONObject: ["\u{9B}\u{202E}"])
    let spelt = String(decoding: text, as: UTF8.self).withoutControls
    let read = try JSONSerialization.jsonObject(with: Data(spelt.utf8)) as? [String]
    #expect(read == ["\u{9B}\u{202E}"])
  }

  @Test(arguments: ["> /dev/full", ">&-", "| true"])
  func `a stdout that takes nothing is exit code 1, not a crash`(redirection: String) async throws {
    let output = try await Products.shell(
      "(sleep 0.2; exec meter --help) \(redirection); code=${PIPESTATUS[0]}; exit $code",
      environment: [:])
    #expect(output.code == 1, "\(output.stderr)")
    #expect(output.stderr.contains("cannot write to stdout"))
    #expect(output.stderr.split(separator: "\n").count == 1, "\(output.stderr)")
  }

  @Test func `a stderr that takes nothing stops nothing`() async throws {
    let output = try await Products.shell("meter nonsense 2> /dev/full", environment: [:])
    #expect(output.code == 2)
  }
}
