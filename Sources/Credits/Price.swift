import Ethereum

/// Prices per unit in whole wei, and what a request costs.
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

  /// Σ quantity × wei per unit over the lines of one request.
  /// - Throws: `PriceError.costTooLarge` when the sum passes 2^256 − 1.
  public static func cost(_ lines: some Sequence<Line>) throws(PriceError) -> UInt256 {
    do {
      return try lines.reduce(UInt256.zero) { sum, line in
        try sum.adding(line.quantity.multiplied(by: line.weiPerUnit))
      }
    } catch {
      throw .costTooLarge
    }
  }

  /// So many units at so many wei each.
  public struct Line: Hashable, Sendable {
    public let quantity: UInt256
    public let weiPerUnit: UInt256

    public init(quantity: UInt256, weiPerUnit: UInt256) {
      self.quantity = quantity
      self.weiPerUnit = weiPerUnit
    }
  }
}

/// Why there is no price or no cost.
public enum PriceError: Error, Equatable, Sendable {
  case perZeroUnits
  /// `below` and `above`: the nearest prices in PRLX per as many units that are whole wei per unit.
  case notWholeWei(prlx: String, units: UInt256, below: String, above: String?)
  case costTooLarge
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
    case .costTooLarge:
      "the cost is more than 2^256 − 1 wei; check the quantities and the price"
    }
  }
}
