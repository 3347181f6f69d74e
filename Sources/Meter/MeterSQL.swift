import Ethereum
import Ledger
import Postgres

/// Every function of the schema that the meter calls, and what it reads.
struct MeterSQL: Sendable {
  let connection: PostgresConnection

  struct Account: Sendable {
    let spendable, held, pending, withdrawing, debt: UInt256
    /// Signed decimal text.
    let unsettled: String
    let exposureLimit: UInt256?
    let frozen: Bool
  }

  struct PriceRow: Sendable {
    let model, unit: String
    let wei: UInt256
    let from, to: String?
  }

  struct NodeRow: Sendable {
    let node: String
    let wallet: Address
    let from, to: String?
  }

  func setPrice(_ model: String, unit: String, wei: UInt256, from: String?) async throws {
    try await connection.run(
      "SELECT credits.price_set(p_model => $1, p_unit => $2, p_wei => $3::numeric, p_from => $4::timestamptz)",
      [.text(model), .text(unit), .wei(wei), Self.time(from)])
  }

  func setNode(_ node: String, wallet: Address, from: String?) async throws {
    try await connection.run(
      "SELECT credits.node_set(p_node => $1, p_wallet => $2, p_from => $3::timestamptz)",
      [.text(node), .address(wallet), Self.time(from)])
  }

  /// A status: ok or unknown_account.
  func setRule(_ account: Address, rule: String, reason: String?, limit: UInt256?) async throws
    -> String
  {
    try await connection.one(
      "SELECT credits.account_rule_set(p_account => $1, p_rule => $2, p_reason => $3, p_limit => $4::numeric) AS status",
      [
        .address(account), .text(rule), reason.map { .text($0) } ?? .null,
        limit.map { .wei($0) } ?? .null,
      ]
    ).text("status")
  }

  func refund(_ request: String, account: Address, reason: String) async throws -> (
    status: String, amount: String?
  ) {
    let row = try await connection.one(
      """
      SELECT status, amount::text AS amount
      FROM credits.refund(request_id => $1, account => $2, amount => NULL, reason => $3)
      """, [.text(request), .address(account), .text(reason)])
    return (try row.text("status"), try row.optionalText("amount"))
  }

  /// Wei; nil when a unit has no price.
  func quote(_ model: String, unitsJSON: String) async throws -> UInt256? {
    let row = try await connection.one(
      "SELECT credits.quote(model => $1, units => $2::jsonb)::text AS cost",
      [.text(model), .text(unitsJSON)])
    return try row.optionalText("cost") == nil ? nil : row.wei("cost")
  }

  func account(_ account: Address) async throws -> Account? {
    try await connection.query(
      """
      SELECT spendable, held, pending, withdrawing, unsettled, debt, exposure_limit, frozen
      FROM credits.account_balance WHERE account = $1
      """, [.address(account)]
    ).first.map { row in
      Account(
        spendable: try row.wei("spendable"), held: try row.wei("held"),
        pending: try row.wei("pending"), withdrawing: try row.wei("withdrawing"),
        debt: try row.wei("debt"), unsettled: try row.text("unsettled"),
        exposureLimit: try row.optionalText("exposure_limit") == nil
          ? nil : row.wei("exposure_limit"),
        frozen: try row.bool("frozen"))
    }
  }

  func prices() async throws -> [PriceRow] {
    try await connection.query(
      """
      SELECT model, unit, wei, \(Self.shown("valid_from")) AS valid_from, \(Self.shown("valid_to")) AS valid_to
      FROM credits.price p ORDER BY p.model, p.unit, p.valid_from
      """
    ).map { row in
      PriceRow(
        model: try row.text("model"), unit: try row.text("unit"), wei: try row.wei("wei"),
        from: try row.optionalText("valid_from"), to: try row.optionalText("valid_to"))
    }
  }

  func nodes() async throws -> [NodeRow] {
    try await connection.query(
      """
      SELECT node, wallet, \(Self.shown("valid_from")) AS valid_from, \(Self.shown("valid_to")) AS valid_to
      FROM credits.node n ORDER BY n.node, n.valid_from
      """
    ).map { row in
      NodeRow(
        node: try row.text("node"), wallet: try row.address("wallet"),
        from: try row.optionalText("valid_from"), to: try row.optionalText("valid_to"))
    }
  }

  /// One answer a record, in their order. Repeating it is safe: it is answered replay.
  func debit(_ records: [UsageRecord]) async throws -> [DebitAnswer] {
    guard !records.isEmpty else { return [] }
    let parameters: [PostgresValue] = [
      .array(records.map { .text($0.requestID) }), .array(records.map { .address($0.account) }),
      .array(records.map { .text($0.model) }), .array(records.map { .int($0.inputTokens) }),
      .array(records.map { .int($0.outputTokens) }), .array(records.map { .text($0.node) }),
      .array(records.map { $0.unitsJSON.map { .text($0) } ?? .null }),
      .array(records.map { Self.time($0.at) }),
      .array(records.map { $0.proof.map { .hash($0) } ?? .null }),
    ]
    let rows = try await connection.query(
      """
      SELECT status, cost::text AS cost FROM credits.debit_batch(request_id => $1, account => $2, model => $3,
        input_tokens => $4, output_tokens => $5, node => $6, units => $7::jsonb[], at => $8::timestamptz[],
        proof => $9::bytea[])
      """, parameters)
    guard rows.count == records.count else {
      throw PostgresError.rowCount(
        wanted: "\(records.count)", found: rows.count, sql: "credits.debit_batch")
    }
    return try rows.map {
      DebitAnswer(status: try $0.text("status"), cost: try $0.optionalText("cost"))
    }
  }

  private static func time(_ text: String?) -> PostgresValue { text.map { .text($0) } ?? .null }

  /// RFC 3339 in UTC; null for no bound.
  private static func shown(_ column: String) -> String {
    """
    CASE WHEN isfinite(\(column)) THEN to_char(\(column) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END
    """
  }
}
