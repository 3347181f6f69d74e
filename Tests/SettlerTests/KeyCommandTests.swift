import Ethereum
import Foundation
import JSON
import TestSupport
import Testing

@testable import Settler

/// The program itself, as a process. New keys have their full cost here, 256 MiB each: one after the other.
@Suite(.serialized) struct KeyCommandTests {
  /// Dev key: the first account of Hardhat's and anvil's well-known mnemonic. Worth nothing anywhere.
  private let devKey = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
  private let devAddress = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
  private let password = "correct horse battery staple"

  @Test func `key new writes a keystore that opens to the address it printed, once`() async throws {
    try await inFolder { folder in
      let (file, passwords) = (folder + "/key.json", try passwordFile(folder))
      let made = try await settler(["key", "new", file, "--password-file", passwords, "--json"])
      let json = try JSONValue(parsing: made.stdout.trimmingCharacters(in: .newlines))
      let address = try #require(json["address"]?.string)
      #expect(try Address(address).checksummed == address)
      #expect(json["file"]?.string == file)
      let written = try Data(contentsOf: URL(filePath: file))
      let keystore = try Keystore(parsing: Array(written))
      #expect(keystore.derivation == .scrypt(n: 262_144, r: 8, p: 1))
      let shown = try await settler(
        ["key", "address", "--key", file, "--password-fd", "0"], stdin: password + "\n")
      #expect(shown.stdout == address + "\n")
      let again = try await settler(["key", "new", file, "--password-file", passwords], code: 1)
      #expect(again.stderr.contains("not overwritten"))
      #expect(try Data(contentsOf: URL(filePath: file)) == written)
    }
  }

  @Test func `key import takes a raw key from stdin`() async throws {
    try await inFolder { folder in
      let (file, passwords) = (folder + "/key.json", try passwordFile(folder))
      let made = try await settler(
        ["key", "import", file, "--password-file", passwords], stdin: "0x" + devKey + "\n")
      #expect(made.stdout == devAddress + "\n")
      let key = try KeyFile.load(
        file, password: { secret(password) }, warn: { Issue.record("\($0)") })
      #expect(key.address.checksummed == devAddress)
    }
  }

  @Test func `at a terminal key and password are typed unseen, the password twice`() async throws {
    try await inFolder { folder in
      let file = folder + "/key.json"
      let made = try terminal(
        [
          ["Private key", devKey + "\n"], ["Password", "x\u{7f}\(password)\n"],
          ["once more", password + "\n"],
        ],
        ["key", "import", file])
      #expect(made.code == 0)
      #expect(made.shown.contains(devAddress))
      let different = try terminal(
        [["Password", password + "\n"], ["once more", "another\n"]],
        ["key", "new", folder + "/other"])
      #expect(different.code == 2)
      #expect(different.shown.contains("differ"))
      #expect(!FileManager.default.fileExists(atPath: folder + "/other"))
      let interrupted = try terminal([["Password", "\u{3}"]], ["key", "address", "--key", file])
      #expect(interrupted.code == 1)
      #expect(interrupted.shown.contains("interrupted"))
    }
  }

