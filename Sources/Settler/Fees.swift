import Credits
import Ethereum

/// What a transaction offers for gas (EIP-1559).
struct Fees: Equatable, Sendable {
  let maxFeePerGasWei: UInt256
  let priorityFeePerGasWei: UInt256

  static let gwei = UInt256(1_000_000_000)

  /// Wei as gwei: the nine decimals fewer than PRLX has are made up for.
  static func gweiText(_ wei: UInt256) -> String {
    (try? wei.multiplied(by: gwei)).map { PRLX.text($0) } ?? "\(wei) wei as"
  }

  /// A first offer: twice the next base fee and a tip, so that six full blocks in a row do not strand it.
  ///
  /// - Returns: nil when the base fee alone is above the cap: wait.
  static func first(baseFeeWei: UInt256, tipWei: UInt256, capWei: UInt256) throws -> Fees? {
    guard baseFeeWei < capWei else { return nil }
    let most = wanted(baseFeeWei: baseFeeWei, tipWei: tipWei, capWei: capWei)
    return Fees(maxFeePerGasWei: most, priorityFeePerGasWei: min(tipWei, most))
  }

  /// A replacement's offer, or nil when the cap leaves no room for one.
  ///
  /// Both are raised by an eighth or more: a node refuses a replacement that lifts only one of the two fees.
  func raised(baseFeeWei: UInt256, tipWei: UInt256, capWei: UInt256) throws -> Fees? {
    let tip = max(try Self.eighthMore(priorityFeePerGasWei), min(tipWei, capWei))
    let most = max(
      try Self.eighthMore(maxFeePerGasWei),
      Self.wanted(baseFeeWei: baseFeeWei, tipWei: tip, capWei: capWei))
    guard most <= capWei, tip <= most else { return nil }
    return Fees(maxFeePerGasWei: most, priorityFeePerGasWei: tip)
  }

  /// Twice the base fee and the tip, or the cap. The two are an endpoint's word and may be any number.
  private static func wanted(baseFeeWei: UInt256, tipWei: UInt256, capWei: UInt256) -> UInt256 {
    guard let wanted = try? baseFeeWei.multiplied(by: 2).adding(tipWei) else { return capWei }
    return min(wanted, capWei)
  }

  /// What a gas costs in a block with this base fee (EIP-1559).
  func price(baseFeeWei: UInt256) throws -> UInt256 {
    guard maxFeePerGasWei > baseFeeWei else { return maxFeePerGasWei }
    let room = try maxFeePerGasWei.subtracting(baseFeeWei)
    return try baseFeeWei.adding(min(room, priorityFeePerGasWei))
  }

  /// ⌈value · 9/8⌉, and one more than the value at least.
  private static func eighthMore(_ value: UInt256) throws -> UInt256 {
    let (quotient, remainder) = try value.multiplied(by: 9, dividedBy: 8)
    let raised = remainder == .zero ? quotient : try quotient.adding(.one)
    return max(raised, try value.adding(.one))
  }

  /// The cap that a plan gets when nobody names one: four times the base fee of now, and a tip.
  static func defaultCap(baseFeeWei: UInt256, tipWei: UInt256) throws -> UInt256 {
    max(try baseFeeWei.multiplied(by: 4).adding(tipWei), try gwei.multiplied(by: 3))
  }
}
