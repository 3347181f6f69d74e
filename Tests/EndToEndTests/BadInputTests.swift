import Foundation
import TestSupport
import Testing

/// Wrong configuration and unreachable worlds: one clear line with the remedy, a non-zero exit, and nothing changed.
@Suite struct BadInputTests {
  /// What is wrong, a command, the exit code, and words that the one line must hold.
  private struct Case {
    let command: String
    var changes: [String: String] = [:]
    let code: Int32
    let says: [String]
  }

  private static let nobody = "0x1111111111111111111111111111111111111111"

  @Test func `a wrong configuration is one line that names the value and the remedy`() async throws
  {
    try await World.with([]) { world in
      try await world.ok("indexer sync --to latest --timeout 2m")
      try await Story(world: world).books()
      try await world.ok("settler epoch close")
      let before = try await world.rows("SELECT * FROM credits.watermark")
      for item in Self.cases(world) {
        let output = try await world.run(item.command, item.changes)
        let lines = output.stderr.split(separator: "\n").filter { !$0.hasPrefix("time=") }
        let shown = "\(item.command) \(item.changes): \(output.stderr)"
        #expect(output.code == item.code, "\(shown)")
        #expect(lines.count == 1, "\(shown)")
        #expect(output.stdout.isEmpty, "\(shown)")
        for word in item.says { #expect(output.stderr.contains(word), "\(word)? \(shown)") }
        #expect(!output.stderr.contains("secret-word"), "\(shown)")
      }
      #expect(try await world.rows("SELECT * FROM credits.watermark") == before)
      #expect(try await world.rows("SELECT count(*) FROM credits.vault") == ["1"])
    }
  }

  private static func cases(_ world: World) -> [Case] {
    let closed = "http://user:secret-word@127.0.0.1:1/secret-word?key=secret-word"
    let settle = "settler plan 1 --key KEY:planner"
    var cases: [Case] = []
    for command in ["indexer sync", "indexer verify --from 1 --to 2", settle, "auditor reconcile"] {
      cases += [
        Case(
          command: command, changes: ["CHAIN_ID": "1"], code: 1,
          says: command == settle ? ["CHAIN_ID"] : ["127.0.0.1", "not 1", "CHAIN_ID"]),
        Case(
          command: command, changes: ["DATABASE_URL": "host=127.0.0.1 port=1 password=secret-word"],
          code: 1, says: ["PostgreSQL", "127.0.0.1"]),
        Case(
          command: command, changes: ["VAULT_ADDRESS": "0x123"], code: 2,
          says: ["vault-address", "0x123", "40 hexadecimal digits"]),
        Case(
          command: command, changes: ["RPC_URL": "ftp://127.0.0.1"], code: 2,
          says: ["rpc-url", "http://"]),
        Case(command: command, changes: ["QUORUM": "3"], code: 2, says: ["3", "QUORUM"]),
        Case(command: command, changes: ["VAULT_ADDRESS": ""], code: 2, says: ["vault-address"]),
        Case(command: command + " --no-such-option", code: 2, says: ["--no-such-option"]),
      ]
    }
    let swapped =
      world.devnet.vault.checksummed.dropLast()
      + (world.devnet.vault.checksummed.hasSuffix("a") ? "A" : "a")
    cases += [
      Case(
        command: "indexer sync --timeout 2s", changes: ["RPC_URL": closed], code: 1,
        says: ["127.0.0.1:1"]),
      Case(
        command: "auditor reconcile", changes: ["RPC_URL": closed], code: 1, says: ["127.0.0.1:1"]),
      Case(
        command: "indexer sync", changes: ["VAULT_ADDRESS": nobody], code: 1,
        says: ["no contract", "VAULT_ADDRESS"]),
      Case(
        command: "indexer sync", changes: ["VAULT_ADDRESS": String(swapped)], code: 2,
        says: ["vault-address"]),
      Case(
        command: "indexer sync", changes: ["DEPOSIT_EVENT": "Deposit(address user)"], code: 2,
        says: ["Deposit(address user)"]),
      Case(
        command: "indexer sync", changes: ["DEPOSIT_EVENT": "nonsense"], code: 2, says: ["nonsense"]
      ),
      Case(
        command: "indexer sync", changes: ["START_BLOCK": "ten"], code: 2,
        says: ["start-block", "ten"]),
      Case(
        command: "indexer sync", changes: ["START_BLOCK": "1"], code: 1, says: ["start block"]),
      Case(command: "indexer sync --to yesterday", code: 2, says: ["yesterday"]),
      Case(command: "indexer sync --proof maybe", code: 2, says: ["maybe"]),
      Case(command: "indexer sync --timeout 5", code: 2, says: ["timeout", "90s"]),
      Case(command: "indexer run --listen nowhere", code: 1, says: ["nowhere", "127.0.0.1:9100"]),
      Case(command: "indexer", code: 2, says: ["command"]),
      Case(command: "settler run 1 --key /no/such/key", code: 1, says: ["/no/such/key"]),
      Case(command: "settler approve 7 --manifest 0x12 --key KEY:approver1", code: 1, says: ["7"]),
      Case(command: "settler show 9", code: 1, says: ["no epoch 9"]),
      Case(
        command:
          "settler split set --operators 8500 --treasury 1000 --infrastructure 400 --treasury-wallet \(nobody) --infrastructure-wallet \(nobody)",
        code: 2, says: ["8500", "10000"]),
      Case(command: "settler show 1 2", code: 2, says: ["one word too many"]),
      Case(command: "settler epoch list all", code: 2, says: ["one word too many"]),
      Case(
        command: "settler show 1", changes: ["APPROVERS": "nobody"], code: 2, says: ["approvers"]),
      Case(command: settle, changes: ["APPROVERS": ""], code: 2, says: ["approvers"]),
      Case(
        command: "settler show 1", changes: ["APPROVERS": "0x12"], code: 2,
        says: ["approvers", "0x12"]),
      Case(command: settle + " --expires 0s", code: 2, says: ["expires"]),
      // A word too many is not ignored: "epoch close 1" would close epoch 2.
      Case(command: "settler epoch close 1", code: 2, says: ["one word too many"]),
      Case(command: "settler report 2", code: 1, says: ["epoch 2 is open"]),
      Case(
        command: "settler report 1 --html /no/such/folder/page.html", code: 1,
        says: ["cannot write /no/such/folder/page.html: No such file or directory"]),
      Case(command: "settler hold 0x123 --reason x", code: 2, says: ["the payee", "0x123"]),
      Case(command: "meter account 0x123", code: 2, says: ["meter: the account", "0x123"]),
      Case(command: "meter ingest /", code: 1, says: ["cannot read /: Is a directory"]),
      Case(command: "meter ingest /no/such/file", code: 2, says: ["No such file or directory"]),
      Case(command: "auditor", code: 2, says: ["command"]),
    ]
    return cases
  }

  @Test func `facts that nobody gets are a failure, diagnostics that nobody gets are not`()
    async throws
  {
    for (command, code, says) in [
      ("meter --help >/dev/full", 1 as Int32, "cannot write to stdout: No space left on device"),
      ("meter --help >&-", 1, "cannot write to stdout"), ("meter --help 2>&- <&-", 0, ""),
      ("meter >&- 2>&- <&-", 2, ""),
    ] {
      let output = try await Products.shell(command, environment: [:])
      #expect(output.code == code, "\(command)")
      #expect(output.stderr.contains(says) || says.isEmpty, "\(command): \(output.stderr)")
    }
  }

  @Test func `a second indexer and a second settler say so and leave`() async throws {
    try await World.with([]) { world in
      let first = try await world.start("indexer run --listen 127.0.0.1:0 --poll 100ms")
      _ = try await eventually("the first indexer to follow") {
        first.text.contains("following the chain") ? true : nil
      }
      for command in ["indexer sync --timeout 5s", "indexer run --listen 127.0.0.1:0"] {
        let second = try await world.run(command)
        #expect(second.code == 1, "\(second.stderr)")
        #expect(second.stderr.contains("another indexer"), "\(second.stderr)")
      }
      let story = Story(world: world)
      try await story.books()
      try await story.smallEpoch()
      // Nothing is mined until the second has been refused.
      try await world.devnet.automine(false)
      let settler = try await world.start("settler run 1 --key KEY:settler --timeout 5m")
      _ = try await eventually("the first settler to send") {
        settler.text.contains("signed with nonce") ? true : nil
      }
      let second = try await world.run("settler run 1 --key KEY:settler --timeout 5s")
      #expect(second.code == 1, "\(second.stderr)")
      #expect(second.stderr.contains("another settler"), "\(second.stderr)")
      while settler.isRunning {
        try await world.devnet.mine()
        try await Task.sleep(for: .milliseconds(100))
      }
      #expect(await settler.wait() == 0, "\(settler.text)")
      #expect(await first.end() == 0)
    }
  }
}
