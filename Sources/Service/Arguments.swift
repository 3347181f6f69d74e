/// A command line: words, and options over the environment's variables.
public struct Arguments: Sendable {
  public let words: [String]
  private let values: [String: [String]]
  private let switches: Set<String>
  private let environment: [String: String]

  /// - Parameters:
  ///   - valued: options that take a value (`--chain-id 1` or `--chain-id=1`).
  ///   - repeated: those of them that may be given more than once.
  ///   - switches: options that take none; `help` and `json` are always among them.
  public init(
    _ arguments: [String], environment: [String: String], valued: Set<String>,
    repeated: Set<String> = [], switches known: Set<String> = []
  ) throws(UsageError) {
    let known = known.union(["help", "json"])
    var words: [String] = []
    var values: [String: [String]] = [:]
    var switches: Set<String> = []
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("-"), argument.count > 1 else {
        words.append(argument)
        continue
      }
      let body = argument == "-h" ? "help" : String(argument.drop { $0 == "-" })
      let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = parts.first.map(String.init) ?? ""
      if known.contains(name), parts.count == 1 {
        switches.insert(name)
      } else if valued.contains(name) || repeated.contains(name) {
        guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
          throw UsageError("--\(name) needs a value")
        }
        guard values[name] == nil || repeated.contains(name) else {
          throw UsageError("--\(name) is given twice")
        }
        values[name, default: []].append(value)
      } else {
        throw UsageError("there is no option \(argument)")
      }
    }
    self.words = words
    self.values = values
    self.switches = switches
    self.environment = environment
  }

  public func has(_ name: String) -> Bool { switches.contains(name) }

  /// The contract's variables. Options of one command are none: a stray REASON must not freeze an account, nor a stray
  /// MAX_GAS change a plan.
  private static let variables: Set<String> = [
    "database-url", "rpc-url", "send-url", "quorum", "chain-id", "vault-address", "token-address",
    "start-block", "settler-address", "approvers", "approvals-required", "payout-method",
    "deposit-event", "withdraw-event",
  ]

  /// An option, or the variable that it stands for; an empty variable counts as unset.
  public func optional(_ name: String) -> String? {
    if let value = values[name]?.last { return value }
    guard Self.variables.contains(name) else { return nil }
    return environment[Self.variable(name)].flatMap { $0.isEmpty ? nil : $0 }
  }

  private static func variable(_ name: String) -> String {
    name.uppercased().split(separator: "-").joined(separator: "_")
  }

  /// Every value of a repeated option.
  public func all(_ name: String) -> [String] { values[name] ?? [] }

  public func required(_ name: String) throws(UsageError) -> String {
    guard let value = optional(name) else {
      throw UsageError(
        "--\(name)" + (Self.variables.contains(name) ? " (or \(Self.variable(name)))" : "")
          + " is missing")
    }
    return value
  }

  public func number(_ name: String) throws(UsageError) -> UInt64? {
    guard let text = optional(name) else { return nil }
    guard let value = UInt64(text), value <= UInt64(Int64.max) else {
      throw UsageError("--\(name) is \"\(text)\", not a whole number")
    }
    return value
  }

  /// `500ms`, `90s`, `10m`, `12h`, `7d`.
  public func duration(_ name: String) throws(UsageError) -> Duration? {
    guard let text = optional(name) else { return nil }
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
    for (unit, milliseconds) in units where text.hasSuffix(unit) {
      if let count = Int(text.dropLast(unit.count)), (0...1_000_000_000).contains(count) {
        return .milliseconds(count * milliseconds)
      }
    }
    throw UsageError("--\(name) is \"\(text)\"; write 500ms, 90s, 10m, 12h or 7d")
  }

  /// A time of RFC 3339.
  public func time(_ name: String) throws(UsageError) -> String? {
    guard let text = optional(name) else { return nil }
    guard RFC3339.isValid(text) else {
      throw UsageError("--\(name) is \"\(text)\"; give RFC 3339, like 2026-01-31T12:00:00Z")
    }
    return text
  }

  /// A value that a parser of another room reads; its refusal becomes a usage error that names the option.
  public func parsed<Value>(
    _ name: String, _ text: String, _ parse: (String) throws -> Value
  ) throws(UsageError) -> Value {
    do {
      return try parse(text)
    } catch {
      throw UsageError("--\(name): \(error)")
    }
  }

  /// The same for the word at a place; `what` names it: the account.
  public func parsedWord<Value>(
    at place: Int, _ what: String, _ parse: (String) throws -> Value
  ) throws(UsageError) -> Value {
    let text = try word(at: place, what)
    do {
      return try parse(text)
    } catch {
      throw UsageError("\(what): \(error)")
    }
  }

  /// The word at a place; `what` names it when it is missing.
  public func word(at place: Int, _ what: String) throws(UsageError) -> String {
    guard words.indices.contains(place) else { throw UsageError("\(what) is missing") }
    return words[place]
  }

  /// Refuses words beyond the first `count`: what is not understood is not ignored.
  public func expectWords(_ count: Int) throws(UsageError) {
    guard words.count > count else { return }
    // The word itself is not repeated: it may be a key that was typed in the wrong place.
    throw UsageError("one word too many" + (count > 0 ? " after \"\(words[count - 1])\"" : ""))
  }
}
