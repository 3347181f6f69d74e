import Postgres
import Synchronization
import TestSupport
import Testing

@Suite struct NoticeTests {
  /// What a connection's handler was given.
  final class Heard: Sendable {
    let notices = Mutex<[PostgresNotice]>([])
  }

  @Test func `notices are typed and come in order, with whatever runs`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      let heard = Heard()
      let db = try await PostgresConnection.connect(database.url, applicationName: "tests") {
        notice in heard.notices.withLock { $0.append(notice) }
      }
      try await db.script(
        "DO $$ BEGIN RAISE NOTICE 'one' USING DETAIL = 'd', HINT = 'h', ERRCODE = 'P1234'; END $$")
      try await db.run("DROP TABLE IF EXISTS nothing")
      try await db.run("ROLLBACK")
      try await db.pipeline([
        PostgresStatement("SELECT 1"), PostgresStatement("DO $$ BEGIN RAISE INFO 'four'; END $$"),
      ])
      let notices = heard.notices.withLock { $0 }
      #expect(
        notices.first
          == PostgresNotice(
            severity: .notice, sqlState: "P1234", message: "one", detail: "d", hint: "h"))
      // PostgreSQL, appendix A: 00000, and 25P01 no_active_sql_transaction
      #expect(notices.map(\.severity) == [.notice, .notice, .warning, .info])
      #expect(notices.map(\.sqlState) == ["P1234", "00000", "25P01", "00000"])
      #expect(notices.last?.message == "four")
    }
  }

  @Test func `a handler lives as long as its connection and no longer`() async throws {
    try await TestDatabase.with(migrated: false) { database in
      weak var heard: Heard?
      do {
        let kept = Heard()
        heard = kept
        let db = try await PostgresConnection.connect(database.url, applicationName: "tests") {
          [kept] notice in kept.notices.withLock { $0.append(notice) }
        }
        for n in 0..<100 { try await db.script("DO $$ BEGIN RAISE NOTICE '\(n)'; END $$") }
        #expect(kept.notices.withLock { $0.map(\.message) } == (0..<100).map { "\($0)" })
      }
      // The connection's thread lets go of it after its last job.
      while heard != nil { await Task.yield() }
    }
  }
}
