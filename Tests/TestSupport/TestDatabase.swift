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

  private static var server: String {
    get throws(NoServer) {
      guard let server = ProcessInfo.processInfo.environment["TEST_DATABASE_URL"] else {
        throw NoServer()
      }
      return server
    }
  }

  /// Makes one that stays for as long as the server does, for tests that hold few connections.
  public static func kept() async throws -> TestDatabase {
    let server = try server
    let admin = try await PostgresConnection.connect(server, applicationName: "tests")
    return try await create(from: Template.shared.name(server), by: admin, on: server)
  }

  /// Makes it, gives it to `body`, drops it.
  public static func with<Value>(
    migrated: Bool = true, _ body: (TestDatabase) async throws -> Value
  ) async throws -> Value {
    let server = try server
    return try await Gate.shared.pass {
      try await make(server, migrated: migrated, body)
    }
  }

  private static func make<Value>(
    _ server: String, migrated: Bool, _ body: (TestDatabase) async throws -> Value
  ) async throws -> Value {
    let admin = try await PostgresConnection.connect(server, applicationName: "tests")
    let database = try await create(
      from: migrated ? Template.shared.name(server) : "template1", by: admin, on: server)
    do {
      let value = try await body(database)
      try await admin.script("DROP DATABASE \(database.name) WITH (FORCE)")
      return value
    } catch {
      try? await admin.script("DROP DATABASE \(database.name) WITH (FORCE)")
      throw error
    }
  }

  private static func create(
    from template: String, by admin: PostgresConnection, on server: String
  ) async throws -> TestDatabase {
    let name = "test_" + UUID().uuidString.lowercased().replacing("-", with: "")
    try await admin.script("CREATE DATABASE \(name) TEMPLATE \(template)")
    return TestDatabase(name: name, url: server + " dbname=\(name)")
  }

  /// Tests run all at once; a server has a hundred connections and two cores.
  private actor Gate {
    static let shared = Gate()
    private var free = 8
    private var waiting: [CheckedContinuation<Void, Never>] = []

    nonisolated func pass<Value>(_ body: () async throws -> Value) async rethrows -> Value {
      await enter()
      do {
        let value = try await body()
        await leave()
        return value
      } catch {
        await leave()
        throw error
      }
    }

    private func enter() async {
      guard free == 0 else {
        free -= 1
        return
      }
      await withCheckedContinuation { waiting.append($0) }
    }

    private func leave() {
      guard !waiting.isEmpty else {
        free += 1
        return
      }
      waiting.removeFirst().resume()
    }
  }

  /// A migrated database to copy, made once a process: migrating takes longer than most tests.
  private actor Template {
    static let shared = Template()
    private var made: Task<String, any Error>?

    func name(_ server: String) async throws -> String {
      if let made { return try await made.value }
      let task = Task {
        let name = "template_" + UUID().uuidString.lowercased().replacing("-", with: "")
        let admin = try await PostgresConnection.connect(server, applicationName: "tests")
        try await admin.script("CREATE DATABASE \(name)")
        _ = try await Ledger.migrate(
          server + " dbname=\(name)", migrations: TestDatabase.migrations)
        return name
      }
      made = task
      return try await task.value
    }
  }

  public func connect() async throws -> PostgresConnection {
    try await PostgresConnection.connect(url, applicationName: "tests")
  }
}