  @Test func `key address opens keystores and raw keys`() async throws {
    try await inFolder { folder in
      let passwords = try passwordFile(folder)
      let (sealed, raw) = (try lightKeystore(folder), folder + "/raw")
      try write(devKey, raw)
      for arguments in [
        ["--key", sealed, "--password-file", passwords], ["--key", raw], ["--key=" + raw],
      ] {
        #expect(try await settler(["key", "address"] + arguments).stdout == devAddress + "\n")
        #expect(
          try await settler(["key", "address", "--json"] + arguments).stdout
            == "{\"address\":\"\(devAddress)\"}\n")
      }
      #expect(chmod(sealed, 0o644) == 0)
      let warned = try await settler(
        ["key", "address", "--key", sealed, "--password-file", passwords])
      #expect(warned.stdout == devAddress + "\n")
      #expect(warned.stderr.contains("chmod 600 \(sealed)"))
    }
  }

  /// Each with a word of what the one line on stderr must say.
  @Test func `what goes wrong is one line with the remedy, and shows neither key nor password`()
    async throws
  {
    try await inFolder { folder in
      let (sealed, raw) = (try lightKeystore(folder), folder + "/raw")
      try write(devKey, raw)
      let (wrong, open, empty) = (folder + "/wrong", folder + "/open", folder + "/empty")
      try write("a wrong password", wrong)
      try write("", empty)
      try write(password, open)
      #expect(chmod(open, 0o644) == 0)
      #expect(chmod(raw, 0o640) == 0)
      let damaged = folder + "/damaged"
      try write("{\"version\":3,\"crypto\":{}}", damaged)
      let new = folder + "/new"
      let cases: [(arguments: String, stdin: String, code: Int32, says: String)] = [
        ("key address --key \(sealed) --password-file \(wrong)", "", 1, "wrong password"),
        ("key address --key \(sealed) --password-file \(open)", "", 1, "chmod 600 \(open)"),
        ("key address --key \(sealed) --password-file \(folder)/none", "", 1, "\(folder)/none"),
        ("key address --key \(sealed)", "", 2, "--password-file"),
        ("key address --key \(sealed) --password-fd 0", "no\n", 1, "wrong password"),
        ("key address --key \(sealed) --password-fd \(password.prefix(7))", "", 2, "--password-fd"),
        ("key address --key \(sealed) --password-fd 99", "", 2, "--password-fd 99"),
        ("key address --key \(sealed) --password-fd 0 --password-file \(wrong)", "", 2, "one"),
        ("key address --key \(damaged) --password-file \(wrong)", "", 1, damaged),
        ("key address --key \(raw)", "", 1, "chmod 600 \(raw)"),
        ("key address --key \(devKey)", "", 2, "--key"),
        ("key address --key 0x\(devKey)", "", 2, "--key"),
        ("key address", "", 2, "--key"),
        ("key address \(devKey)", "", 2, "command line"),
        ("key import \(devKey)", devKey, 2, "private key"),
        ("key import \(new) \(devKey)", devKey, 2, "command line"),
        ("key import \(new) --password-file \(wrong)", devKey.dropLast() + "g", 2, "stdin"),
        (
          "key import \(new) --password-file \(wrong)", String(repeating: "f", count: 64), 2,
          "secp256k1"
        ),
        ("key import \(new) --password-file \(wrong)", "", 2, "stdin"),
        ("key import \(new) --password-fd 0", devKey, 2, "stdin"),
        ("key import \(new)", devKey, 2, "--password-file"),
        ("key new \(new) --password-file \(empty)", "", 2, "empty"),
        ("key new \(folder)/none/new --password-file \(wrong)", "", 1, "\(folder)/none/new"),
        ("key new", "", 2, "FILE"), ("key", "", 2, "key new"),
      ]
      for (arguments, stdin, code, says) in cases {
        let output = try await settler(
          arguments.split(separator: " ").map(String.init), stdin: stdin, code: code)
        #expect(output.stderr.split(separator: "\n").count == 1, "\(arguments): \(output.stderr)")
        #expect(output.stderr.contains(says), "\(arguments): \(output.stderr)")
        #expect(output.stdout.isEmpty)
      }
      #expect(!FileManager.default.fileExists(atPath: new))
    }
  }

  @Test func `every command answers --help with its own usage`() async throws {
    let whole = try await settler(["--help"]).stdout
    for command in [
      "split", "epoch", "plan", "show", "approve", "revoke", "cancel", "run", "resume", "hold",
      "unhold", "holds", "report", "key",
    ] {
      let help = try await settler([command, "--help"]).stdout
      #expect(help.hasPrefix("  settler \(command)"))
      #expect(help.count < whole.count)
      #expect(whole.contains("settler \(command) ") || whole.contains("settler \(command)\n"))
      let signs = ["plan", "approve", "revoke", "run", "resume", "key"].contains(command)
      #expect(help.contains("--password-file") == signs, "\(command)")
    }
    #expect(try await settler(["-h"]).stdout == whole)
    _ = try await settler(["nonsense", "--help"], code: 2)
  }

  // MARK: Help

  /// Runs it, and checks that nothing it said holds the key or a password.
  private func settler(
    _ arguments: [String], stdin: String = "", code: Int32 = 0
  ) async throws -> Products.Output {
    let output = try await Products.run("settler", arguments, stdin: stdin)
    #expect(output.code == code, "\(arguments): \(output.stderr)")
    expectSilence(output.stdout + output.stderr)
    return output
  }

  private func terminal(
    _ answers: [[String]], _ arguments: [String]
  ) throws -> (code: Int, shown: String) {
    let typed = JSONValue.array(answers.map { .array($0.map { .string($0) }) }).description
    let line = try Python.lines("terminal.py", [typed, Products.path("settler")] + arguments)
      .joined()
    let json = try JSONValue(parsing: line)
    let shown = try #require(json["shown"]?.string)
    expectSilence(shown)
    return (try #require(json["code"]?.number.flatMap { Int($0) }), shown)
  }

  private func expectSilence(_ text: String) {
    for word in [
      String(devKey.prefix(16)), String(devKey.suffix(16)), password, "correct", "a wrong password",
    ] {
      #expect(!text.contains(word))
    }
  }

  private func passwordFile(_ folder: String) throws -> String {
    try write(password + "\n", folder + "/password")
    return folder + "/password"
  }

  /// A keystore of the dev key that opens in no time.
  private func lightKeystore(_ folder: String) throws -> String {
    let path = folder + "/light.json"
    _ = try KeyFile.create(
      path, key: secret(bytes: Hex.decode("0x" + devKey)), password: secret(password),
      derivation: .scrypt(n: 2, r: 8, p: 1))
    return path
  }

  private func write(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
    #expect(chmod(path, 0o600) == 0)
  }
}
