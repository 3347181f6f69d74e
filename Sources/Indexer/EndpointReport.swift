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
