import Ethereum

/// An amount of wei with a sign: an epoch's gross, an accrual, a receivable.
///
/// Sign and magnitude, so that the range is ±(2^256 − 1), wider than any sum the schema's `numeric(78,0)`
/// holds of real tokens. There is one zero: it is never negative.
public struct SignedWei: Hashable, Sendable {
  public let isNegative: Bool
  public let magnitude: UInt256

  public static let zero = SignedWei(UInt256.zero)

  public init(_ magnitude: UInt256, isNegative: Bool = false) {
    self.magnitude = magnitude
    self.isNegative = isNegative && magnitude != .zero
  }

  public var isZero: Bool { magnitude == .zero }

  /// `self + other`.
  /// - Throws: `AmountError.tooLarge`-free overflow of UInt256 when the magnitude passes 2^256 − 1.
  public func adding(_ other: SignedWei) throws -> SignedWei {
    if isNegative == other.isNegative {
      return SignedWei(try magnitude.adding(other.magnitude), isNegative: isNegative)
    }
    return magnitude >= other.magnitude
      ? SignedWei(try magnitude.subtracting(other.magnitude), isNegative: isNegative)
      : SignedWei(try other.magnitude.subtracting(magnitude), isNegative: other.isNegative)
  }

  /// `self − other`; throws like `adding`.
  public func subtracting(_ other: SignedWei) throws -> SignedWei {
    try adding(other.negated)
  }

  public var negated: SignedWei { SignedWei(magnitude, isNegative: !isNegative) }

  /// max(0, self), as wei.
  public var positivePart: UInt256 { isNegative ? .zero : magnitude }

  /// max(0, −self), as wei.
  public var negativePart: UInt256 { isNegative ? magnitude : .zero }
}

extension SignedWei: Comparable {
  public static func < (left: SignedWei, right: SignedWei) -> Bool {
    switch (left.isNegative, right.isNegative) {
    case (true, false): true
    case (false, true): false
    case (false, false): left.magnitude < right.magnitude
    case (true, true): left.magnitude > right.magnitude
    }
  }
}

extension SignedWei: LosslessStringConvertible {
  /// Reads decimal wei, `-` in front when negative: the text of a PostgreSQL `numeric(78,0)`.
  ///
  /// Nil for anything else: an empty text, a plus, a fraction, an exponent, more than 2^256 − 1.
  public init?(_ text: String) {
    let isNegative = text.utf8.first == UInt8(ascii: "-")
    let digits = isNegative ? text.utf8.dropFirst() : text.utf8[...]
    guard !digits.isEmpty, digits.allSatisfy(isDigit), let magnitude = uint256(digits: digits)
    else { return nil }
    self.init(magnitude, isNegative: isNegative)
  }

  /// Decimal wei, `-` in front when negative.
  public var description: String { (isNegative ? "-" : "") + magnitude.description }
}
