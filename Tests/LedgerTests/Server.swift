import Foundation

/// The PostgreSQL that TEST_DATABASE_URL names (a superuser's conninfo; scripts/test starts one).
///
/// The migrations run once, into a template; each test gets a copy of it. Databases go when the process that started the server
/// removes it.
actor Server {
  static let shared = Server()
  private var template: Task<String, any Error>?
  private let run = "\(ProcessInfo.processInfo.processIdentifier)_\(UInt32.random(in: 0 ... .max))"
  private var made = 0

  struct Unset: Error, CustomStringConvertible {
    var description: String {
      "TEST_DATABASE_URL is not set; run scripts/test, or name a superuser's PostgreSQL there"
    }
  }

  static func conninfo(database: String?) throws -> String {
    guard let base = ProcessInfo.processInfo.environment["TEST_DATABASE_URL"] else { throw Unset() }
    // In a conninfo string the last dbname counts.
    return database.map { "\(base) dbname=\($0)" } ?? base
  }

  func newDatabase() async throws -> String {
    if template == nil { template = Task { try await self.migrate() } }
    guard let from = try await template?.value else { throw Unset() }
    made += 1
    let name = "ledger_\(run)_\(made)"
    try await Client(Self.conninfo(database: nil)).run("CREATE DATABASE \(name) TEMPLATE \(from)")
    return name
  }

  private func migrate() async throws -> String {
    let name = "ledger_\(run)_template"
    try await Client(Self.conninfo(database: nil)).run("CREATE DATABASE \(name)")
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "migrations")
    let files = try FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil
    )
    .filter { $0.pathExtension == "sql" }.sorted { $0.lastPathComponent < $1.lastPathComponent }
    let client = try Client(Self.conninfo(database: name))
    for file in files {
      try await client.run("BEGIN; \(String(contentsOf: file, encoding: .utf8)); COMMIT")
    }
    return name
  }
}
