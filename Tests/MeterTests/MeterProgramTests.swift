import Foundation
import JSON
import Postgres
import TestSupport
import Testing

/// The program itself, as a process, on a real PostgreSQL.
@Suite struct MeterProgramTests {
  let user = "0x1111111111111111111111111111111111111111"
  let wallet = "0x2222222222222222222222222222222222222222"

  private func meter(
    _ line: String, _ database: TestDatabase, stdin: String = "", code: Int32 = 0
  ) async throws -> Products.Output {
    let output = try await Products.run(
      "meter", line.split(separator: " ").map(String.init),
      environment: ["DATABASE_URL": database.url, "MIGRATIONS_DIR": TestDatabase.migrations],
      stdin: stdin)
    #expect(output.code == code, "\(line): \(output.stderr)")
    return output
  }

  private func withPrices(_ body: (TestDatabase) async throws -> Void) async throws {
    try await TestDatabase.with { database in
      for (model, price) in [("small", "0.002"), ("large", "0.02")] {
        for unit in ["input_token", "output_token"] {
          _ = try await meter(
            "price set \(model) --unit \(unit) --prlx \(price) --per 1000", database)
        }
      }
      _ = try await meter("price set painter --unit image --prlx 0.05", database)
      _ = try await meter("node set n1 \(wallet)", database)
      let db = try await database.connect()
      try await db.run(
        "INSERT INTO credits.balance (account, spendable) VALUES (credits.parse_address($1), 10^18::numeric)",
        [.text(user)])
      try await body(database)
    }
  }

  private func answers(_ output: Products.Output) throws -> [JSONValue] {
    try output.stdout.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
  }

  private func record(_ id: String, _ model: String, _ rest: String) -> String {
    "{\"request_id\":\"\(id)\",\"account\":\"\(user)\",\"model\":\"\(model)\",\"node\":\"n1\",\(rest)}\n"
  }

  /// DESIGN, section 1: 0.002 PRLX per 1k x 1,200 tokens = 0.0024; 0.02 x 9,000 / 1,000 = 0.18.
  @Test func `the two worked examples come out to the wei`() async throws {
    try await withPrices { database in
      let lines =
        record("a", "small", "\"input_tokens\":1000,\"output_tokens\":200")
        + record("b", "large", "\"input_tokens\":4000,\"output_tokens\":5000")
      let found = try answers(await meter("ingest", database, stdin: lines))
      #expect(found.map { $0["status"]?.string } == ["ok", "ok"])
      #expect(found.map { $0["cost"]?.string } == ["2400000000000000", "180000000000000000"])
      let account = try JSONValue(
        parsing: await meter("account \(user) --json", database).stdout
          .trimmingCharacters(in: .newlines))
      #expect(account["spendable"]?.string == "817600000000000000")
      #expect(account["unsettled"]?.string == "182400000000000000")
    }
  }

  @Test func `bad records get their own answer and the rest goes on`() async throws {
    try await withPrices { database in
      let huge = String(repeating: "9", count: 78)
      let lines =
        record("1", "small", "\"input_tokens\":1,\"output_tokens\":1") + "this is no JSON\n"
        + record("2", "small", "\"input_tokens\":-1,\"output_tokens\":1")
        + record("3", "small", "\"input_tokens\":0.5,\"output_tokens\":1")
        + record("4", "small", "\"input_tokens\":\(huge),\"output_tokens\":1")
        + record("5", "none", "\"input_tokens\":1,\"output_tokens\":1")
        + record("1", "small", "\"input_tokens\":2,\"output_tokens\":1")
        + record("1", "small", "\"input_tokens\":1,\"output_tokens\":1")
        + record("6", "painter", "\"units\":{\"image\":1}")
        + record("7", "small", "\"input_tokens\":1,\"output_tokens\":1").replacing("n1", with: "n2")
        + record("8", "small", "\"input_tokens\":1,\"output_tokens\":1").replacing(
          "0x1111", with: "0x3333")
        + record("9", "large", "\"input_tokens\":1000000,\"output_tokens\":1")
      let wanted = [
        "ok", "invalid", "invalid", "invalid", "invalid", "no_rate", "conflict", "replay", "ok",
        "unknown_node", "unknown_account", "insufficient",
      ]
      let output = try await meter("ingest", database, stdin: lines)
      #expect(try answers(output).map { $0["status"]?.string } == wanted)
      _ = try await meter("ingest --strict", database, stdin: lines, code: 1)
      let again = try answers(await meter("ingest", database, stdin: lines))
      #expect(!again.contains { $0["status"]?.string == "ok" })
    }
  }

