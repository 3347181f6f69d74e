import Ethereum

extension Manifest {
  /// The payouts of this manifest by its waterfall rule.
  ///
  /// - Parameters:
  ///   - pool: what the vault's pool holds, by logs proven up to the block where the charges were final
  ///     (method `transfer`: `payoutsMaxTotal`, as a plan that the wallet does not cover is refused).
  ///   - paidTotals: what the chain proves each payee has been paid ever; absent is zero.
  /// - Returns: one payment a payee, by address, also where delta is zero.
  /// - Throws: `WaterfallError`, `ShareError`, or UInt256's overflow.
  public func payments(pool: UInt256, paidTotals: [Address: UInt256]) throws
    -> [Waterfall.Payment]
  {
    let claims = try payees.map { payee in
      let proven = paidTotals[payee.address] ?? .zero
      guard proven >= payee.paidBefore else {
        throw WaterfallError.paidTotalBelowPlan(
          payee.address, planned: payee.paidBefore, proven: proven)
      }
      return Waterfall.Claim(
        payee: payee.address, owed: payee.owed, maxPaid: payee.maxPaid, paidTotal: proven)
    }
    return try Waterfall.prorata(
      claims: claims,
      reserves: heldBack.map { Waterfall.Reserve(payee: $0.address, owed: $0.owed) }, pool: pool)
  }

  /// The ranges of `charges` that go into one transaction each.
  public var chargeChunks: [Range<Int>] {
    chunks(charges.count, by: limits.chargesPerTransaction)
  }

  /// Call data of `charge(address[],uint256[])` for a range of `charges`.
  ///
  /// Cumulative amounts, so that a chunk that a simulation had to bisect says the same as the whole.
  public func chargeCallData(_ range: Range<Int>) -> [UInt8] {
    let charges = charges[range.clamped(to: charges.indices)]
    return ContractCall.charge(charges.map(\.user), charges.map(\.spent))
  }

  /// The payments that move something, in chunks that go into one transaction each.
  public func payChunks(_ payments: [Waterfall.Payment]) -> [[Waterfall.Payment]] {
    let due = payments.filter { $0.delta != .zero }
    let size = method == .vault ? limits.paymentsPerTransaction : 1
    return chunks(due.count, by: size).map { Array(due[$0]) }
  }

  func chunks(_ count: Int, by size: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
  }
}

extension Waterfall {
  /// Call data of the vault's `pay(address[],uint256[])` with the payees' cumulative amounts.
  public static func payCallData(_ payments: [Payment]) -> [UInt8] {
    ContractCall.pay(payments.map(\.payee), payments.map(\.paid))
  }
}

extension Waterfall.Payment {
  /// Call data of the token's `transfer(address,uint256)` (ERC-20) with what is paid now.
  public var transferCallData: [UInt8] { ContractCall.transfer(to: payee, delta) }
}
