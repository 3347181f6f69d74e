import Credits
import Ethereum
import Foundation
import JSON
import Ledger
import Postgres

/// `settler`: epochs, shares, approvals, batches, signing, broadcasting, following payouts until final.
struct SettlerProgram {
  let arguments: Arguments
  let clock: any SettlerClock
  let say: @Sendable (String) -> Void
  let log: @Sendable (String) -> Void

  static let help = """
    settler: closes epochs, plans, approves and sends their settlement, and follows it until final.

      settler split set --operators BP --treasury BP --infrastructure BP --treasury-wallet ADDR --infrastructure-wallet ADDR
                        [--fallback-to infrastructure|treasury] [--from T]
      settler split list
      settler epoch list | epoch close
      settler plan E --key FILE [--min-payout PRLX] [--min-charge PRLX] [--max-fee GWEI] [--max-gas N] [--expires 7d] [--again]
      settler show E
      settler approve E --manifest HASH --key FILE | approve E --export FILE | approve E --import FILE
      settler revoke E --key FILE
      settler cancel E --reason TEXT
      settler run E --key FILE [--wait final|sent] [--timeout D]
      settler resume --key FILE [--wait final|sent] [--timeout D]
      settler hold ADDR --reason TEXT | unhold ADDR | holds
      settler report E [--html FILE] [--csv FILE] [--explorer URL]

    --json prints one JSON object. --key FILE holds a raw hex key and has mode 0600.
    Variables, each also a flag: DATABASE_URL, RPC_URL, SEND_URL, QUORUM, CHAIN_ID, VAULT_ADDRESS, SETTLER_ADDRESS, APPROVERS,
    APPROVALS_REQUIRED. Exit codes: 0 done, 1 failed or halted, 2 wrong usage, 3 not yet (time is up, run it again).

    """

  enum ExitCode: Int32 { case done = 0, failed = 1, usage = 2, notYet = 3 }

  func main() async throws -> ExitCode {
    if arguments.has("help") || arguments.has("h") {
      say(Self.help)
      return .done
    }
    switch arguments.words.first {
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
    case nil: throw UsageError("a command is missing")
    case .some(let word): throw UsageError("there is no command \(word)")
    }
    return .done
  }

  // MARK: What commands share

  func print(_ output: JSONValue, _ text: String) {
    say(arguments.has("json") ? output.description : text)
  }

  func openLedger() async throws -> PostgresConnection {
    try await Ledger.open(
      try arguments.required("database-url"), as: .settler,
      migrations: Ledger.migrationsDirectory(ProcessInfo.processInfo.environment))
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
      try arguments.parsed(text.trimmingCharacters(in: .whitespaces), "approvers") {
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

  func nodeChain() throws -> NodeChain {
    let urls = try arguments.required("rpc-url")
    return try NodeChain(
      reading: urls, sending: arguments.optional("send-url") ?? urls,
      quorum: try arguments.number("quorum").map { Int(clamping: $0) })
  }

  func loadKey() throws -> PrivateKey {
    guard let path = arguments.flag("key") else { throw UsageError("--key is missing") }
    return try KeyFile.load(path: path)
  }
}