  @Test func `wrong usage is one line, exit code 2, and changes nothing`() async throws {
    try await withPrices { database in
      for line in [
        "price set small --unit input_token --prlx 0.001 --per 3",
        "price set small --unit x --prlx 1,5",
        "node set n1 0x123", "account 0x123", "nonsense", "price set", "ingest /no/such/file",
        "limit \(user) 1.2.3", "freeze \(user)", "price list twice", "node list twice",
        "price set small --unit x --unit y --prlx 1", "quote small --unit x=1 --unit x=2",
        "node set n1 \(wallet) --from tomorrow",
      ] {
        let output = try await meter(line, database, code: 2)
        #expect(output.stderr.split(separator: "\n").count == 1, "\(line): \(output.stderr)")
        #expect(output.stdout.isEmpty)
      }
      let db = try await database.connect()
      #expect(try await db.one("SELECT count(*) AS n FROM credits.price").int64("n") == 5)
    }
  }

  @Test func `freeze, limit and refund`() async throws {
    try await withPrices { database in
      _ = try await meter("freeze \(user) --reason test", database)
      let line = record("a", "small", "\"input_tokens\":1,\"output_tokens\":1")
      #expect(
        try answers(await meter("ingest", database, stdin: line))[0]["status"]?.string == "frozen")
      _ = try await meter("unfreeze \(user)", database)
      #expect(
        try answers(await meter("ingest", database, stdin: line))[0]["status"]?.string == "ok")
      _ = try await meter("limit \(user) 0.000004", database)
      let next = record("b", "small", "\"input_tokens\":1,\"output_tokens\":1")
      #expect(
        try answers(await meter("ingest", database, stdin: next))[0]["status"]?.string == "exposure"
      )
      _ = try await meter("refund a --account \(user) --reason wrong", database)
      _ = try await meter("refund nothing --account \(user) --reason wrong", database, code: 1)
      #expect(
        try answers(await meter("ingest", database, stdin: next))[0]["status"]?.string == "ok")
    }
  }

  @Test func `who writes record by record is answered record by record`() async throws {
    try await withPrices { database in
      // The second record is written only when the first has its answer; without one `read` ends the script.
      let output = try await Products.shell(
        """
        coproc meter ingest
        for id in a b; do
          echo '{"request_id":"'$id'","account":"\(user)","model":"painter","node":"n1","units":{"image":1}}' >&${COPROC[1]}
          read -r -t 60 answer <&${COPROC[0]} || exit 1
          echo "$answer"
        done
        """,
        environment: ["DATABASE_URL": database.url, "MIGRATIONS_DIR": TestDatabase.migrations])
      #expect(output.code == 0, "\(output.stderr)")
      #expect(try answers(output).map { $0["request_id"]?.string } == ["a", "b"])
    }
  }

  @Test func `no database: one line with the reason`() async throws {
    let output = try await Products.run(
      "meter", ["price", "list"],
      environment: [
        "DATABASE_URL": "host=127.0.0.1 port=1 password=secret-word",
        "MIGRATIONS_DIR": TestDatabase.migrations,
      ])
    #expect(output.code == 1)
    #expect(output.stderr.contains("no connection to PostgreSQL"))
    #expect(!output.stderr.contains("secret-word"))
  }
}
