import Ethereum

/// What must hold before the first block is followed.
enum StartCheck {
  /// Whether the vault has code, by one endpoint's state; nil when it does not have that state any more.
  typealias CodeQuery = @Sendable (_ vault: Address, _ block: UInt64?) async throws -> Bool?

  /// Every endpoint that answers must be of this chain; at least one must answer.
  static func chain(_ wanted: UInt64, of reports: [EndpointReport]) throws {
    for report in reports {
      guard let found = report.chainID, found != wanted else { continue }
      throw IndexerHalt.wrongChain(endpoint: report.endpoint, found: found, wanted: wanted)
    }
    guard reports.contains(where: { $0.chainID != nil }) else {
      throw ChainFault.unavailable(
        reports.map { "\($0.endpoint): \($0.problem ?? "no answer")" }.joined(separator: "; "))
    }
  }

  /// The vault has code now, and had none before its history starts: then nothing can have happened before.
  ///
  /// - Parameter unchecked: believe `startBlock` (`--start-unchecked`)
  static func vault(
    _ vault: Address, startBlock: UInt64, unchecked: Bool, hasCode: CodeQuery
  ) async throws {
    guard try await hasCode(vault, nil) == true else { throw IndexerHalt.noCode(vault: vault) }
    guard startBlock > 0, !unchecked else { return }
    switch try await hasCode(vault, startBlock - 1) {
    case false?: return
    case true?: throw IndexerHalt.startTooLate(vault: vault, startBlock: startBlock)
    case nil: throw IndexerHalt.noHistory(startBlock: startBlock)
    }
  }
}
