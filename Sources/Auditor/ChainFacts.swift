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
    func word(_ call: String, _ to: Address, _ argument: Address?) async throws -> SignedWei {
      var data = Array(Hash32.keccak(Array(call.utf8)).bytes.prefix(4))
      if let argument { data += [UInt8](repeating: 0, count: 12) + argument.bytes }
      let request = data
      let answer = try await pool.agreed(on: call) { client in
        try await client.call(to: to, data: request, at: .hash(facts.blockHash))
      }
      guard answer.count == 32 else { throw AuditorError.badAnswer(call: call) }
      return SignedWei(try UInt256(bigEndian: answer))
    }
    var balances: [Address: SignedWei] = [:]
    var charged: [Address: SignedWei] = [:]
    for account in facts.accounts {
      balances[account.account] = try await word("balanceOf(address)", facts.vault, account.account)
      charged[account.account] = try await word("charged(address)", facts.vault, account.account)
    }
    var paid: [Address: SignedWei] = [:]
    for payee in facts.payees {
      paid[payee.payee] = try await word("paidTotal(address)", facts.vault, payee.payee)
    }
    return ChainFacts(
      vaultTokens: try await word("balanceOf(address)", facts.token, facts.vault),
      pool: try await word("pool()", facts.vault, nil), balances: balances, charged: charged,
      paid: paid)
  }
}
