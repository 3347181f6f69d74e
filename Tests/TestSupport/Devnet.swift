import ChainRPC
import Ethereum
import Foundation
import JSON

/// The dev chain of `devnet/run`, in a process of its own, and what users do on it.
public final class Devnet: Sendable {
  public struct Account: Sendable {
    public let address: Address
    /// A dev key that anybody can derive; worth nothing anywhere else.
    public let keyHex: String
  }

  public let rpcURL: String
  public let chainID: UInt64
  public let token: Address
  public let vault: Address
  public let startBlock: UInt64
  public let client: EthereumClient
  private let accounts: [String: [Account]]
  private let process: RunningProgram

  /// - Parameter options: of `devnet/run`, without the port.
  public init(_ options: [String], in folder: URL) async throws {
    let output = folder.appendingPathComponent("devnet.log")
    process = try await RunningProgram.start(
      Python.root + "/devnet/run", ["--port", "0", "--die-with-parent"] + options,
      environment: ["PYTHON": Python.interpreter], output: output)
    let process = process
    let line = try await eventually("the dev chain to start") {
      process.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        .first { $0.hasPrefix("{") }.map(String.init)
    }
    let ready = try JSONValue(parsing: line)
    func text(_ value: JSONValue?, _ name: String) throws -> String {
      guard let text = value?[name]?.string ?? value?[name]?.number else {
        throw TestFailure("the dev chain says no \(name): \(line.prefix(200))")
      }
      return text
    }
    rpcURL = try text(ready, "rpc_url")
    client = EthereumClient(JSONRPCClient(try Endpoint(rpcURL)))
    token = try Address(text(ready, "token"))
    vault = try Address(text(ready, "vault"))
    guard let chain = UInt64(try text(ready, "chain_id")),
      let start = UInt64(try text(ready, "start_block"))
    else { throw TestFailure("the dev chain's numbers are none: \(line.prefix(200))") }
    chainID = chain
    startBlock = start
    var accounts: [String: [Account]] = [:]
    for item in ready["accounts"]?.array ?? [] {
      accounts[try text(item, "role"), default: []].append(
        Account(address: try Address(text(item, "address")), keyHex: try text(item, "key")))
    }
    self.accounts = accounts
  }

  public func stop() async { await process.end() }

  public func all(_ role: String) -> [Account] { accounts[role] ?? [] }

  public func only(_ role: String) throws -> Account {
    guard let account = all(role).first else {
      throw TestFailure("the dev chain has no \(role)")
    }
    return account
  }

  // MARK: Transactions

  public func deposit(_ user: Account, _ wei: UInt256) async throws -> Hash32 {
    _ = try await send(
      user, to: token, "approve(address,uint256)", [Self.word(vault), wei.bigEndianBytes])
    return try await send(user, to: vault, "deposit(uint256)", [wei.bigEndianBytes])
  }

  public func withdraw(_ user: Account, _ wei: UInt256) async throws -> Hash32 {
    try await send(user, to: vault, "withdraw(uint256)", [wei.bigEndianBytes])
  }

  /// A token transfer from wallet to wallet.
  public func transfer(_ from: Account, to: Address, _ wei: UInt256) async throws -> Hash32 {
    try await send(
      from, to: token, "transfer(address,uint256)", [Self.word(to), wei.bigEndianBytes])
  }

  /// Any call of the account's; the key given is the one that signs.
  public func send(
    _ account: Account, to: Address, _ call: String, _ words: [[UInt8]]
  ) async throws -> Hash32 {
    let key = try PrivateKey(Hex.decode(account.keyHex, count: 32))
    let transaction = Transaction(
      chainID: chainID,
      nonce: try await client.transactionCount(account.address, at: .pending),
      fees: .dynamic(maxFee: 50_000_000_000, priorityFee: 1_000_000_000), gasLimit: 300_000,
      to: to, value: 0, data: Self.selector(call) + words.flatMap { $0 })
    return try await client.send(transaction.signed(by: key).raw)
  }

  /// Waits until it is mined; it must have succeeded.
  public func mined(_ hash: Hash32) async throws -> EthereumClient.PlacedReceipt {
    let client = client
    let receipt = try await eventually("transaction \(hash) to be mined") {
      try await client.receipt(hash)
    }
    guard receipt.receipt.succeeded else {
      throw TestFailure("transaction \(hash) reverted")
    }
    return receipt
  }

  // MARK: Reading

  public func tokens(of account: Address) async throws -> UInt256 {
    try await read(token, "balanceOf(address)", account)
  }

  /// A getter of the vault that takes an account, at the head.
  public func vault(_ getter: String, _ account: Address) async throws -> UInt256 {
    try await read(vault, "\(getter)(address)", account)
  }

  private func read(_ to: Address, _ call: String, _ account: Address) async throws -> UInt256 {
    try UInt256(
      bigEndian: await client.call(
        to: to, data: Self.selector(call) + Self.word(account), at: .latest))
  }

  // MARK: The dev chain's own methods

  public func mine(_ blocks: Int = 1) async throws {
    _ = try await client.rpc.call("evm_mine", [["blocks": .number(blocks)]])
  }

  /// Off: what is sent waits for `mine()`.
  public func automine(_ on: Bool) async throws {
    _ = try await client.rpc.call("evm_setAutomine", [.bool(on)])
  }

  public func head() async throws -> UInt64 {
    guard let block = try await client.block(.latest) else {
      throw TestFailure("the dev chain has no head")
    }
    return block.header.number
  }

  /// Makes a known block the head; what was mined after it waits to be mined again.
  public func setHead(_ number: UInt64) async throws {
    _ = try await client.rpc.call("dev_setHead", [.string(UInt256(number).quantity)])
  }

  private static func word(_ address: Address) -> [UInt8] {
    [UInt8](repeating: 0, count: 12) + address.bytes
  }

  private static func selector(_ call: String) -> [UInt8] {
    Array(Hash32.keccak(Array(call.utf8)).bytes.prefix(4))
  }
}

/// What went wrong outside of what is being tested, and so ends the test.
public struct TestFailure: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// Looks again and again until there is something to see.
@discardableResult
public func eventually<Value>(
  _ what: String, within limit: Duration = .seconds(240),
  _ look: () async throws -> Value?
) async throws -> Value {
  let end = ContinuousClock.now + limit
  while ContinuousClock.now < end {
    if let value = try await look() { return value }
    try await Task.sleep(for: .milliseconds(50))
  }
  throw TestFailure("waited \(limit) in vain for \(what)")
}
