import ChainRPC
import Ethereum
import Foundation
import JSON
import Ledger
import Service

/// `auditor`: ties chain and ledger together, to the last wei. Reads only.
struct AuditorProgram {
  let arguments: Arguments
  let environment: [String: String]

  static let help = """
    auditor: chain = ledger, to the wei. Reads the chain itself and the ledger's facts, and changes nothing.

      auditor reconcile        evaluates the identities at the block where the ledger stands; exit code 1 on one wei

    --json prints one JSON object. Variables, each also a flag: DATABASE_URL, RPC_URL, QUORUM, CHAIN_ID, VAULT_ADDRESS.
    Exit codes: 0 everything ties, 1 a difference or a failure, 2 wrong usage.
    """

  init(_ arguments: [String], _ environment: [String: String]) throws {
    self.arguments = try Arguments(
      arguments, environment: environment,
      valued: ["database-url", "rpc-url", "quorum", "chain-id", "vault-address"])
    self.environment = environment
  }

  func run() async throws -> ExitCode {
    if arguments.has("help") {
      Program.say(Self.help)
      return .done
    }
    try arguments.expectWords(1)
    switch try arguments.word(at: 0, "a command") {
    case "reconcile": return try await reconcile()
    case let other: throw UsageError("there is no command \(other)")
    }
  }

  private func reconcile() async throws -> ExitCode {
    guard let chainID = try arguments.number("chain-id") else {
      throw UsageError("--chain-id (or CHAIN_ID) is missing")
    }
    let vault = try arguments.parsed("vault-address", arguments.required("vault-address")) {
      try Address($0)
    }
    let endpoints = try arguments.parsed("rpc-url", arguments.required("rpc-url")) {
      try Endpoint.list($0)
    }
    let quorum = try arguments.number("quorum").map { Int($0) }
    let pool: EndpointPool
    do {
      pool = try EndpointPool(endpoints, quorum: quorum)
    } catch {
      throw UsageError("\(error)")
    }
    try await pool.checkChain(chainID)
    let connection = try await Ledger.open(
      try arguments.required("database-url"), as: .auditor,
      migrations: Ledger.migrationsDirectory(environment))
    let ledger = try await LedgerFacts.read(connection, chainID: chainID, vault: vault)
    let result = try Reconciliation(ledger, try await ChainFacts.read(pool, for: ledger))
    Program.say(
      arguments.has("json") ? Self.json(result, ledger).description : Self.table(result, ledger))
    return result.difference == 0 ? .done : .failed
  }

  static func json(_ result: Reconciliation, _ ledger: LedgerFacts) -> JSONValue {
    [
      "block": ["number": .number(ledger.block), "hash": .string(ledger.blockHash.hex)],
      "identities": .array(
        result.identities.map {
          [
            "name": .string($0.name), "left": .string($0.left.description),
            "right": .string($0.right.description),
            "difference": .string($0.difference.description),
          ]
        }),
      "difference": .string(result.difference.description),
      "breaks": .array(
        result.breaks.map {
          [
            "identity": .string($0.identity), "subject": .string($0.subject),
            "difference": .string($0.difference.description), "cause": .string($0.cause),
          ]
        }),
    ]
  }

  static func table(_ result: Reconciliation, _ ledger: LedgerFacts) -> String {
    var lines = ["block \(ledger.block) \(ledger.blockHash)"]
    for identity in result.identities {
      let mark = identity.difference == 0 ? "✓" : "✗"
      let name = identity.name.padding(toLength: 30, withPad: " ", startingAt: 0)
      lines.append("\(mark) \(name) \(identity.left) wei, difference \(identity.difference)")
    }
    for item in result.breaks {
      lines.append("  \(item.identity): \(item.subject) \(item.difference) wei: \(item.cause)")
    }
    for transfer in ledger.unattributed {
      lines.append("  unattributed transfer of \(transfer.amount) wei in \(transfer.transaction)")
    }
    return lines.joined(separator: "\n")
  }
}
