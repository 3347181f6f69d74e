import ChainRPC
import Credits
import Ethereum
import Foundation
import JSON
import Ledger
import Postgres
import Service

/// `settler`: epochs, shares, approvals, batches, signing, broadcasting, following payouts until final.
struct SettlerProgram {
  let arguments: Arguments
  let environment: [String: String]
  let clock: any SettlerClock

  private static let valued: Set<String> = [
    "operators", "treasury", "infrastructure", "treasury-wallet", "infrastructure-wallet",
    "fallback-to", "from", "key", "password-file", "password-fd", "min-payout", "min-charge",
    "max-fee", "max-gas", "expires", "manifest", "export", "import", "reason", "wait", "timeout",
    "html", "csv", "explorer", "database-url", "rpc-url", "send-url", "quorum", "chain-id",
    "vault-address", "token-address", "settler-address", "approvers", "approvals-required",
    "start-block", "payout-method",
  ]

  init(
    _ arguments: [String], _ environment: [String: String], clock: any SettlerClock
  ) throws(UsageError) {
    self.arguments = try Arguments(
      arguments, environment: environment, valued: Self.valued, switches: ["again"])
    self.environment = environment
    self.clock = clock
  }

  func run() async throws -> ExitCode {
    if arguments.has("help") {
      Program.say(try SettlerHelp.text(for: arguments.words.first))
      return .done
    }
    let command = try arguments.word(at: 0, "a command")
    try arguments.expectWords(try SettlerHelp.words(of: command))
    switch command {
    case "split": try await split()
    case "epoch": try await epoch()
    case "plan": try await plan()
    case "show": try await show()
    case "approve": try await approve()
    case "revoke": try await revoke()
    case "cancel": try await cancel()
    case "run": return try await run(epoch: try arguments.epoch(at: 1))
    case "resume": return try await run(epoch: nil)
    case "hold": try await hold(true)
    case "unhold": try await hold(false)
    case "holds": try await holds()
    case "report": try await report()
    case "key": try key()
    default: throw SettlerHelp.noCommand(command)
    }
    return .done
  }

  // MARK: What commands share

  func print(_ output: JSONValue, _ text: String) {
    Program.say(arguments.has("json") ? output.description : text)
  }

  @Sendable static func log(_ line: String) { Program.note("settler: \(line)") }

  func openLedger() async throws -> PostgresConnection {
    try await Ledger.open(
      try arguments.required("database-url"), as: .settler,
      migrations: Ledger.migrationsDirectory(environment))
  }

  func furtherConnection() async throws -> PostgresConnection {
    try await Ledger.connect(try arguments.required("database-url"), as: .settler)
  }

  func chainID() throws -> UInt64 {
    guard let chainID = try arguments.number("chain-id") else {
      throw UsageError("CHAIN_ID is not set")
    }
    return chainID
  }

  func reader(_ connection: PostgresConnection) throws -> LedgerReader {
    LedgerReader(
      connection: connection, chainID: try chainID(),
      vault: try arguments.requiredAddress("vault-address"))
  }

  /// Who may approve here: this host's configuration, never the database's.
  func policy() throws -> ApprovalPolicy {
    let approvers = try arguments.required("approvers").split(separator: ",").map { text in
      try arguments.parsed("approvers", text.trimmingCharacters(in: .whitespaces)) {
        try Address($0)
      }
    }
    let required = try arguments.number("approvals-required")
    guard let required, let count = Int(exactly: required) else {
      throw UsageError("APPROVALS_REQUIRED is not set")
    }
    return try ApprovalPolicy(
      settler: try arguments.requiredAddress("settler-address"), approvers: approvers,
      required: count)
  }

  /// The same where it only helps to explain: nil when this host is configured for no approving at all. A broken one is not
  /// passed over.
  func policyIfConfigured() throws -> ApprovalPolicy? {
    let isConfigured = ["approvers", "approvals-required"].contains {
      arguments.optional($0) != nil
    }
    return isConfigured ? try policy() : nil
  }

  func nodeChain() throws -> NodeChain {
    let reading = try arguments.parsed(
      "rpc-url", try arguments.required("rpc-url"), Endpoint.list)
    let sending = try arguments.optional("send-url").map {
      try arguments.parsed("send-url", $0, Endpoint.list)
    }
    let quorum = try arguments.number("quorum").map { Int(clamping: $0) }
    do {
      return NodeChain(try EndpointPool(reading, quorum: quorum), sending: sending ?? reading)
    } catch {
      throw UsageError("\(error)")
    }
  }

  /// The key of `--key`, opened with the password of `--password-file`, `--password-fd` or the terminal.
  func loadKey() throws -> PrivateKey {
    guard let text = arguments.optional("key") else { throw UsageError("--key FILE is missing") }
    let path = try keyPath(text, "--key")
    let passwords = try PasswordSource(arguments)
    return try KeyFile.load(path, password: { try passwords.password(for: path) }, warn: Self.log)
  }
}
