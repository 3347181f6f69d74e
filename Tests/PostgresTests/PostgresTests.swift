import Foundation
import Postgres
import TestSupport
import Testing

@Suite struct PostgresTests {
  @Test func `values travel unchanged`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let text = "a'b\"c\\d,{}NULL\u{1F600}\"\u{301},x\\\u{301}"
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

  @Test func `a transaction commits what returns and rolls back what throws`() async throws {
    struct Stop: Error {}
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.run("CREATE TABLE t (n int)")
      await #expect(throws: Stop.self) {
        try await db.transaction { db in
          try db.run("INSERT INTO t VALUES (1)")
          throw Stop()
        }
      }
      try await db.transaction { db in try db.run("INSERT INTO t VALUES (2)") }
      #expect(try await db.query("SELECT n FROM t").map { try $0.int64("n") } == [2])
      let error = await #expect(throws: PostgresError.self) { try await db.run("SELECT 1/0") }
      #expect(error?.sqlState == "22012")
    }
  }

  @Test func `a killed backend is a lost connection, never a server's answer`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let other = try await database.connect()
      let pid = try await db.one("SELECT pg_backend_pid() AS pid").int64("pid")
      async let sleeping: Void = db.run("SELECT pg_sleep(20)")
      try await Task.sleep(for: .milliseconds(200))
      try await other.run("SELECT pg_terminate_backend($1::int)", [.int(pid)])
      do {
        try await sleeping
        Issue.record("the statement survived its backend")
      } catch PostgresError.connection {
      }
      #expect(await !db.isOpen)
    }
  }

  @Test func `cancel stops a statement`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      async let sleeping: Void = db.run("SELECT pg_sleep(20)")
      try await Task.sleep(for: .milliseconds(200))
      db.cancel()
      do {
        try await sleeping
        Issue.record("the statement was not cancelled")
      } catch let error as PostgresError {
        #expect(error.sqlState == "57014")
      }
    }
  }

  @Test func `two migrators at once run each file once`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let ran = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<4 {
          group.addTask {
            let db = try await database.connect()
            return try await Migrator(
              directory: TestDatabase.migrations, table: "credits.migration"
            ).migrate(db).count
          }
        }
        return try await group.reduce(0, +)
      }
      let files = try Migrator(directory: TestDatabase.migrations, table: "credits.migration")
        .migrations
      #expect(ran == files.count)
      let db = try await database.connect()
      #expect(try await db.one("SELECT count(*) AS n FROM credits.epoch").int64("n") == 1)
    }
  }

  @Test func `a changed migration is refused by name`() async throws {
    try await TestDatabase.with { database in
      let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      try FileManager.default.copyItem(
        at: URL(fileURLWithPath: TestDatabase.migrations), to: folder)
      defer { try? FileManager.default.removeItem(at: folder) }
      let db = try await database.connect()
      let changed = folder.appendingPathComponent("0002_chain.sql")
      try (String(contentsOf: changed, encoding: .utf8) + "\n-- x\n").write(
        to: changed, atomically: true, encoding: .utf8)
      await #expect(throws: Migrator.MigrationError.changed(version: 2, name: "chain")) {
        try await Migrator(directory: folder.path, table: "credits.migration").check(db)
      }
      try FileManager.default.removeItem(at: folder.appendingPathComponent("0009_app_views.sql"))
      await #expect(throws: Migrator.MigrationError.self) {
        try await Migrator(directory: folder.path, table: "credits.migration").check(db)
      }
    }
  }
}
