import Postgres
import TestSupport
import Testing

@Suite struct PipelineTests {
  @Test func `statements run in one round trip and answer in their order`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let counts = try await db.transaction { db -> [[Int64]] in
        let answers = try db.pipeline([
          PostgresStatement("CREATE TABLE t (n int, b bytea)"),
          PostgresStatement(
            "INSERT INTO t VALUES ($1, $2), ($1 + 1, NULL)", [.int(7), .bytes([9])]),
          PostgresStatement("SELECT n FROM t ORDER BY n"),
          PostgresStatement("DELETE FROM t WHERE b = $1 RETURNING n", [.bytes([9])]),
          PostgresStatement("SELECT n FROM t"),
          PostgresStatement("SELECT n FROM t WHERE false"),
        ])
        return try answers.map { try $0.map { try $0.int64("n") } }
      }
      #expect(counts == [[], [], [7, 8], [7], [8], []])
      #expect(try await db.pipeline([]).isEmpty)
      #expect(try await db.one("SELECT n FROM t").int64("n") == 8)
    }
  }

  @Test func `the first failure is the error, the rest is not run, and the connection goes on`()
    async throws
  {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.run("CREATE TABLE t (n int)")
      let statements = [
        PostgresStatement("INSERT INTO t VALUES (1)"),
        PostgresStatement("SELECT 1 / $1::int", [.int(0)]),
        PostgresStatement("SELECT * FROM missing"),
        PostgresStatement("INSERT INTO t VALUES (2)"),
      ]
      let inside = await failure {
        try await db.transaction { db in
          try db.run("INSERT INTO t VALUES (0)")
          try db.pipeline(statements)
        }
      }
      #expect(inside?.sqlState == "22012")
      let outside = await failure { try await db.pipeline(statements) }
      #expect(outside?.sqlState == "22012")
      // Within a savepoint even the transaction goes on.
      let kept = try await db.transaction { db -> Int64 in
        try db.run("INSERT INTO t VALUES (3)")
        try db.run("SAVEPOINT s")
        #expect(throws: PostgresError.self) { try db.pipeline(statements) }
        try db.run("ROLLBACK TO SAVEPOINT s")
        return try db.one("SELECT count(*) AS n FROM t").int64("n")
      }
      #expect(kept == 1)
      #expect(try await db.query("SELECT n FROM t").map { try $0.int64("n") } == [3])
    }
  }

  @Test func `outside a transaction a pipeline is one, and what its commit refuses is an error`()
    async throws
  {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.script("CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
      let error = await failure {
        try await db.pipeline([
          PostgresStatement("INSERT INTO t VALUES (1)"),
          PostgresStatement("INSERT INTO t VALUES (1)"),
        ])
      }
      #expect(error?.sqlState == "23505")
      try await db.pipeline([PostgresStatement("INSERT INTO t VALUES (2)")])
      #expect(try await db.query("SELECT n FROM t").map { try $0.int64("n") } == [2])
    }
  }

  /// 64 MB each way, through socket buffers of some hundred kilobytes: whoever first writes all and then reads stands still, as
  /// the server does not read on while nobody takes its answers.
  @Test func `statements and answers that exceed every buffer do not stop each other`() async throws
  {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let payload = [UInt8](repeating: 0xd5, count: 1 << 20)
      let statement = PostgresStatement(
        "SELECT $1 AS same, repeat('x', 1000000) AS more, octet_length($1) AS n", [.bytes(payload)])
      let answers = try await db.transaction { db in
        try db.pipeline(Array(repeating: statement, count: 64))
      }
      #expect(answers.count == 64)
      #expect(try answers.allSatisfy { try $0.count == 1 && $0[0].int64("n") == 1 << 20 })
      #expect(try answers.last?.first?.bytes("same") == payload)
    }
  }

  @Test(arguments: [true, false]) func `a backend killed in a pipeline is a lost connection`(
    inTransaction: Bool
  ) async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      let statements = [
        PostgresStatement("SELECT 1"), PostgresStatement(Victim.stuck),
        PostgresStatement("SELECT 2"),
      ]
      let stuck = Task {
        if inTransaction {
          try await victim.connection.transaction { db in _ = try db.pipeline(statements) }
        } else {
          try await victim.connection.pipeline(statements)
        }
      }
      try await victim.untilStuck()
      try await victim.kill()
      switch await failure({ try await stuck.value }) {
      case .connection: #expect(inTransaction)
      // The commit at its end may have happened.
      case .commitUnknown: #expect(!inTransaction)
      case let other: Issue.record("\(String(describing: other))")
      }
      #expect(await !victim.connection.isOpen)
      guard
        case .connection = await failure({
          try await victim.connection.pipeline([PostgresStatement("SELECT 1")])
        })
      else {
        Issue.record("nothing was sent")
        return
      }
    }
  }

  @Test func `a connection lost while a pipeline commits leaves the outcome unknown`() async throws
  {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      try await victim.stopCommits()
      let stuck = Task {
        try await victim.connection.pipeline([
          PostgresStatement("INSERT INTO t VALUES (1)"), PostgresStatement("SELECT 1"),
        ])
      }
      try await victim.untilStuck()
      try await victim.kill()
      guard case .commitUnknown = await failure({ try await stuck.value }) else {
        Issue.record("the commit at its end was under way")
        return
      }
    }
  }

  @Test func `cancel ends a pipeline at the statement under way`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      let stuck = Task {
        try await victim.connection.pipeline([
          PostgresStatement("CREATE TABLE t (n int)"), PostgresStatement(Victim.stuck),
        ])
      }
      try await victim.untilStuck()
      try await victim.connection.cancel()
      #expect(await failure { try await stuck.value }?.sqlState == "57014")
      let row = try await victim.connection.one("SELECT to_regclass('t') IS NULL AS missing")
      #expect(try row.bool("missing"))
    }
  }
}
