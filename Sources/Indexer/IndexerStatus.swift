import Ethereum
import JSON

/// What `indexer status` prints: facts of the database alone, so it needs no endpoint.
struct IndexerStatus: Sendable, Equatable {
  struct Total: Sendable, Equatable {
    let count: Int64
    /// Wei.
    let sum: String
  }

  let chainID: UInt64
  let vault: Address
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
  let orphaned: Int64
  let omissionsDetected: Int64
  let reorgs: Int64
  let startUnchecked: Bool

  /// The names are the contract's.
  var json: JSONValue {
    func total(_ total: Total) -> JSONValue {
      ["count": .number(total.count), "sum": .string(total.sum)]
    }
    return [
      "chain_id": .number(chainID), "vault": .string(vault.checksummed), "quorum": .string(quorum),
      "head": .number(head), "scanned_to": .number(scannedTo), "proven_to": .number(provenTo),
      "finalized_to": .number(finalizedTo), "deposits": total(deposits),
      "withdrawals": total(withdrawals), "charged": .string(charged), "paid": .string(paid),
      "orphaned": .number(orphaned), "omissions_detected": .number(omissionsDetected),
      "reorgs": .number(reorgs), "start_unchecked": .bool(startUnchecked),
    ]
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
