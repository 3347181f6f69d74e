import Ethereum

/// A block's place and name.
struct BlockReference: Sendable, Hashable {
  let number: UInt64
  let hash: Hash32
}

/// A header, and the hash that was computed from it: whatever it says, it is what the hash stands for.
struct CheckedHeader: Sendable, Equatable {
  let header: Header
  let hash: Hash32
  /// Hashes of the block's transactions in their order, as the endpoint says.
  let transactions: [Hash32]

  var reference: BlockReference { BlockReference(number: header.number, hash: hash) }
}

/// Where a log stands in the chain.
struct LogPlace: Sendable, Hashable {
  let block: BlockReference
  let transaction: Hash32
  /// The log's index among all logs of its block.
  let index: UInt32
}

/// A log at its place.
struct ChainLog: Sendable, Hashable {
  let log: Log
  let place: LogPlace
}

/// One of the vault's events.
struct VaultEvent: Sendable, Hashable {
  enum Kind: String, Sendable { case deposit, withdraw, charged, paid }

  let kind: Kind
  /// The user, or the payee of a `paid`.
  let account: Address
  /// Wei.
  let amount: UInt256
  /// Wei ever charged or paid to that account, of a `charged` or `paid`.
  let total: UInt256?
  let place: LogPlace
  /// Which of its transaction's followed vault logs it is, from 0: with the transaction's hash the credit's key, the same when
  /// the transaction is mined again in another block.
  let ordinal: UInt32
}

/// A transfer of the token from or to the vault.
struct TokenTransfer: Sendable, Hashable {
  let sender: Address
  let recipient: Address
  /// Wei.
  let amount: UInt256
  let place: LogPlace
}

/// The followed logs of some blocks, in the chain's order.
struct FollowedRows: Sendable, Equatable {
  var events: [VaultEvent] = []
  var transfers: [TokenTransfer] = []

  var isEmpty: Bool { events.isEmpty && transfers.isEmpty }

  /// Those of the blocks in a range.
  func within(_ range: ClosedRange<UInt64>) -> FollowedRows {
    FollowedRows(
      events: events.filter { range.contains($0.place.block.number) },
      transfers: transfers.filter { range.contains($0.place.block.number) })
  }
}

/// Blocks whose followed logs are known, to be stored in one transaction.
struct ChainSegment: Sendable {
  let range: ClosedRange<UInt64>
  /// All of the range when it is proven, otherwise those that a reorg may be walked on.
  let headers: [CheckedHeader]
  let rows: FollowedRows
  let isProven: Bool
  /// How many logs `eth_getLogs` had left out.
  let omissions: Int
}
