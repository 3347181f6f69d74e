import Foundation

/// What `indexer status` prints: facts of the database alone, so it needs no endpoint. The names are the contract's.
struct IndexerStatus: Sendable, Equatable, Encodable {
  struct Total: Sendable, Equatable, Encodable {
    let count: Int
    /// Wei.
    let sum: String
  }

  let chainID: UInt64
  let vault: String
  let quorum: String
  let head: Int64
  let scannedTo: Int64
  let provenTo: Int64
  let finalizedTo: Int64
  let deposits: Total
  let withdrawals: Total
  /// Wei, final.
  let charged: String
  let paid: String
  let orphaned: Int
  let omissionsDetected: Int
  let reorgs: Int
  let startUnchecked: Bool

  enum CodingKeys: String, CodingKey {
    case chainID = "chain_id"
    case vault, quorum, head
    case scannedTo = "scanned_to"
    case provenTo = "proven_to"
    case finalizedTo = "finalized_to"
    case deposits, withdrawals, charged, paid, orphaned
    case omissionsDetected = "omissions_detected"
    case reorgs
    case startUnchecked = "start_unchecked"
  }

  /// One JSON object on one line.
  var json: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
  }

  /// For people.
  var text: String {
    var lines = [
      "chain \(chainID), vault \(vault), quorum \(quorum)",
      "head \(head)  scanned \(scannedTo)  proven \(provenTo)  finalized \(finalizedTo)",
      "deposits \(deposits.count): \(deposits.sum) wei   withdrawals \(withdrawals.count): \(withdrawals.sum) wei",
      "charged \(charged) wei   paid \(paid) wei",
      "orphaned events \(orphaned)   omissions detected \(omissionsDetected)   reorgs \(reorgs)",
    ]
    if startUnchecked {
      lines.append("the history before the start block was never checked (--start-unchecked)")
    }
    return lines.joined(separator: "\n")
  }
}
