/// What a scan (`eth_getLogs`) said beside what the blocks' receipts prove.
struct ScanComparison: Sendable, Equatable {
  /// Proven, and not in the scan: taken from the receipts, and counted.
  let omitted: [LogPlace]
  /// In the scan, and not in the receipts, or there with another content: the endpoint lied.
  let forged: [LogPlace]

  /// - Parameters: both of the same blocks; a row counts as the same only when all of it is.
  init(scanned: FollowedRows, proven: FollowedRows) {
    omitted =
      Self.places(of: proven.events, missingIn: scanned.events)
      + Self.places(of: proven.transfers, missingIn: scanned.transfers)
    forged =
      Self.places(of: scanned.events, missingIn: proven.events)
      + Self.places(of: scanned.transfers, missingIn: proven.transfers)
  }

  // An omission shifts the ordinals of the logs after it in its transaction; that alone makes none of them a forgery.
  private static func places(of rows: [VaultEvent], missingIn others: [VaultEvent]) -> [LogPlace] {
    let known = Set(others.map(\.fact))
    return rows.filter { !known.contains($0.fact) }.map(\.place)
  }

  private static func places(of rows: [TokenTransfer], missingIn others: [TokenTransfer])
    -> [LogPlace]
  {
    let known = Set(others)
    return rows.filter { !known.contains($0) }.map(\.place)
  }
}

extension VaultEvent {
  /// The event without its ordinal.
  fileprivate var fact: VaultEvent {
    VaultEvent(kind: kind, account: account, amount: amount, total: total, place: place, ordinal: 0)
  }
}
