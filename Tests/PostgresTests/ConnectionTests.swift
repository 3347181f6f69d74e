import Foundation
import Postgres
import TestSupport
import Testing

@Suite struct ConnectionTests {
  @Test func `a killed backend is a lost connection, never a server's answer`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      let stuck = Task {
        try await victim.connection.transaction { db in try db.run(Victim.stuck) }
      }
      try await victim.untilStuck()
      try await victim.kill()
      guard case .connection = await failure({ try await stuck.value }) else {
        Issue.record("nothing of an open transaction lasts")
        return
      }
      #expect(await !victim.connection.isOpen)
      guard case .connection = await failure({ try await victim.connection.run("SELECT 1") }) else {
        Issue.record("nothing was sent")
        return
      }
    }
  }

  @Test(arguments: [true, false])
  func `what a statement outside a transaction did is unknown when its answer is lost`(
    asScript: Bool
  ) async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      let stuck = Task {
        if asScript {
          try await victim.connection.script(Victim.stuck)
        } else {
          try await victim.connection.run(Victim.stuck)
        }
      }
      try await victim.untilStuck()
      try await victim.kill()
      guard case .commitUnknown = await failure({ try await stuck.value }) else {
        Issue.record("it may have committed")
        return
      }
    }
  }

  @Test func `cancel stops a statement`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      let stuck = Task { try await victim.connection.run(Victim.stuck) }
      try await victim.untilStuck()
      try await victim.connection.cancel()
      #expect(await failure { try await stuck.value }?.sqlState == "57014")
      #expect(try await victim.connection.one("SELECT 1 AS n").int64("n") == 1)
    }
  }

  @Test(arguments: [
    "postgres//u:hunter2@h/d", "host=h password=hunter2 sslmode", "password='hunter2", "hunter2",
    "host=h\0password=hunter2",
  ])
  func `a connection string that cannot be read is not repeated`(conninfo: String) async throws {
    let error = await failure {
      _ = try await PostgresConnection.connect(conninfo, applicationName: "tests")
    }
    guard case .connection(let why) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(why.contains("connection string") && !why.contains("hunter2"))
  }

  @Test func `an unreachable server is named`() async throws {
    let error = await failure {
      _ = try await PostgresConnection.connect("host=/nowhere", applicationName: "tests")
    }
    #expect("\(error as Any)".contains("/nowhere"))
  }

  @Test func `the connection string decides what it names, but not the formats`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await PostgresConnection.connect(
        database.url + " options='-c work_mem=123kB -c bytea_output=escape'",
        applicationName: "shown")
      let row = try await db.one(
        """
        SELECT current_setting('work_mem') AS memory, current_setting('application_name') AS name,
          current_setting('bytea_output') AS format
        """)
      #expect(try row.text("memory") == "123kB")
      #expect(try row.text("name") == "shown")
      #expect(try row.text("format") == "hex")
    }
  }

  @Test func `a NUL byte in a statement or a text is refused, not cut off`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      for attempt: @Sendable () async throws -> Void in [
        { try await db.run("SELECT 1\0; nonsense") },
        { try await db.script("SELECT 1;\0 nonsense") },
        { try await db.run("SELECT $1::text", [.text("a\0b")]) },
        { try await db.run("SELECT $1::text[]", [.array([.text("a\0b")])]) },
        { try await db.pipeline([PostgresStatement("SELECT 1\0")]) },
        { try await db.listen("a\0b") },
      ] {
        guard case .misuse = await failure(attempt) else {
          Issue.record("was not refused")
          return
        }
      }
      #expect(try await db.one("SELECT 1 AS n").int64("n") == 1)
    }
  }

  @Test func `more parameters than the protocol counts are refused`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      let many = [PostgresValue](repeating: .int(1), count: 65536)
      guard case .misuse = await failure({ try await db.run("SELECT 1", many) }) else {
        Issue.record("was not refused")
        return
      }
      let most = (1...65535).map { "$\($0)::int" }.joined(separator: ",")
      let row = try await db.one(
        "SELECT cardinality(ARRAY[\(most)]) AS n", Array(many.dropLast()))
      #expect(try row.int64("n") == 65535)
    }
  }

  @Test func `COPY as a statement is refused, and does not leave a connection in it`() async throws
  {
    try await TestDatabase.with(migrated: false) { database in
      let setup = try await database.connect()
      try await setup.script(
        "CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 100000)")
      for sql in ["COPY t FROM STDIN", "COPY t TO STDOUT"] {
        for run: @Sendable (PostgresConnection) async throws -> Void in [
          { try await $0.run(sql) }, { try await $0.script(sql) },
          { try await $0.pipeline([PostgresStatement("SELECT 1"), PostgresStatement(sql)]) },
        ] {
          let db = try await database.connect()
          guard case .misuse = await failure({ try await run(db) }) else {
            Issue.record("\(sql) was not refused")
            continue
          }
          #expect(await !db.isOpen)
        }
      }
    }
  }
}
