import Ethereum

/// Fetches followed logs by `eth_getLogs`, in ranges as large as the provider bears, and keeps what it read ahead.
struct LogScanner {
  let followed: FollowedLogs
  let source: any ChainSource
  private(set) var chooser: RangeChooser
  private var ahead: Page?

  /// One answered range.
  struct Page: Sendable {
    let range: ClosedRange<UInt64>
    let rows: FollowedRows
    /// Which endpoint gave which log.
    let origins: [LogPlace: String]
  }

  init(followed: FollowedLogs, source: any ChainSource, chooser: RangeChooser = RangeChooser()) {
    self.followed = followed
    self.source = source
    self.chooser = chooser
  }

  /// What was read ahead may be of another fork now.
  mutating func forget() { ahead = nil }

  /// The rows of the first blocks from `from` on, as many as one request bears, but none after `to`.
  mutating func page(from: UInt64, to: UInt64) async throws -> Page {
    if let page = ahead, page.range.contains(from) {
      let range = from...min(to, page.range.upperBound)
      return Page(range: range, rows: page.rows.within(range), origins: page.origins)
    }
    while true {
      let range = chooser.next(from: from, to: to)
      do {
        var logs: [ChainLog] = []
        var origins: [LogPlace: String] = [:]
        for filter in followed.filters {
          let answer = try await source.logs(filter, in: range)
          logs += answer.logs
          for log in answer.logs { origins[log.place] = answer.endpoint }
          if let stray = answer.logs.first(where: { !range.contains($0.place.block.number) }) {
            try await source.exclude(
              answer.endpoint,
              because:
                "eth_getLogs for \(range) answered a log of block \(stray.place.block.number)")
            throw ChainFault.unavailable("a log outside the range was answered")
          }
        }
        chooser.succeeded()
        let page = Page(range: range, rows: try followed.rows(of: logs), origins: origins)
        ahead = page
        return page
      } catch ChainFault.refused(let code, let message) {
        guard let objection = RangeChooser.Objection(code: code, message: message),
          chooser.refused(range, because: objection)
        else { throw ChainFault.refused(code: code, message: message) }
      }
    }
  }

  /// The rows of exactly this range, in as many pages as it takes; reads ahead up to `limit`.
  mutating func rows(of range: ClosedRange<UInt64>, readingTo limit: UInt64) async throws -> Page {
    var rows = FollowedRows()
    var origins: [LogPlace: String] = [:]
    var next = range.lowerBound
    while true {
      if ahead?.range.contains(next) != true {
        _ = try await page(from: next, to: max(limit, range.upperBound))
      }
      let page = try await page(from: next, to: range.upperBound)
      rows.events += page.rows.events
      rows.transfers += page.rows.transfers
      origins.merge(page.origins) { first, _ in first }
      guard page.range.upperBound < range.upperBound else {
        return Page(range: range, rows: rows, origins: origins)
      }
      next = page.range.upperBound + 1
    }
  }
}
