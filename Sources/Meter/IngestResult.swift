import Foundation

/// The answer to one line of `meter ingest`: `request_id`, `status`, `cost`, and `error` where there is one.
struct IngestResult: Equatable, Sendable {
  let requestID: String?
  let status: String
  let cost: String?
  let error: String?

  /// With `--strict` any refusal makes the exit code 1.
  var isRefusal: Bool { !["ok", "replay"].contains(status) }

  /// One line of JSON without the line feed; `request_id` and `cost` are null where there is none.
  var json: String {
    var fields = [("request_id", requestID), ("status", status), ("cost", cost)]
    if let error { fields.append(("error", error)) }
    return "{" + fields.map { "\"\($0)\":\($1.map(Self.literal) ?? "null")" }.joined(separator: ",")
      + "}"
  }

  /// What a status means for this record and what to do; nil when nothing was refused.
  static func explanation(of status: String, _ record: UsageRecord) -> String? {
    switch status {
    case "ok", "replay": nil
    case "conflict":
      "request \(record.requestID) was debited with another body; use another request_id"
    case "insufficient": "the account's spendable balance does not cover the cost"
    case "exposure": "the account's exposure limit would be passed; charge it, or raise the limit"
    case "stale": "the indexer's head is too old; spending goes on when it has caught up"
    case "frozen": "the account is frozen"
    case "no_rate":
      "model \(record.model) has no price for a unit that was used, at that time; see meter price list"
    case "unknown_account": "account \(record.account) has never deposited"
    case "unknown_node":
      "node \(record.node) belongs to no operator at that time; see meter node list"
    case "invalid":
      "the ledger refuses the record: its time lies too far ahead, or its cost is above 2^256 - 1 wei"
    default: "the ledger answered \(status)"
    }
  }

  private static func literal(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case _ where scalar.value < 0x20: out += String(format: "\\u%04x", scalar.value)
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
