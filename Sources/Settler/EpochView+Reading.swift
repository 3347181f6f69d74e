import Credits
import Ethereum

extension EpochView {
  /// Reads what there is of an epoch.
  /// - Parameter policy: for saying how many approvals are missing; nil where none is configured.
  static func read(
    _ epoch: UInt64, _ reader: LedgerReader, policy: ApprovalPolicy?
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
        row, approvals: approvals, required: policy?.required, transactions,
        appliedTo: appliedTo))
  }

  /// What comes next, in plain words.
  static func waiting(
    _ row: EpochRow, approvals: Int, required: Int?, _ transactions: [TransactionRow],
    appliedTo: UInt64?
  ) -> String? {
    switch row.state {
    case .open: return "settler epoch close"
    case .closed:
      return row.isTallied
        ? "a plan (settler plan \(row.epoch))" : "its sums (settler epoch close)"
    case .planned:
      return required.map { "\(approvals) of \($0) approvals" } ?? "approvals (\(approvals) so far)"
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
