/// A parameter of a statement, or a column of a row that is copied in.
///
/// Texts, numbers, booleans and arrays travel as text, and PostgreSQL infers their type from where they are used. Bytes are
/// a bytea and travel as they are.
public enum PostgresValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int64)
  case text(String)
  case bytes([UInt8])
  /// An array of any of the others.
  case array([PostgresValue])
}

extension PostgresValue {
  /// Appends the text that PostgreSQL's input functions read; nothing for null, which has none.
  func appendText(to output: inout [UInt8]) throws(PostgresError) {
    switch self {
    case .null: break
    case .bool(let value): output.append(value ? UInt8(ascii: "t") : UInt8(ascii: "f"))
    case .int(let value): output.append(contentsOf: String(value).utf8)
    case .text(let value):
      guard !value.utf8.contains(0) else {
        throw .misuse("a text parameter holds a NUL byte, which PostgreSQL cannot store")
      }
      output.append(contentsOf: value.utf8)
    case .bytes(let value):
      output.append(UInt8(ascii: "\\"))
      output.append(UInt8(ascii: "x"))
      for byte in value {
        output.append(Self.digit(byte >> 4))
        output.append(Self.digit(byte & 15))
      }
    case .array(let values):
      output.append(UInt8(ascii: "{"))
      for (index, value) in values.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        try value.appendElement(to: &output)
      }
      output.append(UInt8(ascii: "}"))
    }
  }

  private func appendElement(to output: inout [UInt8]) throws(PostgresError) {
    switch self {
    case .null: output.append(contentsOf: "NULL".utf8)
    case .array, .bool, .int: try appendText(to: &output)
    case .text, .bytes:
      // Quoted, so that commas, braces and the word NULL are text. By bytes, as PostgreSQL reads it: to Swift a quote with a
      // combining accent is another character than a quote.
      var text: [UInt8] = []
      try appendText(to: &text)
      let quote = UInt8(ascii: "\"")
      let backslash = UInt8(ascii: "\\")
      output.append(quote)
      for byte in text {
        if byte == quote || byte == backslash { output.append(backslash) }
        output.append(byte)
      }
      output.append(quote)
    }
  }

  private static func digit(_ nibble: UInt8) -> UInt8 {
    nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
  }
}
