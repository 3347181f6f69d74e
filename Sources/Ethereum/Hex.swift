/// Hexadecimal text as Ethereum's JSON-RPC uses it: `0x` and an even number of digits for data.
public enum Hex {
  public enum DecodingError: Error, Equatable, Sendable, CustomStringConvertible {
    case missingPrefix
    case oddLength(Int)
    case badDigit(position: Int)
    case wrongLength(wanted: Int, found: Int)

    public var description: String {
      switch self {
      case .missingPrefix: "hexadecimal data must begin with 0x"
      case .oddLength(let count): "hexadecimal data has an odd number of digits, \(count)"
      case .badDigit(let position): "not a hexadecimal digit at position \(position)"
      case .wrongLength(let wanted, let found): "\(found) bytes where \(wanted) are due"
      }
    }
  }

  /// `0x` and two lower-case digits a byte.
  public static func encode(_ bytes: some Collection<UInt8>) -> String {
    "0x" + digits(bytes)
  }

  /// Two lower-case digits a byte, without the prefix.
  public static func digits(_ bytes: some Collection<UInt8>) -> String {
    var text: [UInt8] = []
    text.reserveCapacity(2 * bytes.count)
    for byte in bytes {
      text.append(digit(byte >> 4))
      text.append(digit(byte & 15))
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The bytes of `0x` and an even number of digits in either case.
  public static func decode(_ text: some StringProtocol) throws(DecodingError) -> [UInt8] {
    guard text.hasPrefix("0x") else { throw .missingPrefix }
    return try decodeDigits(text.utf8.dropFirst(2))
  }

  /// The bytes of `0x` and exactly `count` times two digits.
  public static func decode(
    _ text: some StringProtocol, count: Int
  ) throws(DecodingError) -> [UInt8] {
    let bytes = try decode(text)
    guard bytes.count == count else { throw .wrongLength(wanted: count, found: bytes.count) }
    return bytes
  }

  static func decodeDigits(_ digits: some Collection<UInt8>) throws(DecodingError) -> [UInt8] {
    let count = digits.count
    guard count % 2 == 0 else { throw .oddLength(count) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count / 2)
    var high: UInt8?
    for (position, digit) in digits.enumerated() {
      guard let value = value(of: digit) else { throw .badDigit(position: position) }
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return bytes
  }

  /// The value of one digit in either case; nil for anything else.
  public static func value(of digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}
