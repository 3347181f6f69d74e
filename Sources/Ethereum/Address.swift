import Keccak

/// An Ethereum address: 20 bytes, compared by its bytes. Text goes in and out with EIP-55's checksum.
public struct Address: Hashable, Sendable {
  private let high: UInt64
  private let middle: UInt64
  private let low: UInt32

  public enum ParsingError: Error, Equatable, Sendable, CustomStringConvertible {
    case notAnAddress(String)
    case wrongChecksum(found: String, wanted: String)

    public var description: String {
      switch self {
      case .notAnAddress(let text):
        "not an address: \"\(text)\"; an address is 0x and 40 hexadecimal digits"
      case .wrongChecksum(let found, let wanted):
        "address \(found) has a wrong EIP-55 checksum: check every digit; if it is right, write \(wanted)"
      }
    }
  }

  public static let zero = Address(high: 0, middle: 0, low: 0)

  private init(high: UInt64, middle: UInt64, low: UInt32) {
    self.high = high
    self.middle = middle
    self.low = low
  }

  /// The 20 bytes given.
  public init(_ bytes: some Collection<UInt8>) throws(Hex.DecodingError) {
    guard bytes.count == 20 else { throw .wrongLength(wanted: 20, found: bytes.count) }
    var high: UInt64 = 0
    var middle: UInt64 = 0
    var low: UInt32 = 0
    for (index, byte) in bytes.enumerated() {
      switch index {
      case 0..<8: high = high << 8 | UInt64(byte)
      case 8..<16: middle = middle << 8 | UInt64(byte)
      default: low = low << 8 | UInt32(byte)
      }
    }
    self.init(high: high, middle: middle, low: low)
  }

  /// `0x` and 40 digits: all lower case, all upper case, or with the right EIP-55 checksum.
  public init(_ text: some StringProtocol) throws(ParsingError) {
    let shown = String(text.prefix(80))
    guard let bytes = try? Hex.decode(text, count: 20), let address = try? Address(bytes) else {
      throw .notAnAddress(shown)
    }
    let digits = text.dropFirst(2)
    let isMixed = digits.contains { $0.isLowercase } && digits.contains { $0.isUppercase }
    guard !isMixed || address.checksummed == String(text) else {
      throw .wrongChecksum(found: shown, wanted: address.checksummed)
    }
    self = address
  }

  /// The 20 bytes.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(20)
    for word in [high, middle] {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
      }
    }
    for shift in stride(from: 24, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: low >> UInt32(shift)))
    }
    return bytes
  }

  /// `0x` and 40 digits whose case is EIP-55's checksum.
  public var checksummed: String {
    let digits = Hex.digits(bytes)
    let hash = Keccak256.hash(Array(digits.utf8)).bytes
    var text = "0x"
    for (index, digit) in digits.enumerated() {
      let nibble = index % 2 == 0 ? hash[index / 2] >> 4 : hash[index / 2] & 15
      text += nibble >= 8 ? digit.uppercased() : String(digit)
    }
    return text
  }
}

extension Address: Comparable {
  public static func < (left: Address, right: Address) -> Bool {
    (left.high, left.middle, left.low) < (right.high, right.middle, right.low)
  }
}

extension Address: CustomStringConvertible {
  public var description: String { checksummed }
}
