import Ethereum

/// Amounts of $PRLX as people type them, and as the ledger counts them.
///
/// One PRLX is 10^18 wei (the token's 18 decimals). Every conversion here is exact or refused; nothing is
/// ever rounded (invariant I5).
public enum PRLX {
  /// The token's decimals.
  public static let decimals = 18

  /// Reads an amount of PRLX as people type it (`12`, `0.002`) and returns it in wei.
  ///
  /// Only the digits 0–9 and one point between digits are taken: no sign, exponent, separator or blank, so
  /// that a text means the same to every reader.
  /// - Throws: `AmountError`, naming the text and what to type instead.
  public static func wei(_ text: String) throws(AmountError) -> UInt256 {
    let characters = Array(text.utf8)
    guard !characters.isEmpty else { throw .empty }
    let parts = characters.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isDigit) }) else {
      throw .notDecimal(excerpt(text))
    }
    let fraction = parts.count == 2 ? parts[1] : []
    guard fraction.count <= decimals else {
      throw .tooManyDecimals(excerpt(text), decimals: fraction.count)
    }
    let padding = repeatElement(UInt8(ascii: "0"), count: decimals - fraction.count)
    guard let wei = uint256(digits: Array(parts[0]) + fraction + padding) else {
      throw .tooLarge(excerpt(text))
    }
    return wei
  }

  /// Writes wei as PRLX, exactly and without trailing zeros: 2·10^15 wei is `0.002`.
  public static func text(_ wei: UInt256) -> String {
    let digits = wei.description
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    let whole = padded.dropLast(decimals)
    var fraction = padded.suffix(decimals)
    while fraction.last == "0" { fraction.removeLast() }
    return fraction.isEmpty ? String(whole) : "\(whole).\(fraction)"
  }

  /// Writes a signed amount of wei as PRLX.
  public static func text(_ wei: SignedWei) -> String {
    (wei.isNegative ? "-" : "") + text(wei.magnitude)
  }
}

/// Why a text is not an amount.
public enum AmountError: Error, Equatable, Sendable {
  case empty
  case notDecimal(String)
  case tooManyDecimals(String, decimals: Int)
  case tooLarge(String)
}

extension AmountError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .empty:
      "an amount is missing; type PRLX like 0.002"
    case .notDecimal(let text):
      "“\(text)” is no amount; type digits and at most one point between digits, like 0.002"
        + " (no sign, exponent, separator or blank)"
    case .tooManyDecimals(let text, let decimals):
      "“\(text)” has \(decimals) decimals, PRLX has 18; leave out what is smaller than one wei"
    case .tooLarge(let text):
      "“\(text)” is more than 2^256 − 1 wei; the whole supply is 100000000 PRLX"
    }
  }
}

/// Reads decimal digits of any length; nil above 2^256 − 1.
///
/// Leading zeros are dropped first, so that `0…01` of any length is 1 and not “too long”.
func uint256(digits: some Sequence<UInt8>) -> UInt256? {
  let significant = digits.drop { $0 == UInt8(ascii: "0") }
  let text = String(decoding: Array(significant), as: UTF8.self)
  return text.isEmpty ? UInt256.zero : UInt256(decimal: text)
}

func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

/// The start of a text that came from outside: an error must not grow with hostile input.
func excerpt(_ text: String) -> String {
  text.utf8.count <= 100 ? text : String(text.prefix(40)) + "…"
}
