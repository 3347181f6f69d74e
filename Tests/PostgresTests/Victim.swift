import Foundation
import Postgres
import TestSupport
import Testing

/// A session that can be held up in a statement and killed there, by another session.
struct Victim {
  let connection: PostgresConnection
  let other: PostgresConnection
  let processID: Int64

  /// A statement that returns only when the other session lets it, which it never does.
  static let stuck = "SELECT pg_advisory_lock(1)"

  init(_ database: TestDatabase) async throws {
    connection = try await database.connect()
    other = try await database.connect()
    processID = try await connection.one("SELECT pg_backend_pid() AS id").int64("id")
    try await other.run("SELECT pg_advisory_lock(1)")
  }

  /// Makes a table t, whose rows get stuck when they are committed: a deferred trigger runs inside COMMIT.
  func stopCommits() async throws {
    try await other.script(
      """
      CREATE TABLE t (n int);
      CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN PERFORM pg_advisory_lock(1); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER stop AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION stop();
      """)
  }

  /// Returns when the victim stands in `stuck`.
  func untilStuck() async throws {
    let isWaiting = """
      SELECT wait_event = 'advisory' AS stuck, pg_sleep(0.002) FROM pg_stat_activity WHERE pid = $1
      """
    while try await other.one(isWaiting, [.int(processID)]).optionalText("stuck") != "t" {}
  }

  /// Returns when its server process is gone.
  func kill() async throws {
    let row = try await other.one(
      "SELECT pg_terminate_backend($1::int, 60000) AS gone", [.int(processID)])
    #expect(try row.bool("gone"))
  }
}

/// The `PostgresError` that an operation must throw.
func failure<Value>(
  _ operation: () async throws -> Value, sourceLocation: SourceLocation = #_sourceLocation
) async -> PostgresError? {
  do {
    _ = try await operation()
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  } catch let error as PostgresError {
    return error
  } catch {
    Issue.record(error, sourceLocation: sourceLocation)
  }
  return nil
}
