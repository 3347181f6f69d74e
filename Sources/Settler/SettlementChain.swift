import Credits
import Ethereum

/// What the settler asks of the chain. `NodeChain` asks endpoints; tests can answer for a chain of their own.
///
/// Values that decide about money are read at a block by its hash, and agreed by the quorum.
protocol SettlementChain: Sendable {
  func chainID() async throws -> UInt64
  func hasCode(_ address: Address, at block: Hash32) async throws -> Bool
  /// Agreed by the quorum.
  func call(_ to: Address, _ data: [UInt8], at block: Hash32) async throws -> [UInt8]
  /// Agreed by the quorum.
  func nonce(of account: Address, at block: Hash32) async throws -> UInt64
  func latestNonce(of account: Address) async throws -> UInt64
  func pendingNonce(of account: Address) async throws -> UInt64
  func balance(of account: Address) async throws -> UInt256
  /// Runs a call at the head without sending it.
  func simulate(from: Address, to: Address, data: [UInt8]) async throws
  func estimateGas(from: Address, to: Address, data: [UInt8]) async throws -> UInt64
  func fees() async throws -> (baseFeeWei: UInt256, tipWei: UInt256)
  /// What an endpoint says of a hash; nil when a quorum knows no receipt.
  func inclusion(of hash: Hash32) async throws -> SendState.Inclusion?
  /// A block's receipts, checked against the header's `receiptsRoot`, and its transactions' hashes.
  func provenReceipts(of block: Hash32, header: [UInt8]) async throws -> ProvenBlock
  /// Gives the bytes to every sending endpoint.
  func send(_ raw: [UInt8]) async -> [SendAnswer]
}

/// What one endpoint answered to `eth_sendRawTransaction`.
struct SendAnswer: Equatable, Sendable {
  let endpoint: String
  let outcome: String
  let accepted: Bool
}

/// Receipts that rebuild their header's root.
struct ProvenBlock: Sendable {
  struct Log: Equatable, Sendable {
    let address: Address
    let topics: [Hash32]
    let data: [UInt8]
  }

  struct Receipt: Sendable {
    let succeeded: Bool
    let gasUsed: UInt64
    let logs: [Log]
  }

  /// Hashes of the transactions, in their order; their bytes rebuild `transactionsRoot`.
  let transactions: [Hash32]
  let receipts: [Receipt]
}

/// The reference vault's calls, and reading its words.
enum Vault {
  static func pool() -> [UInt8] { selector("pool()") }
  static func charged(_ user: Address) -> [UInt8] { selector("charged(address)") + word(user) }
  static func paidTotal(_ payee: Address) -> [UInt8] {
    selector("paidTotal(address)") + word(payee)
  }
  static func settler() -> [UInt8] { selector("settler()") }

  /// Both calls take cumulative amounts.
  static func charge(_ users: [Address], _ spent: [UInt256]) -> [UInt8] {
    twoLists("charge(address[],uint256[])", users, spent)
  }

  static func pay(_ payees: [Address], _ paid: [UInt256]) -> [UInt8] {
    twoLists("pay(address[],uint256[])", payees, paid)
  }

  /// Solidity ABI specification, “Use of Dynamic Types”.
  private static func twoLists(
    _ signature: String, _ addresses: [Address], _ amounts: [UInt256]
  ) -> [UInt8] {
    let count = UInt256(UInt64(addresses.count)).bigEndianBytes
    return selector(signature) + UInt256(64).bigEndianBytes
      + UInt256(UInt64(96 + 32 * addresses.count)).bigEndianBytes
      + count + addresses.flatMap(word) + count + amounts.flatMap(\.bigEndianBytes)
  }

  static func uint256(_ answer: [UInt8], of call: String) throws -> UInt256 {
    guard answer.count == 32 else { throw SettlerError.notAVault(call: call, bytes: answer.count) }
    return try UInt256(bigEndian: answer)
  }

  static func address(_ answer: [UInt8], of call: String) throws -> Address {
    guard answer.count == 32, answer.prefix(12).allSatisfy({ $0 == 0 }) else {
      throw SettlerError.notAVault(call: call, bytes: answer.count)
    }
    return try Address(answer.suffix(20))
  }

  private static func selector(_ signature: String) -> [UInt8] {
    Array(Hash32.keccak(Array(signature.utf8)).bytes.prefix(4))
  }

  private static func word(_ address: Address) -> [UInt8] {
    [UInt8](repeating: 0, count: 12) + address.bytes
  }
}
