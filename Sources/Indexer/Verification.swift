import Ethereum
import Postgres

/// `indexer verify`: proves a range again and compares it with what is stored. Changes nothing.
struct Verification {
  let prover: Prover
  let connection: PostgresConnection
  let sql: IndexerSQL

  /// - Parameter found: told each difference, as a line for people
  func differences(_ range: ClosedRange<UInt64>, found say: (String) -> Void) async throws {
    var next = range.lowerBound
    while next <= range.upperBound {
      let part = next...min(range.upperBound, next + (SegmentPlan.mostProvenBlocks - 1))
      let (headers, proven) = try await prover.prove(part, parent: nil)
      let sql = sql
      let (stored, hashes) = try await connection.transaction(.repeatableRead, readOnly: true) {
        db in (try sql.rows(part, db), try part.map { try sql.storedHash(at: $0, db) })
      }
      for (header, hash) in zip(headers, hashes) {
        if let hash, hash != header.hash {
          say("block \(header.header.number): stored \(hash), the chain has \(header.hash)")
        }
      }
      let comparison = ScanComparison(scanned: stored, proven: proven)
      for place in comparison.omitted { say("\(place): in the chain, not in the ledger") }
      for place in comparison.forged { say("\(place): in the ledger, not in the chain") }
      if comparison.omitted.isEmpty, comparison.forged.isEmpty, stored.events != proven.events {
        for (one, other) in zip(stored.events, proven.events) where one != other {
          say("\(one.place): stored with ordinal \(one.ordinal), the chain has \(other.ordinal)")
        }
      }
      next = part.upperBound + 1
    }
  }
}

extension LogPlace: CustomStringConvertible {
  var description: String {
    "log \(index) of block \(block.number), transaction \(transaction)"
  }
}
