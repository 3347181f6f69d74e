import CPostgres
import Dispatch
import Ethereum
import Foundation

@testable import Indexer

/// A migrated database of its own for each test, on the PostgreSQL that TEST_DATABASE_URL names (scripts/test starts one).
actor TestLedgers {
  static let shared = TestLedgers()
  private let run = "\(ProcessInfo.processInfo.processIdentifier)_\(UInt32.random(in: 0 ... .max))"
  private var template: Task<String, any Error>?
  private var made = 0

  struct Unset: Error, CustomStringConvertible {
    var description: String {
      "TEST_DATABASE_URL is not set; run scripts/test, or name a superuser's PostgreSQL there"
    }
  }

  func make() async throws -> TestLedger {
    guard let base = ProcessInfo.processInfo.environment["TEST_DATABASE_URL"] else { throw Unset() }
    if template == nil {
      let name = "indexer_\(run)_template"
      template = Task {
        try await TestLedger(base).text("CREATE DATABASE \(name)")
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
          .deletingLastPathComponent()
          .deletingLastPathComponent().appending(path: "migrations")
        let files = try FileManager.default.contentsOfDirectory(
          at: folder, includingPropertiesForKeys: nil
        )
        .filter { $0.pathExtension == "sql" }.sorted { $0.lastPathComponent < $1.lastPathComponent }
        let ledger = try TestLedger("\(base) dbname=\(name)")
        for file in files {
          try await ledger.text("BEGIN; \(String(contentsOf: file, encoding: .utf8)); COMMIT")
        }
        return name
      }
    }
    guard let from = try await template?.value else { throw Unset() }
    made += 1
    let name = "indexer_\(run)_\(made)"
    try await TestLedger(base).text("CREATE DATABASE \(name) TEMPLATE \(from)")
    return try TestLedger("\(base) dbname=\(name)")
  }
}

/// A connection of a test, straight on libpq.
final class TestLedger: LedgerSession {
  struct Refused: Error, CustomStringConvertible {
    let state: String
    let message: String
    var description: String { "\(state): \(message)" }
  }

  let conninfo: String
  // libpq blocks, so each connection has a queue of its own; only that queue touches the pointer.
  private let queue = DispatchQueue(label: "test ledger")
  nonisolated(unsafe) private let connection: OpaquePointer

  init(_ conninfo: String) throws {
    guard let connection = PQconnectdb(conninfo) else {
      throw Refused(state: "", message: "out of memory")
    }
    guard PQstatus(connection) == CONNECTION_OK else {
      let message = String(cString: PQerrorMessage(connection))
      PQfinish(connection)
      throw Refused(state: "08001", message: message)
    }
    PQsetNoticeProcessor(connection, { _, _ in }, nil)
    self.conninfo = conninfo
    self.connection = connection
  }

  deinit { PQfinish(connection) }

  /// What the indexer is given: the same database with `credits_indexer`'s rights.
  func asIndexer() async throws -> TestLedger {
    let ledger = try TestLedger(conninfo)
    try await ledger.text("SET ROLE credits_indexer; SET statement_timeout = '60s'")
    return ledger
  }

  /// The rows of the last statement, columns parted by a blank, rows by a newline, null as `-`.
  @discardableResult
  func text(_ sql: String) async throws -> String {
    try await onQueue { connection in
      try Self.read(PQexec(connection, sql)).map { $0.map { $0 ?? "-" }.joined(separator: " ") }
        .joined(separator: "\n")
    }
  }

  func transaction<Result: Sendable>(
    _ body: @escaping @Sendable (any LedgerTransaction) throws -> Result
  ) async throws -> Result {
    try await onQueue { connection in
      _ = try Self.read(PQexec(connection, "BEGIN"))
      do {
        let result = try body(Transaction(connection: connection))
        _ = try Self.read(PQexec(connection, "COMMIT"))
        return result
      } catch {
        PQclear(PQexec(connection, "ROLLBACK"))
        throw error
      }
    }
  }

  private func onQueue<Result: Sendable>(
    _ body: @escaping @Sendable (OpaquePointer) throws -> Result
  ) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { [self] in continuation.resume(with: Swift.Result { try body(connection) }) }
    }
  }

  private struct Transaction: LedgerTransaction {
    let connection: OpaquePointer

    func rows(_ sql: String, _ parameters: [String?]) throws -> [[String?]] {
      let copies = parameters.map { $0.map { strdup($0) } }
      defer { copies.forEach { free($0 ?? nil) } }
      let values = copies.map { UnsafePointer($0 ?? nil) }
      return try TestLedger.read(
        PQexecParams(connection, sql, Int32(parameters.count), nil, values, nil, nil, 0))
    }
  }

  private static func read(_ result: OpaquePointer?) throws -> [[String?]] {
    defer { PQclear(result) }
    let status = PQresultStatus(result)
    guard status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK else {
      throw Refused(
        state: PQresultErrorField(result, Int32(UInt8(ascii: "C"))).map { String(cString: $0) }
          ?? "",
        message: String(cString: PQresultErrorMessage(result)))
    }
    return (0..<PQntuples(result)).map { row in
      (0..<PQnfields(result)).map { column in
        PQgetisnull(result, row, column) == 1
          ? nil : String(cString: PQgetvalue(result, row, column))
      }
    }
  }
}
