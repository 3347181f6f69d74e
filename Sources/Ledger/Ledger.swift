import Foundation
import Postgres

/// Opening the ledger: which role a program works as, and which schema it was built for.
public enum Ledger {
  /// The roles that programs work as; each has the least it needs.
  public enum Program: String, Sendable {
    case indexer, meter, settler, auditor, app, sealer

    var role: String { "credits_" + rawValue }
  }

  public static let migrationTable = "credits.migration"

  /// Connects and takes on the program's role. The schema must be exactly the one this program was built with.
  public static func open(
    _ conninfo: String, as program: Program, migrations directory: String
  ) async throws -> PostgresConnection {
    let connection = try await connect(conninfo, as: program)
    try await Migrator(directory: directory, table: migrationTable).check(connection)
    return connection
  }

  /// The same for a further connection, whose schema another has checked.
  public static func connect(
    _ conninfo: String, as program: Program
  ) async throws -> PostgresConnection {
    let connection = try await PostgresConnection.connect(
      conninfo, applicationName: "parallelix-\(program.rawValue)")
    // An owner or superuser steps down to the program's role; a login role that is not a member stays what it is.
    let row = try await connection.one(
      """
      SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)
        AND pg_has_role(current_user, (SELECT oid FROM pg_roles WHERE rolname = $1), 'MEMBER') AS may
      """, [.text(program.role)])
    if try row.bool("may") { try await connection.script("SET ROLE \(program.role)") }
    return connection
  }

  /// Whether this user may create or change the schema.
  public static func mayMigrate(_ conninfo: String) async throws -> Bool {
    let connection = try await PostgresConnection.connect(
      conninfo, applicationName: "parallelix-migrate")
    return try await connection.one(
      """
      SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR coalesce(
        (SELECT pg_has_role(current_user, nspowner, 'MEMBER') FROM pg_namespace WHERE nspname = 'credits'),
        has_database_privilege(current_database(), 'CREATE')) AS may
      """
    ).bool("may")
  }

  /// Runs the migrations that are due, as the schema's owner; returns what ran.
  public static func migrate(
    _ conninfo: String, migrations directory: String
  ) async throws -> [Migrator.Migration] {
    let connection = try await PostgresConnection.connect(
      conninfo, applicationName: "parallelix-migrate")
    return try await Migrator(directory: directory, table: migrationTable).migrate(connection)
  }

  /// Where the migrations are: `MIGRATIONS_DIR`, else the checkout's folder above the executable, else the installed one.
  public static func migrationsDirectory(_ environment: [String: String]) -> String {
    if let named = environment["MIGRATIONS_DIR"], !named.isEmpty { return named }
    // Not argument 0: a program that is found on the PATH is only a name there.
    var folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    for _ in 0..<6 {
      folder.deleteLastPathComponent()
      let candidate = folder.appendingPathComponent("migrations")
      if FileManager.default.fileExists(atPath: candidate.path) { return candidate.path }
    }
    return "/usr/share/parallelix-credits/migrations"
  }
}
