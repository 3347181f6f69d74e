import Ethereum

/// Proves which followed logs a range of blocks holds: headers linked down from a hash the quorum agrees on, then for each block
/// a bloom that excludes them, or receipts that rebuild `receiptsRoot`.
struct Prover: Sendable {
  let followed: FollowedLogs
  let source: any ChainSource

  /// How many blocks' receipts are fetched at once.
  static let inFlight = 4

  /// What stands in the way of a proof for now.
  enum Obstacle: Error, Equatable {
    /// The range does not continue what is stored: the chain forked meanwhile.
    case forked(at: UInt64)
    /// Too few endpoints agree on the hash of this block.
    case noQuorum(at: UInt64)
  }

  /// - Parameter parent: the stored hash of the block before the range, if there is one
  /// - Returns: the range's headers in order, and its followed rows
  func prove(
    _ range: ClosedRange<UInt64>, parent: Hash32?
  ) async throws -> (headers: [CheckedHeader], rows: FollowedRows) {
    guard let anchor = try await source.agreedHash(at: range.upperBound) else {
      throw Obstacle.noQuorum(at: range.upperBound)
    }
    let headers = try await source.headers(range)
    try Self.check(headers, cover: range, parent: parent, anchor: anchor)
    let logs = try await provenLogs(of: headers.filter { followed.mayConcern($0.header) })
    return (headers, try followed.rows(of: logs))
  }

  /// Every header's hash is its own (the source recomputed it), so links down from the anchor leave no other chain.
  static func check(
    _ headers: [CheckedHeader], cover range: ClosedRange<UInt64>, parent: Hash32?, anchor: Hash32
  ) throws(Obstacle) {
    guard headers.count == Int(exactly: range.upperBound - range.lowerBound + 1),
      headers.last?.reference.hash == anchor
    else {
      throw .forked(at: range.upperBound)
    }
    var before = parent
    for (offset, header) in headers.enumerated() {
      let number = range.lowerBound + UInt64(offset)
      guard header.reference.number == number, before == nil || header.header.parentHash == before
      else {
        throw .forked(at: number)
      }
      before = header.reference.hash
    }
  }

  private func provenLogs(of headers: [CheckedHeader]) async throws -> [ChainLog] {
    try await withThrowingTaskGroup(of: [ChainLog].self) { group in
      var logs: [ChainLog] = []
      for (started, header) in headers.enumerated() {
        // Only what is followed is kept: a busy block has thousands of other logs.
        if started >= Self.inFlight, let some = try await group.next() { logs += some }
        group.addTask {
          try await source.provenLogs(of: header).filter(followed.isOurs)
        }
      }
      for try await some in group { logs += some }
      return logs
    }
  }
}
