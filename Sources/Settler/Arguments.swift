import Credits
import Ethereum

/// A command line: words, and flags over the environment.
struct Arguments {
  let words: [String]
  private let flags: [String: String]
  private let switches: Set<String>
  private let environment: [String: String]

  /// Flags that take no value.
  private static let known: Set<String> = ["json", "again", "help", "h", "raw"]
  /// Flags that take one; each is also a variable where the contract says so.
  private static let valued: Set<String> = [
    "operators", "treasury", "infrastructure", "treasury-wallet", "infrastructure-wallet",
    "fallback-to", "from", "key", "min-payout", "min-charge",
    "max-fee", "max-gas", "expires", "manifest", "export", "import", "reason", "wait", "timeout",
    "html", "csv", "explorer", "database-url", "rpc-url", "send-url", "quorum", "chain-id",
    "vault-address", "token-address", "settler-address", "approvers", "approvals-required",
    "start-block", "payout-method",
  ]

  init(_ arguments: [String], environment: [String: String]) throws {
    var words: [String] = []
    var flags: [String: String] = [:]
    var switches: Set<String> = []
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("-"), argument.count > 1 else {
        words.append(argument)
        continue
      }
      let body = argument.drop { $0 == "-" }
      let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      if Self.known.contains(name), parts.count == 1 {
        switches.insert(name)
      } else if Self.valued.contains(name) {
        guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
          throw UsageError("--\(name) needs a value")
        }
        guard flags.updateValue(value, forKey: name) == nil else {
          throw UsageError("--\(name) is given twice")
        }
      } else {
        throw UsageError("there is no option \(argument)")
      }
    }
    self.words = words
    self.flags = flags
    self.switches = switches
    self.environment = environment
  }

  func has(_ name: String) -> Bool { switches.contains(name) }

  /// A flag, or the variable of the same name in capitals.
  func optional(_ name: String) -> String? {
    if let value = flags[name] { return value }
    let variable = name.uppercased().split(separator: "-").joined(separator: "_")
    return environment[variable].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// A flag alone: options of one command are no variables (a stray REASON must not cancel an epoch).
  func flag(_ name: String) -> String? { flags[name] }

  func required(_ name: String) throws -> String {
    guard let value = optional(name) else { throw UsageError("--\(name) is missing") }
    return value
  }

  func address(_ name: String) throws -> Address? {
    try optional(name).map { try parsed($0, name) { try Address($0) } }
  }

  func requiredAddress(_ name: String) throws -> Address {
    try parsed(try required(name), name) { try Address($0) }
  }

  func number(_ name: String) throws -> UInt64? {
    try optional(name).map { text in
      guard let value = UInt64(text) else { throw UsageError("--\(name) is “\(text)”, no number") }
      return value
    }
  }

  func amount(_ name: String) throws -> UInt256? {
    try flag(name).map { try parsed($0, name) { try PRLX.wei($0) } }
  }

  /// `90s`, `10m`, `12h`, `7d`; in milliseconds.
  func duration(_ name: String) throws -> Int64? {
    try flag(name).map { text in
      let units: [Character: Int64] = ["s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
      guard let last = text.last, let unit = units[last], let count = Int64(text.dropLast()),
        count >= 0, count <= 36_500
          || count.multipliedReportingOverflow(by: unit).overflow == false
      else { throw UsageError("--\(name) is “\(text)”; write 90s, 10m, 12h or 7d") }
      return count * unit
    }
  }

  /// The word at a place, an epoch's number.
  func epoch(at place: Int) throws -> UInt64 {
    guard words.indices.contains(place) else { throw UsageError("the epoch's number is missing") }
    guard let epoch = UInt64(words[place]), epoch >= 1, epoch <= UInt64(Int64.max) else {
      throw UsageError("“\(words[place])” is no epoch's number")
    }
    return epoch
  }

  func parsed<Value>(_ text: String, _ name: String, _ parse: (String) throws -> Value) throws
    -> Value
  {
    do { return try parse(text) } catch { throw UsageError("--\(name): \(error)") }
  }
}

/// Wrong usage: exit code 2.
struct UsageError: Error, Equatable, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
