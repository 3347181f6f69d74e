import Foundation

/// Runs numbered SQL files once each, in order, and remembers their checksums in the table `credits.migration`'s shape:
/// (version, name, checksum, applied_at). The first file makes that table itself.
public struct Migrator: Sendable {
  public struct Migration: Sendable, Equatable {
    public let version: Int
    public let name: String
    public let sql: String
  }

  public enum MigrationError: Error, Sendable, Equatable, CustomStringConvertible {
    case noFiles(directory: String)
    case badFileName(String)
    case gap(expected: Int, found: String)
    case unreadable(String)
    case changed(version: Int, name: String)
    case unknown(version: Int, name: String)
    case behind(database: Int, program: Int)

    public var description: String {
      switch self {
      case .noFiles(let directory):
        "no migrations in \(directory); set MIGRATIONS_DIR to the folder that holds them"
      case .badFileName(let name): "\(name) is not named NNNN_name.sql"
      case .gap(let expected, let found):
        "migrations are numbered without gaps: \(found) where number \(expected) is due"
      case .unreadable(let name): "\(name) cannot be read as UTF-8 text"
      case .changed(let version, let name):
        "migration \(version) (\(name)) is not what ran in this database: restore the file; "
          + "what has landed is never edited"
      case .unknown(let version, let name):
        "this database has migration \(version) (\(name)), which this program does not know: "
          + "use the newer release"
      case .behind(let database, let program):
        "the database's schema is at version \(database), this program needs \(program): "
          + "run indexer migrate as the schema's owner"
      }
    }
  }

  public let migrations: [Migration]
  private let table: String

  /// The files NNNN_name.sql of a folder.
  public init(directory: String, table: String) throws {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    var migrations: [Migration] = []
    for file in names.filter({ $0.hasSuffix(".sql") }).sorted() {
      let stem = file.dropLast(4)
      guard stem.count > 5, stem.dropFirst(4).first == "_", let version = Int(stem.prefix(4)) else {
        throw MigrationError.badFileName(file)
      }
      guard version == migrations.count + 1 else {
        throw MigrationError.gap(expected: migrations.count + 1, found: file)
      }
      guard let sql = try? String(contentsOfFile: directory + "/" + file, encoding: .utf8) else {
        throw MigrationError.unreadable(file)
      }
      migrations.append(
        Migration(version: version, name: String(stem.dropFirst(5)), sql: sql))
    }
    guard !migrations.isEmpty else { throw MigrationError.noFiles(directory: directory) }
    self.migrations = migrations
    self.table = table
  }

  /// Runs what has not run, each file in one transaction. Safe when two start at once.
  /// - Returns: what this call ran.
  public func migrate(_ connection: PostgresConnection) async throws -> [Migration] {
    var ran: [Migration] = []
    for migration in migrations {
      var attempt = 0
      while true {
        do {
          if try await apply(migration, connection) { ran.append(migration) }
          break
        } catch let error as PostgresError where attempt < 20 && Self.isRace(error) {
          // Two first migrations race for the schema and the cluster's roles: the loser looks again.
          attempt += 1
          try await Task.sleep(for: .milliseconds(50 * attempt))
        }
      }
    }
    try await check(connection)
    return ran
  }

  /// Throws unless the database has exactly these migrations.
  public func check(_ connection: PostgresConnection) async throws {
    let table = self.table
    let applied = try await connection.transaction(.repeatableRead, readOnly: true) {
      db -> [(Int, String)] in
      guard try db.one("SELECT to_regclass($1) IS NOT NULL AS there", [.text(table)]).bool("there")
      else { return [] }
      return try db.query("SELECT version, name FROM \(table) ORDER BY version").map {
        (Int(try $0.int64("version")), try $0.text("name"))
      }
    }
    for (version, name) in applied where version > migrations.count {
      throw MigrationError.unknown(version: version, name: name)
    }
    guard applied.count == migrations.count else {
      throw MigrationError.behind(database: applied.count, program: migrations.count)
    }
    for migration in migrations {
      let same = try await connection.one(
        "SELECT checksum = sha256(convert_to($2, 'UTF8')) AND name = $3 AS same FROM \(table) WHERE version = $1",
        [.int(Int64(migration.version)), .text(migration.sql), .text(migration.name)])
      guard try same.bool("same") else {
        throw MigrationError.changed(version: migration.version, name: migration.name)
      }
    }
  }

  private func apply(
    _ migration: Migration, _ connection: PostgresConnection
  ) async throws -> Bool {
    let table = self.table
    return try await connection.transaction { db in
      if try db.one("SELECT to_regclass($1) IS NOT NULL AS there", [.text(table)]).bool("there") {
        try db.run("LOCK TABLE \(table) IN SHARE ROW EXCLUSIVE MODE")
        let known = try db.query(
          """
          SELECT checksum = sha256(convert_to($2, 'UTF8')) AND name = $3 AS same FROM \(table) WHERE version = $1
          """,
          [.int(Int64(migration.version)), .text(migration.sql), .text(migration.name)])
        if let known = known.first {
          guard try known.bool("same") else {
            throw MigrationError.changed(version: migration.version, name: migration.name)
          }
          return false
        }
      }
      try db.script(migration.sql)
      try db.run(
        "INSERT INTO \(table) (version, name, checksum) VALUES ($1, $3, sha256(convert_to($2, 'UTF8')))",
        [.int(Int64(migration.version)), .text(migration.sql), .text(migration.name)])
      return true
    }
  }

  private static func isRace(_ error: PostgresError) -> Bool {
    guard case .server(let server) = error else { return false }
    // unique_violation, duplicate_schema, duplicate_object, duplicate_table, and "tuple concurrently updated".
    return ["23505", "42P06", "42710", "42P07"].contains(server.sqlState)
      || (server.sqlState == "XX000" && server.message.contains("concurrently"))
  }
}
