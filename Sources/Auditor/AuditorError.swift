import Ethereum

enum AuditorError: Error, Equatable, CustomStringConvertible {
  case unknownVault(chainID: UInt64, vault: Address)
  case nothingApplied(block: Int64)
  case anotherChain(block: UInt64, ledger: Hash32, chain: Hash32?)
  case badAnswer(call: String)

  var description: String {
    switch self {
    case .unknownVault(let chainID, let vault):
      "this ledger follows no vault \(vault) on chain \(chainID): check VAULT_ADDRESS and CHAIN_ID"
    case .nothingApplied(let block):
      "the ledger stands at block \(block), whose header it does not have: let the indexer prove and "
        + "finalize a block first"
    case .anotherChain(let block, let ledger, let chain):
      "block \(block) is \(ledger) in the ledger and \(chain.map(\.hex) ?? "unknown") on the chain: "
        + "the endpoint is behind, or one of the two is wrong"
    case .badAnswer(let call): "\(call) was not answered with one word: is this the vault?"
    }
  }
}
