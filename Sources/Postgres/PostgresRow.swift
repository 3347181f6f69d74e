/// A row of an answer: values by column name. Getters throw an error that names the column.
public struct PostgresRow: Sendable {
  let answer: PostgresAnswer
  let index: Int32

  private func value<Value>(
    _ name: String, _ read: (UnsafeBufferPointer<UInt8>) -> Value?, else problem: String
  ) throws(PostgresError) -> Value? {
    guard let place = answer.columns[name] else {
      throw .column(name: name, problem: "is not in the answer")
    }
    guard let column = place else {
      throw .column(name: name, problem: "is in the answer more than once: name them with AS")
    }
    return try unsafe answer.value(row: index, column: column) { bytes throws(PostgresError) in
      guard let value = unsafe read(bytes) else { throw .column(name: name, problem: problem) }
      return value
    }
  }

  public func optionalText(_ name: String) throws(PostgresError) -> String? {
    try unsafe value(
      name, { unsafe String(validating: $0, as: UTF8.self) },
      else: "is not UTF-8: the database must have ENCODING 'UTF8'")
  }

  public func text(_ name: String) throws(PostgresError) -> String {
    guard let text = try optionalText(name) else { throw .column(name: name, problem: "is null") }
    return text
  }

  public func int64(_ name: String) throws(PostgresError) -> Int64 {
    try integer(text(name), name)
  }

  public func optionalInt64(_ name: String) throws(PostgresError) -> Int64? {
    guard let text = try optionalText(name) else { return nil }
    return try integer(text, name)
  }

  public func uint64(_ name: String) throws(PostgresError) -> UInt64 {
    let text = try text(name)
    guard let number = UInt64(text) else {
      throw .column(name: name, problem: "is \(text.prefix(40)), not a non-negative integer")
    }
    return number
  }

  public func bool(_ name: String) throws(PostgresError) -> Bool {
    switch try text(name) {
    case "t": return true
    case "f": return false
    case let other: throw .column(name: name, problem: "is \(other.prefix(40)), not a boolean")
    }
  }

  public func bytes(_ name: String) throws(PostgresError) -> [UInt8] {
    guard let bytes = try optionalBytes(name) else { throw .column(name: name, problem: "is null") }
    return bytes
  }

  /// A bytea in PostgreSQL's hexadecimal output format.
  public func optionalBytes(_ name: String) throws(PostgresError) -> [UInt8]? {
    try unsafe value(name, Self.bytes, else: "is not a bytea")
  }

  private static func bytes(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    guard unsafe text.starts(with: "\\x".utf8), text.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 2 - 1)
    for index in stride(from: 2, to: text.count, by: 2) {
      guard let high = unsafe nibble(text[index]), let low = unsafe nibble(text[index + 1]) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  /// Of a lower-case digit, which is what PostgreSQL writes.
  private static func nibble(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }

  private func integer(_ text: String, _ name: String) throws(PostgresError) -> Int64 {
    guard let number = Int64(text) else {
      throw .column(name: name, problem: "is \(text.prefix(40)), not an integer")
    }
    return number
  }
}
