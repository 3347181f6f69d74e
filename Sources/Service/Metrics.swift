import Synchronization

/// Counters, gauges and summaries without quantiles in Prometheus' text format.
public final class Metrics: Sendable {
  public enum Kind: String, Sendable { case counter, gauge, summary }

  private struct Family {
    let kind: Kind
    let help: String
    /// By what follows the name: a suffix, labels, or nothing.
    var samples: [String: Double] = [:]
  }

  private let families = Mutex<[String: Family]>([:])

  public init() {}

  /// Names a metric before its first sample.
  public func declare(_ name: String, _ kind: Kind, _ help: String) {
    families.withLock { $0[name] = Family(kind: kind, help: help) }
  }

  public func set(_ name: String, _ value: Double, _ labels: [(String, String)] = []) {
    families.withLock { $0[name]?.samples[Self.text(labels)] = value }
  }

  public func add(_ name: String, _ value: Double = 1, _ labels: [(String, String)] = []) {
    families.withLock { $0[name]?.samples[Self.text(labels), default: 0] += value }
  }

  /// One more observation of a summary.
  public func observe(_ name: String, _ value: Double, _ labels: [(String, String)] = []) {
    families.withLock {
      $0[name]?.samples["_sum" + Self.text(labels), default: 0] += value
      $0[name]?.samples["_count" + Self.text(labels), default: 0] += 1
    }
  }

  /// The exposition (Prometheus, "Text-based format").
  public var exposition: String {
    families.withLock { families in
      var text = ""
      for (name, family) in families.sorted(by: { $0.key < $1.key }) {
        text += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind.rawValue)\n"
        for (rest, value) in family.samples.sorted(by: { $0.key < $1.key }) {
          let isWhole = value == value.rounded() && abs(value) < 9e15
          text += "\(name)\(rest) \(isWhole ? String(Int64(value)) : String(value))\n"
        }
      }
      return text
    }
  }

  private static func text(_ labels: [(String, String)]) -> String {
    guard !labels.isEmpty else { return "" }
    let pairs = labels.map { name, value in
      var escaped = ""
      for character in value {
        switch character {
        case "\\": escaped += "\\\\"
        case "\"": escaped += "\\\""
        case "\n": escaped += "\\n"
        default: escaped.append(character)
        }
      }
      return "\(name)=\"\(escaped)\""
    }
    return "{" + pairs.joined(separator: ",") + "}"
  }
}
