import ChainRPC
import Ethereum
import Foundation
import Service

/// What `sync`, `run` and `verify` are told: the contract's variables, each also a flag.
struct IndexerOptions: Sendable {
  static let valued: Set<String> = [
    "database-url", "rpc-url", "quorum", "chain-id", "vault-address", "token-address",
    "start-block", "deposit-event", "withdraw-event", "to", "from", "proof", "timeout", "poll",
    "listen", "max-log-range",
  ]
  static let switches: Set<String> = ["start-unchecked"]

  let databaseURL: String
  let pool: EndpointPool
  /// Nil: whatever chain the endpoints serve.
  let chainID: UInt64?
  let followed: FollowedLogs
  let registration: VaultRegistration
  let mode: ProofMode
  let poll: Duration
  let chooser: RangeChooser

  init(_ arguments: Arguments) throws {
    databaseURL = try arguments.required("database-url")
    pool = try Self.pool(arguments)
    chainID = try arguments.number("chain-id")
    let vault = try Self.address(
      "vault-address", try arguments.required("vault-address"), arguments)
    let token = try Self.address(
      "token-address", try arguments.required("token-address"), arguments)
    guard let startBlock = try arguments.number("start-block") else {
      throw UsageError(
        "--start-block (or START_BLOCK) is missing: the block that deployed the vault")
    }
    let deposit = arguments.optional("deposit-event") ?? FollowedLogs.defaultDeposit
    let withdraw = arguments.optional("withdraw-event") ?? FollowedLogs.defaultWithdraw
    do {
      followed = try FollowedLogs(
        vault: vault, token: token, depositEvent: deposit, withdrawEvent: withdraw)
    } catch {
      throw UsageError("\(error)")
    }
    registration = VaultRegistration(
      token: token, startBlock: startBlock, depositEvent: deposit, withdrawEvent: withdraw,
      startUnchecked: arguments.has("start-unchecked"))
    let proof = arguments.optional("proof") ?? "all"
    guard let mode = ProofMode(rawValue: proof) else {
      throw UsageError("--proof is \"\(proof)\"; write off, head or all")
    }
    self.mode = mode
    poll = try arguments.duration("poll") ?? .seconds(2)
    guard poll > .zero else { throw UsageError("--poll must be longer than nothing") }
    let ceiling = try arguments.number("max-log-range") ?? RangeChooser.defaultCeiling
    chooser = RangeChooser(initial: 2_000, ceiling: ceiling)
  }

  static func pool(_ arguments: Arguments) throws -> EndpointPool {
    let endpoints = try arguments.parsed(
      "rpc-url", try arguments.required("rpc-url"), Endpoint.list)
    let quorum = try arguments.number("quorum").map { Int($0) }
    do {
      return try EndpointPool(endpoints, quorum: quorum)
    } catch {
      throw UsageError("\(error)")
    }
  }

  static func address(_ name: String, _ text: String, _ arguments: Arguments) throws -> Address {
    try arguments.parsed(name, text) { try Address($0) }
  }
}
