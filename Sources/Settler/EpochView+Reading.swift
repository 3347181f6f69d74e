import Credits
import Ethereum

extension EpochView {
  /// Reads what there is of an epoch.
  ///
  /// - Parameters:
  ///   - required: approvals, for saying how many are missing; nil where no approvers are configured.
  ///   - now: Unix seconds.
  static func read(
    _ epoch: UInt64, _ reader: LedgerReader, required: Int?, now: UInt64
  ) async throws -> EpochView {
    let row = try await reader.epoch(epoch)
    let stored = try await reader.manifest(of: epoch)
    let manifest = try stored?.decoded()
    let transactions = try await reader.transactions(of: epoch)
    var waterfall: WaterfallRow?
    var payouts: [PayoutRow] = []
    var paidBefore: [Address: UInt256] = [:]
    if let stored, let known = try await reader.waterfall(of: stored.hash) {
      waterfall = known
      payouts = try await reader.payouts(of: stored.hash)
      paidBefore = try await reader.paidTotals(upTo: known.block)
    }
    var approvals = 0
    if let stored { approvals = try await reader.approvals(of: stored.hash).count }
    let collected = try await reader.collected(by: epoch)
    let appliedTo = try await reader.standsAt()
    return try EpochView(
      epoch: row, manifest: manifest, waterfall: waterfall, paidBefore: paidBefore,
      payouts: payouts, transactions: transactions, collected: collected,
      waitingFor: waiting(
        row, approvals: approvals, required: required,
        isExpired: manifest.map { $0.limits.expires <= now } ?? false, transactions,
        appliedTo: appliedTo))
  }

  /// What comes next, in plain words.
  static func waiting(
    _ row: EpochRow, approvals: Int, required: Int?, isExpired: Bool,
    _ transactions: [TransactionRow], appliedTo: UInt64?
  ) -> String? {
    switch row.state {
    case .open: return "settler epoch close"
    case .closed:
      return row.isTallied
        ? "a plan (settler plan \(row.epoch))" : "its sums (settler epoch close)"
    case .planned where isExpired, .approved where isExpired:
      return "a new plan, this one has expired (settler plan \(row.epoch) --again)"
    case .planned:
      return
        (required.map { "\(approvals) of \($0) approvals" } ?? "approvals, \(approvals) so far")
        + " (settler approve \(row.epoch) --manifest HASH)"
    case .approved: return "sending (settler run \(row.epoch))"
    case .charging, .paying:
      guard let open = transactions.first(where: { !$0.isDone }) else {
        return "the next transactions (settler run \(row.epoch))"
      }
      guard open.state == .mined, let block = open.outcomeBlock else {
        return "\(open.kind) \(open.chunk) with nonce \(open.nonce) to be mined"
      }
      if let appliedTo, appliedTo >= block {
        return "block \(block) to be read by settler run \(row.epoch)"
      }
      return "block \(block) to be final (indexer at \(appliedTo.map { "\($0)" } ?? "none"))"
    case .final, .cancelled: return nil
    }
  }
}
