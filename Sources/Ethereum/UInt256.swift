/// An unsigned integer of 256 bits. Arithmetic is checked: it throws instead of wrapping or trapping.
public struct UInt256: Hashable, Sendable {
  // Least significant first.
  var limbs: FourWords

  public enum ArithmeticError: Error, Equatable, Sendable, CustomStringConvertible {
    case overflow
    case belowZero
    case divisionByZero

    public var description: String {
      switch self {
      case .overflow: "the result is above 2^256-1"
      case .belowZero: "the result is below zero"
      case .divisionByZero: "division by zero"
      }
    }
  }

  public static let zero = UInt256(0)
  public static let one = UInt256(1)
  public static let max = UInt256(limbs: FourWords(repeating: .max))

  init(limbs: FourWords) {
    self.limbs = limbs
  }

  public init(_ value: UInt64) {
    self.limbs = FourWords(value, 0, 0, 0)
  }

  /// At most 32 bytes, most significant first.
  public init(bigEndian bytes: some Collection<UInt8>) throws(Hex.DecodingError) {
    guard bytes.count <= 32 else { throw .wrongLength(wanted: 32, found: bytes.count) }
    var limbs = FourWords(repeating: 0)
    for (index, byte) in bytes.reversed().enumerated() {
      limbs[index / 8] |= UInt64(byte) << UInt64(8 * (index % 8))
    }
    self.limbs = limbs
  }

  /// Decimal digits and nothing else; nil for anything else, and above 2^256-1.
  public init?(decimal text: some StringProtocol) {
    let digits = text.utf8
    guard !digits.isEmpty, digits.count <= 200 else { return nil }
    var value = UInt256.zero
    for digit in digits {
      guard digit >= 0x30, digit <= 0x39 else { return nil }
      guard let next = try? value.multiplied(by: 10).adding(UInt256(UInt64(digit - 0x30))) else {
        return nil
      }
      value = next
    }
    self = value
  }

  /// A JSON-RPC quantity: `0x` and at most 64 digits without a leading zero, `0x0` for zero; nil for anything else.
  public init?(quantity text: some StringProtocol) {
    guard text.hasPrefix("0x") else { return nil }
    let digits = text.utf8.dropFirst(2)
    guard !digits.isEmpty, digits.count <= 64, digits.first != 0x30 || digits.count == 1 else {
      return nil
    }
    var limbs = FourWords(repeating: 0)
    for (index, digit) in digits.reversed().enumerated() {
      guard let value = Hex.value(of: digit) else { return nil }
      limbs[index / 16] |= UInt64(value) << UInt64(4 * (index % 16))
    }
    self.limbs = limbs
  }

  /// 32 bytes, most significant first.
  public var bigEndianBytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    for limb in stride(from: 3, through: 0, by: -1) {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: limbs[limb] >> UInt64(shift)))
      }
    }
    return bytes
  }

  /// The same without leading zeros; empty for zero (RLP's form).
  public var minimalBigEndianBytes: [UInt8] { Array(bigEndianBytes.drop { $0 == 0 }) }

  /// A JSON-RPC quantity.
  public var quantity: String {
    guard self != .zero else { return "0x0" }
    return "0x" + Hex.digits(bigEndianBytes).drop { $0 == "0" }
  }

  public var bitWidth: Int {
    for limb in stride(from: 3, through: 0, by: -1) where limbs[limb] != 0 {
      return 64 * limb + 64 - limbs[limb].leadingZeroBitCount
    }
    return 0
  }
}

extension UInt256: Comparable {
  public static func < (left: UInt256, right: UInt256) -> Bool {
    for index in stride(from: 3, through: 0, by: -1) where left.limbs[index] != right.limbs[index] {
      return left.limbs[index] < right.limbs[index]
    }
    return false
  }
}

extension UInt256: ExpressibleByIntegerLiteral {
  public init(integerLiteral value: UInt64) {
    self.init(value)
  }
}

extension UInt64 {
  /// The value if it fits.
  public init?(exactly value: UInt256) {
    guard value.limbs[1] | value.limbs[2] | value.limbs[3] == 0 else { return nil }
    self = value.limbs[0]
  }
}

extension UInt256: CustomStringConvertible {
  /// Decimal digits.
  public var description: String {
    var groups: [UInt64] = []
    var rest = self
    repeat {
      let (quotient, remainder) = rest.dividedByWord(10_000_000_000_000_000_000)
      groups.append(remainder)
      rest = quotient
    } while rest != .zero
    var text = String(groups.removeLast())
    for group in groups.reversed() {
      let digits = String(group)
      text += String(repeating: "0", count: 19 - digits.count) + digits
    }
    return text
  }
}
