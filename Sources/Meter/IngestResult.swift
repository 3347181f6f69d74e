import JSON

/// The answer to one line of `meter ingest`: `request_id`, `status`, `cost`, and `error` where there is one.
struct IngestResult: Equatable, Sendable {
  let requestID: String?
  let status: String
  let cost: String?
  let error: String?

  /// With `--strict` any refusal makes the exit code 1.
  var isRefusal: Bool { !["ok", "replay"].contains(status) }

  /// `request_id` and `cost` are null where there is none.
  var json: JSONValue {
    func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
    return .object(
      [("request_id", text(requestID)), ("status", .string(status)), ("cost", text(cost))]
        + (error.map { [("error", .string($0))] } ?? []))
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
}
