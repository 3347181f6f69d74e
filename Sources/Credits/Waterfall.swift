import Ethereum

/// The rule that turns what is owed and what could be collected into payouts.
///
/// The only rule so far is `prorata`, version 1; its name and version stand in the manifest, so that what
/// was approved can be computed again years later.
public struct Waterfall: Hashable, Sendable {
  public let name: String
  public let version: UInt64

  public init(name: String, version: UInt64) {
    self.name = name
    self.version = version
  }

  public static let prorata = Waterfall(name: "prorata", version: 1)

  /// A payee who may be paid.
  public struct Claim: Hashable, Sendable {
    public let payee: Address
    /// What the address is owed, by role (`Owed.byRole`).
    public let owed: ByRole<UInt256>
    /// The largest cumulative `paid` that the manifest allows.
    public let maxPaid: UInt256
    /// What the chain proves that the address has been paid ever.
    public let paidTotal: UInt256

    public init(payee: Address, owed: ByRole<UInt256>, maxPaid: UInt256, paidTotal: UInt256) {
      self.payee = payee
      self.owed = owed
      self.maxPaid = maxPaid
      self.paidTotal = paidTotal
    }
  }

  /// A payee who is owed but not paid now: held back, or below the minimum payout.
  public struct Reserve: Hashable, Sendable {
    public let payee: Address
    public let owed: ByRole<UInt256>

    public init(payee: Address, owed: ByRole<UInt256>) {
      self.payee = payee
      self.owed = owed
    }
  }

  /// What a payee gets now.
  public struct Payment: Hashable, Sendable {
    public let payee: Address
    /// The cumulative amount: what the vault is told, `paidTotal` + `delta`.
    public let paid: UInt256
    /// What is paid now; zero when the pool does not reach this far.
    public let delta: UInt256
    public let deltaByRole: ByRole<UInt256>
  }

  /// `prorata`, version 1: a pure function of what is owed and of the pool.
  ///
  /// 1. A claim is never more than `maxPaid` − `paidTotal`: what exceeds it counts as paid already and is
  ///    taken from operator, then infrastructure, then treasury, as in `Owed`.
  /// 2. Operators, then infrastructure, then treasury: each role gets all that it is owed while the pool
  ///    lasts. In the role where it runs out, what is left of it is divided by largest remainder over what
  ///    is owed in that role, ties by address ascending; roles below get nothing.
  /// 3. Reserves take part like claims, but their part stays in the pool: nobody below is paid with it.
  ///
  /// So Σ delta ≤ pool, no payee passes its maximum, and none is added.
  /// - Returns: one payment a claim, sorted by payee, also where delta is zero.
  /// - Throws: `WaterfallError.duplicatePayee`, `ShareError`, or UInt256's overflow.
  public static func prorata(
    claims: [Claim], reserves: [Reserve], pool: UInt256
  ) throws -> [Payment] {
    var rows = try claims.map { Row(claim: $0, owed: try $0.capped) }
    rows += reserves.map { Row(claim: nil, payee: $0.payee, owed: $0.owed) }
    rows.sort { $0.payee < $1.payee }
    for (row, next) in zip(rows, rows.dropFirst()) where row.payee == next.payee {
      throw WaterfallError.duplicatePayee(row.payee)
    }
    var left = pool
    for role in Role.allCases {
      let weights = rows.map { $0.owed[role] }
      let owed = try weights.reduce(UInt256.zero) { try $0.adding($1) }
      let available = min(left, owed)
      let parts = try LargestRemainder.distribute(available, weights: weights)
      for index in rows.indices { rows[index].delta[role] = parts[index] }
      left = try left.subtracting(available)
    }
    return try rows.compactMap { row in
      guard let claim = row.claim else { return nil }
      let delta = try row.delta.total
      return Payment(
        payee: claim.payee, paid: try claim.paidTotal.adding(delta), delta: delta,
        deltaByRole: row.delta)
    }
  }

  private struct Row {
    let claim: Claim?
    let payee: Address
    let owed: ByRole<UInt256>
    var delta = ByRole(repeating: UInt256.zero)

    init(claim: Claim?, payee: Address, owed: ByRole<UInt256>) {
      self.claim = claim
      self.payee = payee
      self.owed = owed
    }

    init(claim: Claim, owed: ByRole<UInt256>) {
      self.init(claim: claim, payee: claim.payee, owed: owed)
    }
  }
}

extension Waterfall.Claim {
  /// What is owed, cut to what the manifest still allows.
  fileprivate var capped: ByRole<UInt256> {
    get throws {
      let total = try owed.total
      let allowance = maxPaid > paidTotal ? try maxPaid.subtracting(paidTotal) : .zero
      guard total > allowance else { return owed }
      var capped = owed
      capped.take(try total.subtracting(allowance), inOrder: Role.allCases)
      return capped
    }
  }
}

/// Why there are no payouts.
public enum WaterfallError: Error, Equatable, Sendable {
  case duplicatePayee(Address)
  /// The chain proves less than the plan counted as paid.
  case paidTotalBelowPlan(Address, planned: UInt256, proven: UInt256)
}

extension WaterfallError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .duplicatePayee(let payee):
      "payee \(payee) stands twice in the waterfall; an address has one line, add its roles up"
    case .paidTotalBelowPlan(let payee, let planned, let proven):
      "the plan counts \(planned) wei as paid to \(payee), the chain proves \(proven); the ledger"
        + " and the chain disagree, run auditor reconcile before anything is paid"
    }
  }
}
