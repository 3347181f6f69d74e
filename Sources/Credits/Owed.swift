import Ethereum

/// What an address is still owed, over all epochs, and in which roles.
///
/// Total: max(0, Σ accrued − paid), all roles together, since one address is paid in one line.
///
/// Attribution, so that the waterfall knows whom it pays first: lay what was accrued in each role (positive
/// totals) side by side in waterfall order, operator | infrastructure | treasury. What was paid is taken
/// from the operator's end, negative accruals from the treasury's end; what is left in between is owed. (As
/// the two cuts come from opposite ends, their order does not matter.)
public struct Owed: Hashable, Sendable {
  public let byRole: ByRole<UInt256>
  public let total: UInt256

  /// - Parameters:
  ///   - accrued: Σ of the address's accruals ever, a role.
  ///   - paid: Σ of the payouts to the address ever.
  /// - Throws: UInt256's overflow when a sum passes 2^256 − 1.
  public init(accrued: ByRole<SignedWei>, paid: UInt256) throws {
    var owed = ByRole(repeating: UInt256.zero)
    var negative = UInt256.zero
    for role in Role.allCases {
      owed[role] = accrued[role].positivePart
      negative = try negative.adding(accrued[role].negativePart)
    }
    _ = try owed.total
    owed.take(negative, inOrder: [.treasury, .infrastructure, .operator])
    owed.take(paid, inOrder: [.operator, .infrastructure, .treasury])
    byRole = owed
    total = try owed.total
  }
}

extension ByRole where Value == UInt256 {
  /// The sum over all roles; throws UInt256's overflow.
  public var total: UInt256 {
    get throws { try Role.allCases.reduce(.zero) { try $0.adding(self[$1]) } }
  }

  /// Takes an amount away, role after role, down to zero each; what exceeds all of them is dropped.
  mutating func take(_ amount: UInt256, inOrder roles: [Role]) {
    var left = amount
    for role in roles {
      let part = min(left, self[role])
      // Neither can fail: `part` is at most each of the two.
      guard let rest = try? self[role].subtracting(part), let after = try? left.subtracting(part)
      else { return }
      self[role] = rest
      left = after
    }
  }
}

extension ByRole where Value == SignedWei {
  /// The sum over all roles; throws UInt256's overflow.
  public var total: SignedWei {
    get throws { try Role.allCases.reduce(.zero) { try $0.adding(self[$1]) } }
  }
}
