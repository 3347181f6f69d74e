import Foundation
import JSON
import Postgres
import TestSupport
import Testing

/// The names and types that programs outside this repository rely on (CONTRACT): they may be added to, never renamed.
@Suite struct ContractTests {
  @Test func `the programs' JSON has the contract's fields`() async throws {
    try await World.with([]) { world in
      try await world.ok("indexer migrate")
      let indexer = try await world.start("indexer run --listen 127.0.0.1:0 --poll 100ms")
      let story = Story(world: world)
      try await story.books()
      try await story.smallEpoch()
      // Nothing is mined from here on: the transaction is there to be shown, and goes nowhere.
      try await world.devnet.automine(false)
      let run = try await world.json("settler run 1 --key KEY:settler --wait sent --timeout 1m")
      let user = world.devnet.all("user")[0].address.checksummed

      expect(
        try await world.json("indexer status"),
        [
          "chain_id": "integer", "vault": "address", "quorum": "text", "head": "integer",
          "scanned_to": "integer", "proven_to": "integer", "finalized_to": "integer",
          "deposits": ["count": "integer", "sum": "wei"],
          "withdrawals": ["count": "integer", "sum": "wei"], "charged": "wei", "paid": "wei",
          "orphaned": "integer", "omissions_detected": "integer", "reorgs": "integer",
        ])
      expect(
        try await world.json("meter account \(user)"),
        [
          "account": "address", "spendable": "wei", "held": "wei", "pending": "wei",
          "withdrawing": "wei", "unsettled": "wei", "debt": "wei", "exposure_limit": "wei?",
          "frozen": "boolean",
        ])
      expect(
        try await world.json("settler epoch close"),
        [
          "epoch": "integer", "state": "text", "gross": "wei", "debits": "integer",
          "next": "integer",
        ])
      let epoch: JSONValue = [
        "epoch": "integer", "state": "text", "gross": "wei", "operators": "wei",
        "treasury": "wei", "infrastructure": "wei", "manifest": "hash",
        "payees": [["payee": "address", "role": "text", "amount": "wei", "paid": "wei"]],
        "charges": ["count": "integer", "planned": "wei", "collected": "wei"],
        "transactions": [
          [
            "hash": "hash", "nonce": "integer", "kind": "text", "state": "text",
            "block": "integer?",
          ]
        ],
        "waiting_for": "text?", "held": [], "carried": "wei",
      ]
      expect(run, epoch)
      expect(try await world.json("settler show 1"), epoch)
      expect(try await world.json("settler plan 1 --key KEY:planner"), epoch)

      let answers = try await world.ok(
        "meter ingest",
        stdin: """
          {"request_id":"c1","account":"\(user)","model":"painter","node":"fallback","units":{"image":1}}
          no record

          """
      ).split(separator: "\n").map { try JSONValue(parsing: String($0)) }
      try #require(answers.count == 2)
      let answer: JSONValue = ["request_id": "text?", "status": "text", "cost": "wei?"]
      for found in answers { expect(found, answer) }
      #expect(answers[0]["error"] == nil)
      #expect(answers[1]["error"]?.string != nil)

      // One wei too many, so that there is a break to show; exit code 1.
      try await world.database.connect().script(
        """
        SET session_replication_role = replica;
        UPDATE credits.balance SET held = held + 1 WHERE account = credits.parse_address('\(user)');
        """)
      let broken = try await world.run("auditor reconcile --json")
      #expect(broken.code == 1)
      expect(
        try JSONValue(parsing: broken.stdout.trimmingCharacters(in: .newlines)),
        [
          "block": ["number": "integer", "hash": "hash"],
          "identities": [["name": "text", "left": "wei", "right": "wei", "difference": "wei"]],
          "difference": "wei",
          "breaks": [
            ["identity": "text", "subject": "text", "difference": "wei", "cause": "text"]
          ],
        ])
      #expect(await indexer.end() == 0)
      let first = world.devnet.startBlock
      let verified = try await world.json("indexer verify --from \(first) --to \(first + 3)")
      #expect(verified["differences"] == [])
    }
  }

