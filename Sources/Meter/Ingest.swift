import Foundation
import Ledger
import Postgres
import Service
import Synchronization

/// `meter ingest`: lines of usage to debits, one answer a line in the order of the lines. Running it again on the same
/// lines is safe.
struct Ingest {
  let databaseURL: String
  let migrations: String
  let batchSize: Int
  let say: (String) -> Void
  let note: (String) -> Void
  let isStopped: () -> Bool

  struct Summary: Equatable {
    var counts: [String: Int] = [:]
    var refused = 0
  }

  /// - Parameters:
  ///   - input: an open file or stdin.
  ///   - name: what it is called in errors.
  func run(_ input: FileHandle, name: String) async throws -> Summary {
    var connection = try await Ledger.open(databaseURL, as: .meter, migrations: migrations)
    var splitter = LineSplitter()
    var batch = IngestBatch()
    var summary = Summary()
    func flush() async throws {
      guard !batch.isEmpty else { return }
      let answers = try await debit(batch.records, &connection)
      for result in batch.results(answers) {
        say(result.json)
        summary.counts[result.status, default: 0] += 1
        if result.isRefusal { summary.refused += 1 }
      }
      batch = IngestBatch()
    }
    while !isStopped(),
      let chunk = try FileError.reading(name, { try input.read(upToCount: 1 << 16) }),
      !chunk.isEmpty
    {
      for line in splitter.received(chunk) {
        batch.add(line)
        if batch.count >= batchSize { try await flush() }
      }
    }
    if !isStopped(), let line = splitter.finish() { batch.add(line) }
    try await flush()
    return summary
  }

  /// A lost answer says nothing about what was committed: the batch is sent again as it was.
  private func debit(
    _ records: [UsageRecord], _ connection: inout PostgresConnection
  ) async throws -> [DebitAnswer] {
    var resend = Resend()
    while true {
      do {
        return try await MeterSQL(connection: connection).debit(records)
      } catch let error as PostgresError {
        guard case .wait(let milliseconds) = resend.failed(sqlState: error.sqlState) else {
          throw error
        }
        note("\(error); trying again in \(milliseconds) ms")
        try await Task.sleep(for: .milliseconds(milliseconds))
        if await !connection.isOpen {
          connection = (try? await Ledger.connect(databaseURL, as: .meter)) ?? connection
        }
      }
    }
  }
}
