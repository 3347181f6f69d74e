import Service
import Testing

@Suite struct ArgumentsTests {
  private func parse(_ line: String, _ environment: [String: String] = [:]) throws -> Arguments {
    try Arguments(
      line.split(separator: " ").map(String.init), environment: environment,
      valued: ["chain-id", "timeout", "max-gas", "from"], repeated: ["unit"], switches: ["strict"])
  }

  @Test func `an option goes over its variable`() throws {
    let arguments = try parse("sync --chain-id 1 --json --unit a=1 --unit b=2", ["CHAIN_ID": "5"])
    #expect(arguments.words == ["sync"])
    #expect(try arguments.number("chain-id") == 1)
    #expect(arguments.has("json"))
    #expect(arguments.all("unit") == ["a=1", "b=2"])
    #expect(try parse("sync", ["CHAIN_ID": "5"]).number("chain-id") == 5)
    #expect(try parse("sync", ["CHAIN_ID": ""]).number("chain-id") == nil)
  }

  @Test(arguments: [
    "--chain-id", "--chain-id 1 --chain-id 2", "--no-such", "--json=1", "-x",
  ])
  func `wrong usage is named`(line: String) {
    #expect(throws: UsageError.self) { try parse(line) }
  }

  @Test func `durations and numbers`() throws {
    for (text, wanted) in [("500ms", 500), ("90s", 90_000), ("10m", 600_000), ("7d", 604_800_000)] {
      #expect(try parse("--timeout \(text)").duration("timeout") == .milliseconds(wanted))
    }
    for text in ["5", "s", "-1s", "1.5h", "9999999999999999d", "1y"] {
      #expect(throws: UsageError.self) { try parse("--timeout \(text)").duration("timeout") }
    }
    for text in ["-1", "1.0", "0x1", "9223372036854775808"] {
      #expect(throws: UsageError.self) { try parse("--chain-id \(text)").number("chain-id") }
    }
  }

  @Test func `only the contract's variables are read: an option of one command is none`() throws {
    let stray = ["MAX_GAS": "1", "FROM": "2026-01-01T00:00:00Z", "TIMEOUT": "1s", "UNIT": "a"]
    let arguments = try parse("plan", stray)
    #expect(try arguments.number("max-gas") == nil)
    #expect(try arguments.time("from") == nil)
    #expect(try arguments.duration("timeout") == nil)
    #expect(throws: UsageError("--max-gas is missing")) { try arguments.required("max-gas") }
    #expect(throws: UsageError("--chain-id (or CHAIN_ID) is missing")) {
      try arguments.required("chain-id")
    }
  }

  @Test func `a surplus word is refused, and not repeated: it may be a key`() throws {
    let arguments = try parse("run 1 0xsecret")
    #expect(throws: UsageError("one word too many after \"1\"")) { try arguments.expectWords(2) }
    try arguments.expectWords(3)
  }
}