  /// - Parameter shape: the contract's fields, and for each the name of a type (`?`: or null); a list shows one of its items.
  private func expect(_ found: JSONValue?, _ shape: JSONValue, at path: String = "") {
    switch shape {
    case .object(let fields):
      for (name, type) in fields { expect(found?[name], type, at: path + "." + name) }
    case .array(let items):
      guard let list = found?.array else {
        Issue.record("\(path) is \(found?.description ?? "missing"), not a list")
        return
      }
      guard let item = items.first else { return }
      #expect(!list.isEmpty, "\(path) shows nothing")
      for value in list { expect(value, item, at: path + "[]") }
    default:
      let name = shape.string ?? ""
      if name.hasSuffix("?"), found == .null { return }
      #expect(
        found.map { Self.isOf(name.replacing("?", with: ""), $0) } == true,
        "\(path) is \(found?.description ?? "missing"), not \(name)")
    }
  }

  private static func isOf(_ type: String, _ value: JSONValue) -> Bool {
    switch type {
    case "integer": value.number?.wholeMatch(of: /-?\d+/) != nil
    // Decimal strings: numbers of JSON lose digits.
    case "wei": value.string?.wholeMatch(of: /0|-?[1-9]\d*/) != nil
    case "address": value.string?.wholeMatch(of: /0x[0-9a-fA-F]{40}/) != nil
    case "hash": value.string?.wholeMatch(of: /0x[0-9a-f]{64}/) != nil
    case "text": value.string?.isEmpty == false
    case "boolean": value.bool != nil
    default: false
    }
  }

  /// `name type`, with `?` for what may be left out. A later argument may be added only with a default.
  private static let functions: [(name: String, takes: [String], gives: [String])] = [
    (
      "debit",
      [
        "request_id text", "account bytea", "model text", "input_tokens bigint",
        "output_tokens bigint", "node text", "units jsonb?", "at timestamptz?", "proof bytea?",
      ], ["status text", "cost numeric", "spendable numeric"]
    ),
    (
      "debit_batch",
      [
        "request_id text[]", "account bytea[]", "model text[]", "input_tokens bigint[]",
        "output_tokens bigint[]", "node text[]", "units jsonb[]?", "at timestamptz[]?",
        "proof bytea[]?",
      ], ["status text", "cost numeric", "spendable numeric"]
    ),
    (
      "authorise",
      [
        "request_id text", "account bytea", "model text", "input_tokens bigint",
        "max_output_tokens bigint", "node text?", "units jsonb?", "ttl interval?",
        "at timestamptz?",
      ], ["status text", "amount numeric", "expires_at timestamptz", "spendable numeric"]
    ),
    (
      "capture",
      [
        "request_id text", "account bytea", "input_tokens bigint", "output_tokens bigint",
        "node text?", "units jsonb?", "proof bytea?", "part integer?", "final boolean?",
      ], ["status text", "cost numeric", "spendable numeric"]
    ),
    (
      "release", ["request_id text", "account bytea"],
      ["status text", "released numeric", "spendable numeric"]
    ),
    (
      "refund", ["request_id text", "account bytea", "amount numeric", "reason text"],
      ["status text", "amount numeric", "spendable numeric"]
    ),
    ("quote", ["model text", "units jsonb", "at timestamptz?"], ["numeric"]),
    ("balance_of", ["account bytea"], myBalance),
    ("activity_of", ["account bytea", "before timestamptz?", "max integer?"], myActivity),
    ("parse_address", [" text"], ["bytea"]),
    ("format_address", [" bytea"], ["text"]),
  ]

  private static let myBalance = [
    "account bytea", "spendable numeric", "held numeric", "pending numeric",
    "withdrawing numeric", "unsettled numeric", "debt numeric", "frozen boolean",
    "as_of timestamptz",
  ]

  private static let myActivity = [
    "kind text", "at timestamptz", "amount numeric", "status text", "reference text",
    "model text", "block_number bigint", "confirmations bigint",
  ]

  @Test func `the schema's functions and views have the contract's names and types`() async throws {
    try await TestDatabase.with { database in
      let db = try await database.connect()
      for function in Self.functions {
        #expect(
          try await arguments(of: function.name, ["i", "b"], db) == function.takes,
          "\(function.name) takes")
        #expect(try await answer(of: function.name, db) == function.gives, "\(function.name) gives")
      }
      for (view, columns) in [("my_balance", Self.myBalance), ("my_activity", Self.myActivity)] {
        #expect(try await self.columns(of: "credits." + view, db) == columns, "\(view)")
      }
    }
  }

  private func arguments(
    of function: String, _ modes: [String], _ db: PostgresConnection
  ) async throws -> [String] {
    try await db.query(
      """
      SELECT coalesce(proargnames[n], '') || ' ' || replace(format_type(type, NULL), 'timestamp with time zone', 'timestamptz')
        || CASE WHEN row_number() OVER (PARTITION BY mode IN ('i', 'b') ORDER BY n) > pronargs - pronargdefaults
          AND mode IN ('i', 'b') THEN '?' ELSE '' END AS argument
      FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace AND nspname = 'credits',
        unnest(coalesce(proallargtypes, proargtypes::oid[])) WITH ORDINALITY AS a (type, n),
        LATERAL (SELECT coalesce(proargmodes[n]::text, 'i') AS mode) AS m
      WHERE proname = $1 AND mode = ANY ($2::text[]) ORDER BY n
      """, [.text(function), .array(modes.map { .text($0) })]
    ).map { try $0.text("argument") }
  }

  /// Its columns, or its type.
  private func answer(of function: String, _ db: PostgresConnection) async throws -> [String] {
    let named = try await arguments(of: function, ["o", "b", "t"], db)
    guard named.isEmpty else { return named.map { $0.replacing("?", with: "") } }
    let row = try await db.one(
      """
      SELECT format_type(prorettype, NULL) AS type, typrelid <> 0 AS is_row
      FROM pg_proc JOIN pg_type t ON t.oid = prorettype
      WHERE pronamespace = 'credits'::regnamespace AND proname = $1
      """, [.text(function)])
    let type = try row.text("type")
    return try row.bool("is_row") ? try await columns(of: type, db) : [type]
  }

  /// Domains count as what they are over.
  private func columns(of relation: String, _ db: PostgresConnection) async throws -> [String] {
    try await db.query(
      """
      SELECT attname || ' ' || replace(format_type(CASE WHEN typtype = 'd' THEN typbasetype ELSE atttypid END, NULL),
        'timestamp with time zone', 'timestamptz') AS name
      FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
      WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
      """, [.text(relation)]
    ).map { try $0.text("name") }
  }
}
