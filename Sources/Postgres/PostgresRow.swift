/// A row of an answer: values by column name. Getters throw an error that names the column.
public struct PostgresRow: Sendable {
  let columns: [String: Int]
  let values: [String?]

  private func value(_ name: String) throws(PostgresError) -> String? {
    guard let index = columns[name] else {
      throw .column(name: name, problem: "is not in the answer")
    }
    return values[index]
  }

  private func required(_ name: String) throws(PostgresError) -> String {
    guard let value = try value(name) else { throw .column(name: name, problem: "is null") }
    return value
  }

  public func optionalText(_ name: String) throws(PostgresError) -> String? { try value(name) }

  public func text(_ name: String) throws(PostgresError) -> String { try required(name) }

  public func int64(_ name: String) throws(PostgresError) -> Int64 {
    try integer(required(name), name)
  }

  public func optionalInt64(_ name: String) throws(PostgresError) -> Int64? {
    guard let text = try value(name) else { return nil }
    return try integer(text, name)
  }

  public func uint64(_ name: String) throws(PostgresError) -> UInt64 {
    let text = try required(name)
    guard let number = UInt64(text) else {
      throw .column(name: name, problem: "is \(text.prefix(40)), not a non-negative integer")
    }
    return number
  }

  public func optionalUInt64(_ name: String) throws(PostgresError) -> UInt64? {
    guard try value(name) != nil else { return nil }
    return try uint64(name)
  }

  public func bool(_ name: String) throws(PostgresError) -> Bool {
    switch try required(name) {
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
    guard let text = try value(name) else { return nil }
    let digits = text.utf8
    guard text.hasPrefix("\\x"), digits.count % 2 == 0 else {
      throw .column(name: name, problem: "is not a bytea")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2 - 1)
    var high: UInt8?
    for digit in digits.dropFirst(2) {
      guard let nibble = UInt8(String(UnicodeScalar(digit)), radix: 16) else {
        throw .column(name: name, problem: "is not a bytea")
      }
      if let first = high {
        bytes.append(first << 4 | nibble)
        high = nil
      } else {
        high = nibble
      }
    }
    return bytes
  }

  private func integer(_ text: String, _ name: String) throws(PostgresError) -> Int64 {
    guard let number = Int64(text) else {
      throw .column(name: name, problem: "is \(text.prefix(40)), not an integer")
    }
    return number
  }
}
