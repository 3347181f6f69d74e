import Ethereum
import JSON

/// What an endpoint says about itself when the indexer starts, or `indexer probe` asks.
struct EndpointReport: Sendable, Equatable {
  let endpoint: String
  let chainID: UInt64?
  let head: UInt64?
  let finalized: UInt64?
  let hasReceipts: Bool
  /// Why it did not answer, when it did not.
  let problem: String?
}

extension EndpointReport {
  var json: JSONValue {
    func number(_ value: UInt64?) -> JSONValue { value.map { .number($0) } ?? .null }
    return [
      "endpoint": .string(endpoint), "chain_id": number(chainID), "head": number(head),
      "finalized": number(finalized), "has_receipts": .bool(hasReceipts),
      "problem": problem.map { .string($0) } ?? .null,
    ]
  }

  /// Lines with columns under a heading.
  static func table(_ reports: [EndpointReport]) -> [String] {
    func text(_ value: UInt64?) -> String { value.map { String($0) } ?? "-" }
    var cells = [["endpoint", "chain id", "head", "finalized", "receipts", "problem"]]
    cells += reports.map { report in
      [
        report.endpoint, text(report.chainID), text(report.head), text(report.finalized),
        report.hasReceipts ? "yes" : "no", report.problem ?? "",
      ]
    }
    let widths = (0..<6).map { column in cells.map { $0[column].count }.max() ?? 0 }
    return cells.map { row in
      var line = ""
      for (cell, width) in zip(row, widths) {
        line += cell + String(repeating: " ", count: width - cell.count + 2)
      }
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }
}

/// What must hold before the first block is followed.
enum StartCheck {
  /// Whether the vault has code, by one endpoint's state; nil when it does not have that state any more.
  typealias CodeQuery = @Sendable (_ vault: Address, _ block: UInt64?) async throws -> Bool?

  /// Every endpoint that answers must be of this chain; at least one must answer.
  static func chain(_ wanted: UInt64, of reports: [EndpointReport]) throws {
    for report in reports {
      guard let found = report.chainID, found != wanted else { continue }
      throw IndexerHalt.wrongChain(endpoint: report.endpoint, found: found, wanted: wanted)
    }
    guard reports.contains(where: { $0.chainID != nil }) else {
      throw ChainFault.unavailable(
        reports.map { "\($0.endpoint): \($0.problem ?? "no answer")" }.joined(separator: "; "))
    }
  }

  /// The vault has code now, and had none before its history starts: then nothing can have happened before.
  ///
  /// - Parameter unchecked: believe `startBlock` (`--start-unchecked`)
  static func vault(
    _ vault: Address, startBlock: UInt64, unchecked: Bool, hasCode: CodeQuery
  ) async throws {
    guard try await hasCode(vault, nil) == true else { throw IndexerHalt.noCode(vault: vault) }
    guard startBlock > 0, !unchecked else { return }
    switch try await hasCode(vault, startBlock - 1) {
    case false?: return
    case true?: throw IndexerHalt.startTooLate(vault: vault, startBlock: startBlock)
    case nil: throw IndexerHalt.noHistory(startBlock: startBlock)
    }
  }
}
