import Foundation
import Postgres
import Synchronization
import TestSupport
import Testing

@Suite struct CopyTests {
  static let awkward = [
    "", "\\", "\\N", "\\.", "\t", "\n", "\r\n", "a\tb\nc\\d", "NULL", "\u{8}\u{c}\u{b}",
    "\u{1F600}\\\u{301}",
    String(repeating: "long\t", count: 50_000),
  ]

  @Test func `every value is stored as a parameter would store it`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.script(
        """
        CREATE SCHEMA "My.Own"; CREATE SCHEMA s;
        CREATE TABLE s."odd "" name" (id int, "the text" text, b bytea, o bool, texts text[], bytes bytea[], amount numeric(78,0));
        CREATE TABLE same (LIKE s."odd "" name");
        """)
      let rows =
        Self.awkward.enumerated().map { id, text -> [PostgresValue] in
          [
            .int(Int64(id)), .text(text), .bytes(Array(text.utf8.prefix(300))), .bool(id % 2 == 0),
            .array([.text(text), .null, .text("\"")]), .array([.bytes([0, 9, 10, 92])]),
            .text("115792089237316195423570985008687907853269984665640564039457584007913129639935"),
          ]
        } + [[.int(-1), .null, .null, .null, .null, .array([]), .null]]
      let columns = ["id", "the text", "b", "o", "texts", "bytes", "amount"]
      #expect(
        try await db.copy(rows, into: "s.odd \" name", columns: columns) == Int64(rows.count))
      for row in rows {
        try await db.run("INSERT INTO same VALUES ($1, $2, $3, $4, $5, $6, $7)", row)
      }
      let difference = try await db.one(
        """
        SELECT (SELECT count(*) FROM same) AS n,
          (SELECT count(*) FROM (TABLE same EXCEPT ALL TABLE s."odd "" name") AS x) AS missing
        """)
      #expect(try difference.int64("n") == Int64(rows.count))
      #expect(try difference.int64("missing") == 0)
      let texts = try await db.query(
        "SELECT \"the text\" AS t FROM s.\"odd \"\" name\" WHERE id >= 0 ORDER BY id")
      #expect(try texts.map { Array(try $0.text("t").utf8) } == Self.awkward.map { Array($0.utf8) })
    }
  }

  @Test func `an error of the producer is thrown on, nothing is kept, the connection goes on`()
    async throws
  {
    struct Stop: Error, Equatable { let row: Int }
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.run("CREATE TABLE t (n int)")
      // Within the first chunk, and after many.
      for last in [3, 100_000] {
        await #expect(throws: Stop(row: last)) {
          try await db.copy(into: "t", columns: ["n"]) { write in
            for n in 0..<last { try write([.int(Int64(n))]) }
            throw Stop(row: last)
          }
        }
        #expect(try await db.one("SELECT count(*) AS n FROM t").int64("n") == 0)
      }
      await #expect(throws: Stop(row: 0)) {
        try await db.transaction { db in
          try db.copy(into: "t", columns: ["n"]) { write in throw Stop(row: 0) }
        }
      }
      #expect(try await db.copy([[.int(5)]], into: "t", columns: ["n"]) == 1)
      #expect(try await db.copy([], into: "t", columns: ["n"]) == 0)
    }
  }

  @Test func `a row that PostgreSQL refuses ends the COPY with its error`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.run("CREATE TABLE t (n int CHECK (n < 10))")
      let short = await failure {
        try await db.copy([[.int(1)], [.int(10)]], into: "t", columns: ["n"])
      }
      #expect(short?.sqlState == "23514")
      let long = await failure {
        try await db.copy(into: "t", columns: ["n"]) { write in
          for _ in 0..<100_000 { try write([.text("no number")]) }
        }
      }
      #expect(long?.sqlState == "22P02")
      #expect(
        await failure { try await db.copy([], into: "none", columns: ["n"]) }?.sqlState == "42P01")
      #expect(try await db.copy([[.int(5)]], into: "t", columns: ["n"]) == 1)
      #expect(try await db.one("SELECT count(*) AS n FROM t").int64("n") == 1)
    }
  }

  @Test func `a row of another width, a NUL byte and a statement in between are refused`()
    async throws
  {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.run("CREATE TABLE t (a text, b text)")
      for row: [PostgresValue] in [
        [.text("a")], [.text("a"), .text("b"), .text("c")], [.text("a"), .text("\0")],
      ] {
        let error = await failure { try await db.copy([row], into: "t", columns: ["a", "b"]) }
        guard case .misuse = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
      }
      let between = await failure {
        try await db.transaction { db in
          _ = try db.copy(into: "t", columns: ["a", "b"]) { write in
            try write([.text("a"), .null])
            try db.assumeIsolated { db in try db.run("SELECT 1") }
          }
        }
      }
      guard case .misuse = between else {
        Issue.record("\(String(describing: between))")
        return
      }
      #expect(try await db.one("SELECT count(*) AS n FROM t").int64("n") == 0)
    }
  }

  @Test func `rows that a trigger drops are not counted`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.script(
        """
        CREATE TABLE t (n int);
        CREATE FUNCTION drop_odd() RETURNS trigger LANGUAGE plpgsql
          AS $$ BEGIN IF NEW.n % 2 = 1 THEN RETURN NULL; END IF; RETURN NEW; END $$;
        CREATE TRIGGER drop_odd BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION drop_odd();
        """)
      let rows = (0..<100_000).lazy.map { [PostgresValue.int(Int64($0))] }
      #expect(try await db.copy(Array(rows), into: "t", columns: ["n"]) == 50_000)
    }
  }

  @Test(arguments: [false, true])
  func `a backend killed in a COPY is a lost connection, also to a producer that hides it`(
    isHidden: Bool
  ) async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      try await victim.other.run("CREATE TABLE t (n int)")
      let (started, start) = AsyncStream.makeStream(of: Void.self)
      // Blocks the connection's thread, which is nobody else's.
      let killed = DispatchSemaphore(value: 0)
      let copying = Task {
        try await victim.connection.copy(into: "t", columns: ["n"]) { write in
          for n in 0..<100_000 { try write([.int(Int64(n))]) }
          start.yield()
          killed.wait()
          guard isHidden else { while true { try write([.int(1)]) } }
          var isRefused = false
          while !isRefused {
            do { try write([.int(1)]) } catch { isRefused = true }
          }
        }
      }
      var iterator = started.makeAsyncIterator()
      await iterator.next()
      try await victim.kill()
      killed.signal()
      guard case .connection = await failure({ try await copying.value }) else {
        Issue.record("its end was never sent")
        return
      }
      #expect(await !victim.connection.isOpen)
      #expect(try await victim.other.one("SELECT count(*) AS n FROM t").int64("n") == 0)
    }
  }

  @Test func `a connection lost while a COPY commits leaves the outcome unknown`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      try await victim.stopCommits()
      let copying = Task {
        try await victim.connection.copy([[.int(1)]], into: "t", columns: ["n"])
      }
      try await victim.untilStuck()
      try await victim.kill()
      guard case .commitUnknown = await failure({ try await copying.value }) else {
        Issue.record("its end was sent")
        return
      }
    }
  }
}
