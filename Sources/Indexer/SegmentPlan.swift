/// What one step of the chain-sync handles, as a pure decision.
enum SegmentPlan: Sendable, Equatable {
  /// Fetch and prove these blocks' logs.
  case prove(ClosedRange<UInt64>)
  /// Fetch these blocks' logs and believe them for now: what `eth_getLogs` says stays unproven.
  case scan(ClosedRange<UInt64>)
}

/// How much is proven: nothing, new blocks near the head, or everything.
enum ProofMode: String, Sendable, CaseIterable {
  case off
  /// The backfill is only scanned: balances wait until a run with `all` has proven it. Near the head blocks are proven as they come
  /// once nothing before them is unproven.
  case head
  case all
}

extension SegmentPlan {
  /// Blocks of one proven step: 256 headers with their receipts stay within some ten megabytes on mainnet.
  static let mostProvenBlocks: UInt64 = 256
  /// A backlog of this many blocks is a backfill, in mode `head`.
  static let nearHead: UInt64 = 64

  /// The next step, or nil when nothing is left to do.
  ///
  /// - Parameters:
  ///   - unscanned, unproven: the lowest block that is not scanned, not proven
  ///   - head: the highest block on which the quorum agrees
  ///   - finalized: the highest final block, if known
  ///   - canProve: false while no endpoint gives what a proof needs, so that scanning goes on meanwhile
  static func next(
    unscanned: UInt64, unproven: UInt64, head: UInt64, finalized: UInt64?, mode: ProofMode,
    canProve: Bool
  ) -> SegmentPlan? {
    let wantsProof =
      switch mode {
      case .off: false
      case .head: unproven == unscanned && unscanned <= head && head - unscanned < nearHead
      case .all: true
      }
    if canProve, wantsProof, unproven <= head {
      // A block that was scanned before is proven first, in order; one step never mixes both kinds.
      let end = unproven < unscanned ? min(unscanned - 1, head) : head
      if unproven <= end {
        return .prove(capped(unproven...end, finalized: finalized, most: mostProvenBlocks))
      }
    }
    guard unscanned <= head else { return nil }
    return .scan(capped(unscanned...head, finalized: finalized, most: UInt64.max))
  }

  /// A step ends at the finalized block or stays on one side of it: a reorg then never takes back part of a step that is final.
  private static func capped(_ range: ClosedRange<UInt64>, finalized: UInt64?, most: UInt64)
    -> ClosedRange<UInt64>
  {
    var end = range.upperBound
    if let finalized, range.lowerBound <= finalized { end = min(end, finalized) }
    if end - range.lowerBound >= most { end = range.lowerBound + (most - 1) }
    return range.lowerBound...end
  }
}
