import Ethereum

/// Division of an amount among weights, to the last wei.
public enum LargestRemainder {
  /// Divides `amount` in proportion to `weights` (Hamilton's method).
  ///
  /// Each share is first ⌊amount · weight / Σ weights⌋; the wei that are left over go, one each, to the
  /// largest remainders of that division. **Equal remainders: the lower index first**, so the caller's
  /// order is the tie rule. Products are 512 bits wide inside. O(n log n).
  ///
  /// - Returns: one share a weight, in the order of `weights`; their sum is exactly `amount`, each differs
  ///   from amount · weight / Σ weights by less than one wei, and a weight of zero gets zero.
  /// - Throws: `ShareError.noWeight` if all weights are zero and the amount is not;
  ///   `ShareError.weightsTooLarge` if Σ weights passes 2^256 − 1.
  public static func distribute(
    _ amount: UInt256, weights: [UInt256]
  ) throws(ShareError) -> [UInt256] {
    let total = try sum(weights)
    guard total != .zero else {
      guard amount == .zero else { throw .noWeight(amount: amount) }
      return weights
    }
    var left = amount
    var shares: [UInt256] = []
    var remainders: [(index: Int, remainder: UInt256)] = []
    shares.reserveCapacity(weights.count)
    for (index, weight) in weights.enumerated() {
      // weight ≤ total, so the quotient is at most `amount` and the sum of all quotients too.
      guard
        let (share, remainder) = try? amount.multiplied(by: weight, dividedBy: total),
        let rest = try? left.subtracting(share)
      else { throw .weightsTooLarge }
      shares.append(share)
      left = rest
      if remainder != .zero { remainders.append((index, remainder)) }
    }
    remainders.sort { ($1.remainder, $0.index) < ($0.remainder, $1.index) }
    // Each remainder is below `total` and their sum is left · total: there are more of them than wei left.
    for (index, _) in remainders {
      guard left != .zero else { break }
      guard let raised = try? shares[index].adding(.one), let rest = try? left.subtracting(.one)
      else { throw .weightsTooLarge }
      shares[index] = raised
      left = rest
    }
    precondition(left == .zero, "largest remainder lost \(left) wei")
    return shares
  }

  private static func sum(_ weights: [UInt256]) throws(ShareError) -> UInt256 {
    do {
      return try weights.reduce(.zero) { try $0.adding($1) }
    } catch {
      throw .weightsTooLarge
    }
  }
}

/// Why an amount cannot be divided.
public enum ShareError: Error, Equatable, Sendable {
  case noWeight(amount: UInt256)
  case weightsTooLarge
}

extension ShareError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .noWeight(let amount):
      "\(amount) wei are to be divided among weights that are all zero; name who gets them"
    case .weightsTooLarge:
      "the weights sum to more than 2^256 − 1; no ledger of this token can hold such lines, check them"
    }
  }
}
