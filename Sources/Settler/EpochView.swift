import Credits
import Ethereum

/// An epoch as `plan`, `show` and the reports show it: what the ledger holds, put together.
struct EpochView: Equatable, Sendable {
  /// What one address gets in one role.
  struct PayeeLine: Equatable, Sendable {
    let payee: Address
    let role: Role
    /// Accrued in this epoch.
    let accrued: SignedWei
    /// Paid for this epoch so far, by payouts that are final.
    var paid: UInt256
    /// Owed over all epochs when it was planned.
    let owed: UInt256
  }

  struct ChargeTotals: Equatable, Sendable {
    let count: Int
    let planned: UInt256
    /// By `Charged` logs that are final.
    let collected: UInt256
  }

  struct HeldLine: Equatable, Sendable {
    let payee: Address
    let reason: String
    let owed: UInt256
  }

  let epoch: EpochRow
  let manifest: Hash32?
  let limits: Manifest.Limits?
  let payees: [PayeeLine]
  let charges: ChargeTotals
  let transactions: [TransactionRow]
  let waitingFor: String?
  let held: [HeldLine]
  /// Owed by this plan and not paid by it so far, held-back payees included.
  let carried: UInt256
}

extension EpochView {
  /// - Parameters:
  ///   - paid: payouts of this manifest whose transactions are final.
  ///   - paidBefore: what each address had been paid at the waterfall's block.
  init(
    epoch: EpochRow, manifest: Manifest?, waterfall: WaterfallRow?, paidBefore: [Address: UInt256],
    payouts: [PayoutRow], transactions: [TransactionRow], collected: UInt256, waitingFor: String?
  ) throws {
    let finalChunks = Set(
      transactions.filter { $0.kind == "pay" && $0.state == .final }.map(\.chunk))
    let settled = Dictionary(
      payouts.filter { finalChunks.contains($0.chunk) }.map { ($0.payee, $0.amount) },
      uniquingKeysWith: { first, _ in first })
    var byRole: [Address: ByRole<UInt256>] = [:]
    if let manifest, let waterfall, !settled.isEmpty {
      for payment in try manifest.payments(pool: waterfall.pool, paidTotals: paidBefore)
      where settled[payment.payee] == payment.delta {
        byRole[payment.payee] = payment.deltaByRole
      }
    }
    var lines: [PayeeLine] = []
    for payee in manifest?.payees ?? [] {
      for role in Role.allCases {
        let paid = byRole[payee.address]?[role] ?? .zero
        guard !payee.accrued[role].isZero || payee.owed[role] != .zero || paid != .zero
        else { continue }
        lines.append(
          PayeeLine(
            payee: payee.address, role: role, accrued: payee.accrued[role], paid: paid,
            owed: payee.owed[role]))
      }
    }
    let held = try (manifest?.heldBack ?? []).map {
      HeldLine(payee: $0.address, reason: $0.reason, owed: try $0.owed.total)
    }
    let owed = try held.reduce(manifest?.payoutsMaxTotal ?? .zero) { try $0.adding($1.owed) }
    let paid = try settled.values.reduce(UInt256.zero) { try $0.adding($1) }
    self.init(
      epoch: epoch, manifest: manifest?.hash, limits: manifest?.limits, payees: lines,
      charges: ChargeTotals(
        count: manifest?.charges.count ?? 0, planned: manifest?.chargesPlannedTotal ?? .zero,
        collected: collected),
      transactions: transactions, waitingFor: waitingFor, held: held,
      carried: try owed.subtracting(paid))
  }
}
