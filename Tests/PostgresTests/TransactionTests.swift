import Postgres
import TestSupport
import Testing

@Suite struct TransactionTests {
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

  /// PostgreSQL answers such a COMMIT with success, and ROLLBACK as what it did.
  @Test func `a transaction whose body hides a failure does not pass for committed`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.run("CREATE TABLE t (n int)")
      let error = await failure {
        try await db.transaction { db in
          try db.run("INSERT INTO t VALUES (1)")
          #expect(throws: PostgresError.self) { try db.run("SELECT 1/0") }
        }
      }
      #expect(error == .rolledBack)
      try await db.transaction { db in try db.run("INSERT INTO t VALUES (2)") }
      #expect(try await db.query("SELECT n FROM t").map { try $0.int64("n") } == [2])
    }
  }

  @Test func `what only COMMIT checks fails the transaction, and the next one runs`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.script("CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
      let error = await failure {
        try await db.transaction { db in try db.run("INSERT INTO t VALUES (1), (1)") }
      }
      #expect(error?.sqlState == "23505")
      try await db.transaction { db in try db.run("INSERT INTO t VALUES (2)") }
      #expect(try await db.query("SELECT n FROM t").map { try $0.int64("n") } == [2])
    }
  }

  @Test func `a connection lost in COMMIT leaves the outcome unknown`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      try await victim.stopCommits()
      let committing = Task {
        try await victim.connection.transaction { db in try db.run("INSERT INTO t VALUES (1)") }
      }
      try await victim.untilStuck()
      try await victim.kill()
      guard case .commitUnknown = await failure({ try await committing.value }) else {
        Issue.record("COMMIT was under way")
        return
      }
    }
  }

  @Test func `a connection lost before BEGIN is no unknown commit`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      try await victim.kill()
      let error = await failure {
        try await victim.connection.transaction { db in try db.run("SELECT 1") }
      }
      guard case .connection = error else {
        Issue.record("nothing had begun: \(String(describing: error))")
        return
      }
    }
  }

  @Test func `a transaction that is open is neither joined nor ended by another`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.run("CREATE TABLE t (n int)")
      try await db.script("BEGIN; INSERT INTO t VALUES (1)")
      guard case .misuse = await failure({ try await db.transaction { _ in } }) else {
        Issue.record("BEGIN inside a transaction is a warning, and its COMMIT ends the outer one")
        return
      }
      try await db.script("ROLLBACK")
      #expect(try await db.one("SELECT count(*) AS n FROM t").int64("n") == 0)
      let error = await failure {
        try await db.transaction { db in
          try db.transaction { _ in }
        }
      }
      guard case .misuse = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(try await db.one("SELECT count(*) AS n FROM t").int64("n") == 0)
    }
  }

  @Test func `a body that commits behind the transaction's back is found out`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let error = await failure { try await db.transaction { db in try db.script("COMMIT") } }
      guard case .misuse = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }
}
