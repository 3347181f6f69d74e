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
    let answer = try await chain.call(vault, ContractCall.settler(), at: block)
    guard answer.count == 32, answer.prefix(12).allSatisfy({ $0 == 0 }) else {
      throw SettlerError.notAVault(call: "settler()", bytes: answer.count)
    }
    let named = try Address(answer.suffix(20))
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
      let answer = try await chain.call(vault, call, at: block.hash)
      guard answer.count == 32 else {
        throw SettlerError.notAVault(call: name, bytes: answer.count)
      }
      let onChain = try UInt256(bigEndian: answer)
      if onChain != ledger {
        lines.append("\(name): the ledger has \(ledger) wei, the chain \(onChain)")
      }
    }
    try await compare("pool()", pool, ContractCall.pool())
    for (user, total) in charged.sorted(by: { $0.key < $1.key }) {
      try await compare("charged(\(user))", total, ContractCall.charged(user))
    }
    for (payee, total) in paid.sorted(by: { $0.key < $1.key }) {
      try await compare("paidTotal(\(payee))", total, ContractCall.paidTotal(payee))
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
