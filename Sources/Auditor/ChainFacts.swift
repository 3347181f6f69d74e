import ChainRPC
import Credits
import Ethereum

/// What the chain says at one block, read by the auditor itself and agreed by the quorum.
struct ChainFacts: Sendable {
  let vaultTokens, pool: SignedWei
  let balances, charged, paid: [Address: SignedWei]

  /// - Parameter facts: says which block, accounts and payees.
  static func read(_ pool: EndpointPool, for facts: LedgerFacts) async throws -> ChainFacts {
    let found = try await pool.agreed(on: "block \(facts.block)") { client in
      try await client.block(.number(facts.block))?.hash
    }
    guard found == facts.blockHash else {
      throw AuditorError.anotherChain(block: facts.block, ledger: facts.blockHash, chain: found)
    }
    func word(_ name: String, _ to: Address, _ call: [UInt8]) async throws -> SignedWei {
      let answer = try await pool.agreed(on: name) { client in
        try await client.call(to: to, data: call, at: .hash(facts.blockHash))
      }
      guard answer.count == 32 else { throw AuditorError.badAnswer(call: name) }
      return SignedWei(try UInt256(bigEndian: answer))
    }
    let vault = facts.vault
    var balances: [Address: SignedWei] = [:]
    var charged: [Address: SignedWei] = [:]
    for user in facts.accounts.map(\.account) {
      balances[user] = try await word("balanceOf(\(user))", vault, ContractCall.balanceOf(user))
      charged[user] = try await word("charged(\(user))", vault, ContractCall.charged(user))
    }
    var paid: [Address: SignedWei] = [:]
    for payee in facts.payees.map(\.payee) {
      paid[payee] = try await word("paidTotal(\(payee))", vault, ContractCall.paidTotal(payee))
    }
    return ChainFacts(
      vaultTokens: try await word(
        "the token's balanceOf(\(vault))", facts.token, ContractCall.balanceOf(vault)),
      pool: try await word("pool()", vault, ContractCall.pool()), balances: balances,
      charged: charged, paid: paid)
  }
}
