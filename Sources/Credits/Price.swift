import Ethereum

/// Prices per unit in whole wei. What a request costs is the schema's rule (`credits.quote`).
public enum Price {
  /// Converts a price as people state it, `prlx` PRLX per `units` units, to whole wei per one unit.
  ///
  /// “0.002 PRLX per 1k tokens” is `weiPerUnit(prlx: "0.002", per: 1000)` = 2·10^12. A price that is no
  /// whole number of wei per unit is refused with the two nearest that are: rounding it silently would
  /// charge users another price than the one that was announced (I5).
  /// - Throws: `AmountError` for the text, `PriceError` for the price.
  public static func weiPerUnit(prlx: String, per units: UInt256) throws -> UInt256 {
    let wei = try PRLX.wei(prlx)
    guard units != .zero else { throw PriceError.perZeroUnits }
    let (price, rest) = try wei.quotientAndRemainder(dividingBy: units)
    guard rest == .zero else {
      let below = try wei.subtracting(rest)
      throw PriceError.notWholeWei(
        prlx: excerpt(prlx), units: units, below: PRLX.text(below),
        above: (try? below.adding(units)).map { PRLX.text($0) })
    }
    return price
  }
}

/// Why there is no price.
public enum PriceError: Error, Equatable, Sendable {
  case perZeroUnits
  /// `below` and `above`: the nearest prices in PRLX per as many units that are whole wei per unit.
  case notWholeWei(prlx: String, units: UInt256, below: String, above: String?)
}

extension PriceError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .perZeroUnits:
      "a price per 0 units is no price; say per how many units (1, 1000, …)"
    case .notWholeWei(let prlx, let units, let below, let above):
      "\(prlx) PRLX per \(units) units is not a whole number of wei per unit; the nearest prices are "
        + ([below] + (above.map { [$0] } ?? [])).joined(separator: " and ")
        + " PRLX per \(units) units"
    }
  }
}
