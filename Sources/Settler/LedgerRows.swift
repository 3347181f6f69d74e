import Credits
import Ethereum
import Foundation

/// The ledger's rows as the settler reads them.

struct EpochRow: Equatable, Sendable {
  enum State: String, Sendable {
    case open, closed, planned, approved, charging, paying, final, cancelled
  }

  let epoch: UInt64
  let state: State
  let openedAt: String
  let closedAt: String?
  let isTallied: Bool
  let debits: Int64
  let gross: SignedWei
  let totals: ByRole<SignedWei>
}

struct SplitRow: Equatable, Sendable {
  let split: Split
  /// RFC 3339; nil is always.
  let validFrom: String?
  let validTo: String?
}

struct ManifestRow: Equatable, Sendable {
  let hash: Hash32
  let bytes: [UInt8]
  let planner: Address
  let signature: [UInt8]
  let createdAt: String

  func decoded() throws -> Manifest { try Manifest(decoding: bytes) }
}

struct ApprovalRow: Equatable, Sendable {
  let approver: Address
  let signature: [UInt8]
}

struct Watermark: Equatable, Sendable {
  let head: UInt64
  let provenTo: UInt64
  let finalizedTo: UInt64
  let appliedTo: UInt64
}

struct StoredBlock: Equatable, Sendable {
  let hash: Hash32
  let header: [UInt8]
}

struct AttemptRow: Equatable, Sendable {
  let hash: Hash32
  let raw: [UInt8]
  let fees: Fees
}

struct TransactionRow: Equatable, Sendable {
  enum State: String, Sendable {
    case signed, sent, unknown, mined, reverted, final
  }

  let id: Int64
  let nonce: UInt64
  let kind: String
  let chunk: Int
  let recipient: Address
  let value: UInt256
  let data: [UInt8]
  let gasLimit: UInt64
  let state: State
  let outcomeHash: Hash32?
  let outcomeBlock: UInt64?
  let outcomeBlockHash: Hash32?
  let gasUsed: UInt64?
  let gasPriceWei: UInt256?
  /// By fee, ascending; never empty.
  let attempts: [AttemptRow]

  /// The hash to show: the one that was mined, else the newest.
  var hash: Hash32? { outcomeHash ?? attempts.last?.hash }
  var isDone: Bool { state == .final || state == .reverted }
}

struct WaterfallRow: Equatable, Sendable {
  let block: UInt64
  let blockHash: Hash32
  let pool: UInt256
}

struct PayoutRow: Equatable, Sendable {
  let payee: Address
  let amount: UInt256
  /// Cumulative: what the vault is told.
  let total: UInt256
  let chunk: Int
}

struct HoldRow: Equatable, Sendable {
  let payee: Address
  let reason: String
  let since: String
}
