import Foundation
import Service

/// Log lines on stderr, as `key=value` pairs; on a terminal, one line of progress that is written over.
final class IndexerLog: Sendable {
  private let isTerminal: Bool
  private let start = ContinuousClock.now
  private let first: UInt64

  /// - Parameter first: the block that progress is counted from
  init(first: UInt64 = 0) {
    isTerminal = isatty(STDERR_FILENO) == 1
    self.first = first
  }

  func line(_ message: String, _ fields: [(String, String)] = [], level: String = "info") {
    var text = "time=\(Date.now.ISO8601Format()) level=\(level) msg=\(Self.quoted(message))"
    for (key, value) in fields { text += " \(key)=\(Self.quoted(value))" }
    Program.note((isTerminal ? "\r\u{1B}[K" : "") + text)
  }

  func event(_ event: SyncEvent) {
    switch event {
    case .stored(let segment, let goal):
      if !segment.rows.isEmpty || segment.omissions > 0 || segment.range.count == 1 {
        line(
          segment.isProven ? "blocks proven" : "blocks scanned",
          [
            ("from", String(segment.range.lowerBound)), ("to", String(segment.range.upperBound)),
            ("events", String(segment.rows.events.count)),
            ("transfers", String(segment.rows.transfers.count)),
          ] + (segment.omissions > 0 ? [("omissions", String(segment.omissions))] : []),
          level: segment.omissions > 0 ? "warning" : "info")
      }
      if let goal { progress(at: segment.range.upperBound, of: goal) }
    case .orphaned(let from, let events):
      line(
        "the chain forked", [("orphaned_from", String(from)), ("events", String(events))],
        level: "warning")
    case .waiting(let why): line("waiting", [("reason", why)], level: "warning")
    }
  }

  private func progress(at block: UInt64, of goal: UInt64) {
    guard isTerminal, goal > first, block >= first else { return }
    let done = Double(block - first + 1) / Double(goal - first + 1)
    let elapsed = Double((ContinuousClock.now - start).components.seconds)
    let left = done > 0 ? Int(elapsed / done - elapsed) : 0
    let text = "block \(block) of \(goal), \(Int(done * 100)) %, \(left) s to go"
    Program.hint("\r\u{1B}[K\(text)" + (block >= goal ? "\n" : ""))
  }

  private static func quoted(_ text: String) -> String {
    guard
      text.isEmpty || text.contains(where: { $0 == " " || $0 == "\"" || $0 == "=" || $0.isNewline })
    else { return text }
    let escaped = text.map { character in
      switch character {
      case "\"": "\\\""
      case "\\": "\\\\"
      case _ where character.isNewline: "\\n"
      default: String(character)
      }
    }
    return "\"\(escaped.joined())\""
  }
}
