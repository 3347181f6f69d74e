import Credits
import Ethereum

/// Rule 8: before planning and before the first send, what the ledger counted must be what the chain says, at the
/// block where the ledger stands. A restored backup halts here, with the list.
struct ChainCheck {
  let chain: any SettlementChain
  let vault: Address

  /// Chain id, code, and whom the vault takes settlements from.
  func checkVault(chainID: UInt64, settler: Address, at block: Hash32) async throws {
    let served = try await chain.chainID()
    guard served == chainID else {
      throw SettlerError.wrongChain(configured: chainID, endpoint: served)
    }
    guard try await chain.hasCode(vault, at: block) else { throw SettlerError.noCode(vault) }
    let named = try Vault.address(
      await chain.call(vault, Vault.settler(), at: block), of: "settler()")
    guard named == settler else {
      throw SettlerError.vaultSettler(vault: named, configured: settler)
    }
  }

  /// The pool, every user's `charged` and every payee's `paidTotal`.
  func checkTotals(
    at block: Manifest.BlockReference, pool: UInt256, charged: [Address: UInt256],
    paid: [Address: UInt256]
  ) async throws {
    var lines: [String] = []
    func compare(_ name: String, _ ledger: UInt256, _ call: [UInt8]) async throws {
      let onChain = try Vault.uint256(
        await chain.call(vault, call, at: block.hash), of: name)
      if onChain != ledger {
        lines.append("\(name): the ledger has \(ledger) wei, the chain \(onChain)")
      }
    }
    try await compare("pool()", pool, Vault.pool())
    for (user, total) in charged.sorted(by: { $0.key < $1.key }) {
      try await compare("charged(\(user))", total, Vault.charged(user))
    }
    for (payee, total) in paid.sorted(by: { $0.key < $1.key }) {
      try await compare("paidTotal(\(payee))", total, Vault.paidTotal(payee))
    }
    guard lines.isEmpty else {
      throw SettlerError.ledgerDiffersFromChain(block: block.number, lines)
    }
  }

  /// The account's nonce must fit what this ledger gave out: never an endpoint's word alone decides a nonce.
  ///
  /// - Parameters:
  ///   - last: the last nonce that the ledger gave out.
  ///   - lastFinal: the last one whose transaction is final in the ledger.
  /// - Returns: the next nonce.
  func nextNonce(of settler: Address, last: UInt64?, lastFinal: UInt64?) async throws -> UInt64 {
    let latest = try await chain.latestNonce(of: settler)
    guard let last else {
      let pending = try await chain.pendingNonce(of: settler)
      guard latest == pending else {
        throw SettlerError.accountBusy(latest: latest, pending: pending)
      }
      return latest
    }
    guard latest <= last + 1 else {
      throw SettlerError.accountUsedElsewhere(chain: latest, ledger: last + 1)
    }
    if let lastFinal, latest <= lastFinal {
      throw SettlerError.chainBehindLedger(chain: latest, ledger: lastFinal)
    }
    return last + 1
  }
}
