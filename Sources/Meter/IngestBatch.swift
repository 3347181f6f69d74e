/// What the ledger said of one record: a row of `credits.debit_batch`.
struct DebitAnswer: Equatable, Sendable {
  let status: String
  /// Decimal wei; nil where there is none.
  let cost: String?
}

/// Lines in input order, good and bad, that are answered together.
struct IngestBatch: Sendable {
  private enum Entry: Sendable {
    case record(UsageRecord)
    case refused(RecordError)
  }

  private var entries: [Entry] = []
  /// What is to be debited, in input order. Sent again it is answered `replay`: debits are idempotent.
  private(set) var records: [UsageRecord] = []

  var count: Int { entries.count }
  var isEmpty: Bool { entries.isEmpty }

  mutating func add(_ line: LineSplitter.Line) {
    switch line {
    case .tooLong:
      entries.append(
        .refused(RecordError(requestID: nil, field: nil, "the line is longer than 65536 bytes")))
    case .whole(let bytes):
      do throws(RecordError) {
        let record = try UsageRecord(line: bytes)
        entries.append(.record(record))
        records.append(record)
      } catch {
        entries.append(.refused(error))
      }
    }
  }

  /// One result a line, in input order.
  /// - Parameter answers: one a record, in the order of `records`.
  func results(_ answers: [DebitAnswer]) -> [IngestResult] {
    precondition(
      answers.count == records.count, "\(answers.count) answers for \(records.count) records")
    var next = answers.makeIterator()
    return entries.map { entry in
      switch entry {
      case .refused(let error):
        return IngestResult(
          requestID: error.requestID, status: "invalid", cost: nil, error: error.description)
      case .record(let record):
        let answer = next.next()
        return IngestResult(
          requestID: record.requestID, status: answer?.status ?? "invalid", cost: answer?.cost,
          error: answer.flatMap { IngestResult.explanation(of: $0.status, record) })
      }
    }
  }
}
