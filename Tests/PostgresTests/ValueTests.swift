import Postgres
import TestSupport
import Testing

@Suite struct ValueTests {
  @Test func `values travel unchanged`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let text = "a'b\"c\\d,{}NULL\u{1F600}"
      let row = try await db.one(
        """
        SELECT $1::text AS t, $2::bytea AS b, $3::int8 AS i, $4::bool AS o, $5::text IS NULL AS n,
          ($6::text[])[2] AS at, ($7::bytea[])[1] AS ab, ($6::text[])[3] IS NULL AS an, $8::numeric AS big
        """,
        [
          .text(text), .bytes([0, 1, 255]), .int(-5), .bool(true), .null,
          .array([.text("x"), .text(text), .null]), .array([.bytes([0, 34, 92])]),
          .text("115792089237316195423570985008687907853269984665640564039457584007913129639935"),
        ])
      #expect(try row.text("t") == text)
      #expect(try row.bytes("b") == [0, 1, 255])
      #expect(try row.int64("i") == -5)
      #expect(try row.bool("o") && row.bool("n") && row.bool("an"))
      #expect(try row.text("at") == text)
      #expect(try row.bytes("ab") == [0, 34, 92])
      #expect(try row.text("big").count == 78)
      #expect(throws: PostgresError.self) { try row.int64("t") }
      #expect(throws: PostgresError.self) { try row.text("nothing") }
    }
  }

  /// A combining accent makes one Swift character of a quote and itself; PostgreSQL reads bytes.
  @Test func `an accent on a quote does not open an array to more elements`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let elements = ["\"\u{301},\"injected", "\\\u{301}\"", "\"\u{FE0F}", "{\u{301}}", ""]
      let rows = try await db.query(
        "SELECT e FROM unnest($1::text[]) WITH ORDINALITY AS s (e, n) ORDER BY n",
        [.array(elements.map { .text($0) })])
      #expect(try rows.map { Array(try $0.text("e").utf8) } == elements.map { Array($0.utf8) })
    }
  }

  @Test(arguments: [0, 1, 2, 20, 32, 70_000]) func `bytes arrive as they were sent, of any length`(
    count: Int
  ) async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 / 256) }
      // PostgreSQL's own digits are the independent witness.
      let row = try await db.one(
        "SELECT $1 AS b, length($1) AS n, encode($1, 'hex') AS digits, $1 IS NULL AS missing",
        [.bytes(bytes)])
      let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      #expect(try row.bytes("b") == bytes)
      #expect(try row.int64("n") == Int64(count))
      #expect(try row.text("digits") == digits)
      #expect(try !row.bool("missing"))
    }
  }

  @Test func `bytes are a bytea where a domain over it is due, and the domain's check holds`()
    async throws
  {
    try await TestDatabase.with { database in
      let db = try await database.connect()
      try await db.script(
        """
        CREATE TABLE t (who credits.address, hash credits.hash32);
        CREATE FUNCTION f(a credits.address, h credits.hash32) RETURNS text LANGUAGE sql
          AS $$ SELECT encode(a, 'hex') || encode(h, 'hex') $$;
        """)
      let address = [UInt8](repeating: 0xab, count: 20)
      let hash = [UInt8](repeating: 0x5c, count: 32)
      try await db.run("INSERT INTO t VALUES ($1, $2)", [.bytes(address), .bytes(hash)])
      try await db.run("INSERT INTO t VALUES ($1, $2)", [.null, .null])
      let found = try await db.one(
        "SELECT who, hash FROM t WHERE who = $1 AND (hash = $2 OR $3::bytea IS NOT NULL)",
        [.bytes(address), .bytes(hash), .null])
      #expect(try found.bytes("who") == address)
      #expect(try found.bytes("hash") == hash)
      #expect(
        try await db.one("SELECT f($1, $2) AS x", [.bytes(address), .bytes(hash)]).text("x")
          == String(repeating: "ab", count: 20) + String(repeating: "5c", count: 32))
      #expect(
        try await db.one("SELECT f($1, $2) IS NULL AS x", [.null, .bytes(hash)]).bool("x"))
      #expect(
        try await db.one("SELECT count(*) AS n FROM t WHERE who IS NULL").int64("n") == 1)
      // check_violation (PostgreSQL, appendix A)
      let short = await failure {
        try await db.run("INSERT INTO t VALUES ($1, NULL)", [.bytes(Array(address.dropLast()))])
      }
      #expect(short?.sqlState == "23514")
    }
  }

  @Test func `bytes where a text is due are an error, not a text`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let error = await failure {
        try await db.run("SELECT lower($1)", [.bytes(Array("Name".utf8))])
      }
      // undefined_function: there is no lower(bytea)
      #expect(error?.sqlState == "42883")
    }
  }

  @Test func `two columns of one name are never taken for each other`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let row = try await db.one("SELECT 1 AS n, 2 AS n, 3 AS n, 4 AS m")
      let error = #expect(throws: PostgresError.self) { try row.int64("n") }
      #expect("\(error as Any)".contains("more than once"))
      #expect(try row.int64("m") == 4)
    }
  }

  @Test func `rows outlive their connection`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let rows = try await database.connect().query("SELECT n FROM generate_series(1, 3) AS n")
      #expect(try rows.map { try $0.int64("n") } == [1, 2, 3])
    }
  }
}
