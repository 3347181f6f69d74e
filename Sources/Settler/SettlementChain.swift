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
