import Foundation
import Ledger
import Postgres

/// A migrated database of its own for each test, on the PostgreSQL that TEST_DATABASE_URL names (scripts/test starts one).
actor TestLedgers {
  static let shared = TestLedgers()
  static let migrations = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "migrations").path
  private let run = "\(ProcessInfo.processInfo.processIdentifier)_\(UInt32.random(in: 0 ... .max))"
  private var template: Task<String, any Error>?
  private var made = 0

  struct Unset: Error, CustomStringConvertible {
    var description: String {
      "TEST_DATABASE_URL is not set; run scripts/test, or name a superuser's PostgreSQL there"
    }
  }

  func make() async throws -> TestLedger {
    if template == nil {
      let name = "indexer_\(run)_template"
      template = Task {
        try await TestLedger(try Self.base()).script("CREATE DATABASE \(name)")
        _ = try await Ledger.migrate(
          "\(try Self.base()) dbname=\(name)", migrations: Self.migrations)
        return name
      }
    }
    guard let from = try await template?.value else { throw Unset() }
    let name = try await empty(template: from)
    return try await TestLedger("\(Self.base()) dbname=\(name)")
  }

  /// The conninfo of a database without a schema.
  func makeEmpty() async throws -> String {
    "\(try Self.base()) dbname=\(try await empty(template: "template1"))"
  }

  private func empty(template: String) async throws -> String {
    made += 1
    let name = "indexer_\(run)_\(made)"
    try await TestLedger(try Self.base()).script("CREATE DATABASE \(name) TEMPLATE \(template)")
    return name
  }

  private static func base() throws -> String {
    guard let base = ProcessInfo.processInfo.environment["TEST_DATABASE_URL"] else { throw Unset() }
    return base
  }
}

/// A superuser's connection to a test's database.
struct TestLedger {
  let conninfo: String
  private let connection: PostgresConnection

  init(_ conninfo: String) async throws {
    self.conninfo = conninfo
    connection = try await PostgresConnection.connect(conninfo, applicationName: "indexer test")
    try await connection.script("SET statement_timeout = '60s'")
  }

  /// What the indexer is given: the same database with its own rights.
  func asIndexer() async throws -> PostgresConnection {
    try await Ledger.open(conninfo, as: .indexer, migrations: TestLedgers.migrations)
  }

  func script(_ sql: String) async throws { try await connection.script(sql) }

  /// A query's rows, one a line, columns parted by a blank.
  func text(_ sql: String) async throws -> String {
    try await connection.one(
      """
      SELECT coalesce(string_agg(translate(trim(both '()' from row_text), ',', ' '), chr(10)), '') AS rows
      FROM (SELECT t::text AS row_text FROM (\(sql)) AS t) AS r
      """
    ).text("rows")
  }
}
