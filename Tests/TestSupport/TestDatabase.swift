import Foundation
import Ledger
import Postgres

/// A database of its own for a test, migrated, on the server that TEST_DATABASE_URL names (scripts/test starts one).
public struct TestDatabase: Sendable {
  public let name: String
  /// A superuser's conninfo for it.
  public let url: String

  public static let migrations = Python.root + "/migrations"

  public struct NoServer: Error, CustomStringConvertible {
    public let description =
      "TEST_DATABASE_URL names no PostgreSQL: run scripts/test, which starts one"
  }

  /// Makes it, gives it to `body`, drops it.
  public static func with<Value>(
    migrated: Bool = true, _ body: (TestDatabase) async throws -> Value
  ) async throws -> Value {
    guard let server = ProcessInfo.processInfo.environment["TEST_DATABASE_URL"] else {
      throw NoServer()
    }
    let name = "test_" + UUID().uuidString.lowercased().replacing("-", with: "")
    let admin = try await PostgresConnection.connect(server, applicationName: "tests")
    try await admin.script("CREATE DATABASE \(name)")
    let database = TestDatabase(name: name, url: server + " dbname=\(name)")
    do {
      if migrated { _ = try await Ledger.migrate(database.url, migrations: migrations) }
      let value = try await body(database)
      try await admin.script("DROP DATABASE \(name) WITH (FORCE)")
      return value
    } catch {
      try? await admin.script("DROP DATABASE \(name) WITH (FORCE)")
      throw error
    }
  }

  public func connect() async throws -> PostgresConnection {
    try await PostgresConnection.connect(url, applicationName: "tests")
  }
}
