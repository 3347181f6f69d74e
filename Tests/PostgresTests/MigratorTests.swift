import Foundation
import Postgres
import TestSupport
import Testing

@Suite struct MigratorTests {
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
