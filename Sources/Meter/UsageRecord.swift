import Ethereum
import JSON
import Service

/// One served message as a metering service reports it: a line of NDJSON (CONTRACT, `meter ingest`).
///
/// Everything that PostgreSQL would refuse for a whole batch is refused here for the one line.
struct UsageRecord: Equatable, Sendable {
  let requestID: String
  let account: Address
  let model: String
  let node: String
  let inputTokens: Int64
  let outputTokens: Int64
  /// Quantities by unit, other than tokens.
  let units: [String: Int64]
  /// RFC 3339; nil is now.
  let at: String?
  let proof: Hash32?

  /// Reads one line.
  ///
  /// Tokens may be left out when `units` are given. A key that is not known is refused: a misspelt
  /// `output_tokens` must not become a free answer.
  init(line: [UInt8]) throws(RecordError) {
    // A byte order mark, as Windows programs begin their files with, is ignored (RFC 8259, section 8.1).
    let mark: [UInt8] = [0xef, 0xbb, 0xbf]
    let json: JSONValue
    do {
      json = try JSONValue(parsing: line.starts(with: mark) ? Array(line.dropFirst(3)) : line)
    } catch {
      throw RecordError(requestID: nil, field: nil, "the line is \(error)")
    }
    guard case .object(let members) = json else {
      throw RecordError(requestID: nil, field: nil, "the line is \(json.kind), not a JSON object")
    }
    var fields = Fields(object: json)
    let requestID = try fields.text("request_id")
    fields.requestID = requestID
    if let unknown = members.map(\.key).first(where: { !Fields.known.contains($0) }) {
      throw fields.error(
        unknown,
        "is no field of a usage record; the fields are \(Fields.known.joined(separator: ", "))")
    }
    self.requestID = requestID
    model = try fields.text("model")
    node = try fields.text("node")
    let account = try fields.text("account")
    do {
      self.account = try Address(account)
    } catch {
      throw fields.error("account", "is \(quoted(.string(account))): \(error)")
    }
    units = try fields.units()
    let isOptional = !units.isEmpty
    inputTokens = try fields.count("input_tokens", default: isOptional ? 0 : nil)
    outputTokens = try fields.count("output_tokens", default: isOptional ? 0 : nil)
    at = try fields.optionalText("at")
    if let at, !RFC3339.isValid(at) {
      throw fields.error(
        "at", "is \(quoted(.string(at))); give RFC 3339, like 2026-01-31T12:00:00Z")
    }
    guard let proof = try fields.optionalText("proof") else {
      self.proof = nil
      return
    }
    do {
      self.proof = try Hash32(hex: proof)
    } catch {
      throw fields.error("proof", "is \(quoted(.string(proof))): \(error)")
    }
  }

  /// The units as the JSON object that `credits.debit_batch` takes; nil when there are none.
  var unitsJSON: String? {
    guard !units.isEmpty else { return nil }
    let members = units.sorted { $0.key < $1.key }.map {
      (key: $0.key, value: JSONValue.number($0.value))
    }
    return JSONValue.object(members).description
  }
}

/// Why a line is no usage record: which field, with what value, and what to give instead.
struct RecordError: Error, Equatable, CustomStringConvertible {
  /// Nil when not even that could be read.
  let requestID: String?
  let field: String?
  let description: String

  init(requestID: String?, field: String?, _ description: String) {
    self.requestID = requestID
    self.field = field
    self.description = description
  }
}

/// The fields of one line, read strictly.
private struct Fields {
  static let known = [
    "request_id", "account", "model", "node", "input_tokens", "output_tokens", "units", "at",
    "proof",
  ]
  let object: JSONValue
  var requestID: String?

  func error(_ field: String, _ problem: String) -> RecordError {
    RecordError(requestID: requestID, field: field, "\(field.prefix(60)) \(problem)")
  }

  /// The value of a field; a null is as good as none.
  private func value(_ field: String) -> JSONValue? {
    object[field].flatMap { $0 == .null ? nil : $0 }
  }

  /// 1 to 200 characters, as the schema counts them, without NUL, which PostgreSQL's text cannot hold.
  func text(_ field: String) throws(RecordError) -> String {
    guard let text = try optionalText(field) else { throw error(field, "is missing") }
    guard (1...200).contains(text.unicodeScalars.count), !text.unicodeScalars.contains("\0") else {
      throw error(field, "is \(quoted(.string(text))); give 1 to 200 characters without NUL")
    }
    return text
  }

  func optionalText(_ field: String) throws(RecordError) -> String? {
    guard let value = value(field) else { return nil }
    guard let text = value.string else { throw error(field, "is \(quoted(value)); give a text") }
    return text
  }

  func count(_ field: String, default absent: Int64?) throws(RecordError) -> Int64 {
    guard let value = value(field) else {
      guard let absent else { throw error(field, "is missing") }
      return absent
    }
    return try count(field, value)
  }

  private func count(_ field: String, _ value: JSONValue) throws(RecordError) -> Int64 {
    guard let count = value.number.flatMap({ Int64($0) }), count >= 0 else {
      throw error(
        field, "is \(quoted(value)); give a whole number from 0 to \(Int64.max), digits alone")
    }
    return count
  }

  func units() throws(RecordError) -> [String: Int64] {
    guard let value = value("units") else { return [:] }
    guard case .object(let given) = value else {
      throw error("units", "is \(quoted(value)); give an object like {\"image\": 1}")
    }
    var units: [String: Int64] = [:]
    for (unit, quantity) in given {
      guard isUnitName(unit), !["input_token", "output_token"].contains(unit) else {
        throw error(
          "units",
          "names \(quoted(.string(unit))); a unit is a lower-case name, and tokens are input_tokens and output_tokens"
        )
      }
      units[unit] = try count("units.\(unit)", quantity)
    }
    return units
  }
}

/// `^[a-z][a-z0-9_]{0,63}$`, as credits.price checks it.
private func isUnitName(_ text: String) -> Bool {
  let bytes = Array(text.utf8)
  func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
  func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
  guard let first = bytes.first, isLower(first), bytes.count <= 64 else { return false }
  return bytes.allSatisfy { isLower($0) || isDigit($0) || $0 == UInt8(ascii: "_") }
}

/// A value in an error: short, because it came from outside.
private func quoted(_ value: JSONValue) -> String {
  let text = value.string ?? value.description
  return "“" + (text.count <= 60 ? text : text.prefix(60) + "…") + "”"
}
