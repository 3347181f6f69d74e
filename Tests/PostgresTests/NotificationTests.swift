import Postgres
import TestSupport
import Testing

@Suite struct NotificationTests {
  /// Far longer than any test takes: nothing here waits for it to pass.
  static let long = Duration.seconds(3600)

  @Test func `a notification wakes the one who waits, with its channel and payload`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let listener = try await database.connect()
      let sender = try await database.connect()
      try await listener.listen("Odd \"channel\"")
      async let first = listener.nextNotification(timeout: Self.long)
      let sent = try await sender.one(
        "SELECT pg_notify($1, $2), pg_backend_pid() AS id",
        [.text("Odd \"channel\""), .text("päyload\n\"1\"")])
      #expect(
        try await first
          == PostgresNotification(
            channel: "Odd \"channel\"", payload: "päyload\n\"1\"",
            processID: Int32(try sent.int64("id"))))
      try await sender.script("NOTIFY \"Odd \"\"channel\"\"\"; NOTIFY another")
      #expect(try await listener.nextNotification(timeout: Self.long)?.payload == "")
      #expect(try await listener.nextNotification(timeout: .zero) == nil)
    }
  }

  @Test func `what came with other statements is delivered in its order`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.listen("c")
      // Its own notifications come before the answer to the statement that sent them.
      try await db.transaction { db in
        for n in 1...3 { try db.run("SELECT pg_notify('c', $1)", [.text("\(n)")]) }
      }
      try await db.pipeline([
        PostgresStatement("SELECT pg_notify('c', '4')"),
        PostgresStatement("SELECT pg_notify('c', '5')"),
      ])
      try await db.unlisten("c")
      try await db.run("SELECT pg_notify('c', 'nobody listens')")
      var payloads: [String] = []
      while let next = try await db.nextNotification(timeout: .zero) {
        payloads.append(next.payload)
      }
      #expect(payloads == ["1", "2", "3", "4", "5"])
    }
  }

  /// More than the cooperative pool has threads, so if waiting took those, the one who notifies would never run.
  @Test func `waiting blocks no one but its connection`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let sender = try await database.connect()
      try await withThrowingTaskGroup(of: String?.self) { group in
        for _ in 0..<12 {
          let listener = try await database.connect()
          try await listener.listen("c")
          group.addTask { try await listener.nextNotification(timeout: Self.long)?.payload }
        }
        try await sender.run("SELECT pg_notify('c', 'all')")
        for try await payload in group { #expect(payload == "all") }
      }
    }
  }

  @Test func `cancelling the task ends the wait, and the connection goes on`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.listen("c")
      for round in 0..<20 {
        let waiting = Task { try await db.nextNotification(timeout: Self.long) }
        // Before it starts, while it starts, and while it waits.
        for _ in 0..<round * 10 { await Task.yield() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
      }
      try await db.run("SELECT pg_notify('c', 'still here')")
      #expect(try await db.nextNotification(timeout: Self.long)?.payload == "still here")
    }
  }

  @Test func `without a notification the wait ends after its time`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      try await db.listen("c")
      let start = ContinuousClock.now
      #expect(try await db.nextNotification(timeout: .milliseconds(30)) == nil)
      #expect(ContinuousClock.now - start >= .milliseconds(30))
      #expect(try await db.nextNotification(timeout: .seconds(-1)) == nil)
    }
  }

  @Test func `a backend killed during the wait is a lost connection`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let victim = try await Victim(database)
      try await victim.connection.listen("c")
      let waiting = Task { try await victim.connection.nextNotification(timeout: Self.long) }
      try await victim.kill()
      guard case .connection = await failure({ try await waiting.value }) else {
        Issue.record("a wait without a server")
        return
      }
      #expect(await !victim.connection.isOpen)
    }
  }

  @Test func `a channel that PostgreSQL would cut short is refused`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let db = try await database.connect()
      for name in ["", String(repeating: "ä", count: 32)] {
        guard case .misuse = await failure({ try await db.listen(name) }) else {
          Issue.record("\(name) was not refused")
          continue
        }
      }
      let longest = String(repeating: "x", count: 63)
      try await db.listen(longest)
      try await db.run("SELECT pg_notify($1, '')", [.text(longest)])
      #expect(try await db.nextNotification(timeout: Self.long)?.channel == longest)
    }
  }
}
