/// A parameter of a statement, in text format: PostgreSQL infers the type from where it is used.
public enum PostgresValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int64)
  case text(String)
  case bytes([UInt8])
  /// An array of any of the others.
  case array([PostgresValue])

  /// The text that PostgreSQL reads; nil for null.
  var encoded: String? {
    switch self {
    case .null: nil
    case .bool(let value): value ? "t" : "f"
    case .int(let value): String(value)
    case .text(let value): value
    case .bytes(let value): Self.hexadecimal(value)
    case .array(let values): "{" + values.map(\.element).joined(separator: ",") + "}"
    }
  }

  private var element: String {
    switch self {
    case .null: return "NULL"
    case .array: return encoded ?? "NULL"
    case .bool, .int: return encoded ?? "NULL"
    case .text, .bytes:
      // Quoted, so that commas, braces and the word NULL are text.
      // By scalars: a combining mark makes one Character of itself and the quote before it.
      var quoted = String.UnicodeScalarView(["\""])
      for scalar in (encoded ?? "").unicodeScalars {
        if scalar == "\"" || scalar == "\\" { quoted.append("\\") }
        quoted.append(scalar)
      }
      quoted.append("\"")
      return String(quoted)
    }
  }

  private static func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = [UInt8(ascii: "\\"), UInt8(ascii: "x")]
    text.reserveCapacity(2 + 2 * bytes.count)
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
