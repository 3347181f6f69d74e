import CPostgres
import Dispatch
import Foundation

/// One connection to a test's database, as any metering client in any language would have it: SQL text in, text out.
final class Client: Sendable {
  /// What PostgreSQL refused, by its SQLSTATE.
  struct Refused: Error, CustomStringConvertible {
    let state: String
    let message: String
    let sql: String
    var description: String { "\(state): \(message) in \(sql)" }
  }

  // libpq blocks, so each connection has a queue of its own; only that queue touches the pointer.
  private let queue = DispatchQueue(label: "test connection")
  nonisolated(unsafe) private let connection: OpaquePointer

  init(_ conninfo: String) throws {
    guard let connection = PQconnectdb(conninfo) else {
      throw Refused(state: "", message: "out of memory", sql: "")
    }
    guard PQstatus(connection) == CONNECTION_OK else {
      let message = String(cString: PQerrorMessage(connection))
      PQfinish(connection)
      throw Refused(state: "08001", message: message, sql: "connect")
    }
    PQsetNoticeProcessor(connection, { _, _ in }, nil)
    self.connection = connection
    // A test that waits for itself fails instead of hanging.
    _ = try execute("SET statement_timeout = '60s'")
  }

  deinit { PQfinish(connection) }

  /// The rows of the last statement, columns parted by a blank, null as `-`.
  func lines(_ sql: String) async throws -> [String] {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { [self] in continuation.resume(with: Result { try execute(sql) }) }
    }
  }

  /// The only row.
  func line(_ sql: String) async throws -> String {
    let rows = try await lines(sql)
    guard let row = rows.first, rows.count == 1 else {
      throw Refused(state: "", message: "\(rows.count) rows instead of one", sql: sql)
    }
    return row
  }

  func run(_ sql: String) async throws { _ = try await lines(sql) }

  /// The SQLSTATE that refuses it; nil when nothing does.
  func refusal(_ sql: String) async -> String? {
    do {
      try await run(sql)
      return nil
    } catch {
      return (error as? Refused)?.state ?? "\(error)"
    }
  }

  private func execute(_ sql: String) throws -> [String] {
    guard let result = PQexec(connection, sql) else {
      throw Refused(state: "08006", message: String(cString: PQerrorMessage(connection)), sql: sql)
    }
    defer { PQclear(result) }
    switch PQresultStatus(result) {
    case PGRES_TUPLES_OK:
      return (0..<PQntuples(result)).map { row in
        (0..<PQnfields(result)).map { column in
          PQgetisnull(result, row, column) == 1
            ? "-" : String(cString: PQgetvalue(result, row, column))
        }.joined(separator: " ")
      }
    case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
      return []
    default:
      // PG_DIAG_SQLSTATE, 'C'.
      let state = PQresultErrorField(result, 67).map {
        String(cString: $0)
      }
      throw Refused(
        state: state ?? "08006", message: String(cString: PQresultErrorMessage(result)), sql: sql)
    }
  }
}
