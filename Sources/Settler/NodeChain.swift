import ChainRPC
import Credits
import Ethereum

/// The chain as endpoints tell it: what decides about money is agreed by the quorum or checked against proven headers.
struct NodeChain: SettlementChain {
  private let pool: EndpointPool
  private let sending: [EthereumClient]

  init(_ pool: EndpointPool, sending: [Endpoint]) {
    self.pool = pool
    self.sending = sending.map { EthereumClient(JSONRPCClient($0)) }
  }

  func chainID() async throws -> UInt64 {
    try await asking { try await pool.agreed(on: "the chain id") { try await $0.chainID() } }
  }

  func hasCode(_ address: Address, at block: Hash32) async throws -> Bool {
    try await asking {
      try await pool.agreed(on: "code of \(address)") {
        try await !$0.code(address, at: .hash(block)).isEmpty
      }
    }
  }

  func call(_ to: Address, _ data: [UInt8], at block: Hash32) async throws -> [UInt8] {
    try await asking {
      try await pool.agreed(on: "a call of \(to)") {
        try await $0.call(to: to, data: data, at: .hash(block))
      }
    }
  }

  func nonce(of account: Address, at block: Hash32) async throws -> UInt64 {
    try await asking {
      try await pool.agreed(on: "the nonce of \(account)") {
        try await $0.transactionCount(account, at: .hash(block))
      }
    }
  }

  func latestNonce(of account: Address) async throws -> UInt64 {
    try await asking {
      try await pool.first { try await $0.transactionCount(account, at: .latest) }
    }
  }

  func pendingNonce(of account: Address) async throws -> UInt64 {
    try await asking {
      try await pool.first { try await $0.transactionCount(account, at: .pending) }
    }
  }

  func balance(of account: Address) async throws -> UInt256 {
    try await asking { try await pool.first { try await $0.balance(account, at: .latest) } }
  }

  func simulate(from: Address, to: Address, data: [UInt8]) async throws {
    _ = try await asking {
      try await pool.first { try await $0.call(to: to, data: data, from: from, at: .latest) }
    }
  }

  func estimateGas(from: Address, to: Address, data: [UInt8]) async throws -> UInt64 {
    try await asking {
      try await pool.first { try await $0.estimateGas(from: from, to: to, data: data) }
    }
  }

  func fees() async throws -> (baseFeeWei: UInt256, tipWei: UInt256) {
    let fees = try await asking { try await pool.first { try await $0.fees() } }
    return (baseFeeWei: fees.baseFee, tipWei: fees.tip)
  }

  func inclusion(of hash: Hash32) async throws -> SendState.Inclusion? {
    let answers = await pool.all { try await $0.receipt(hash) }
    var unknown = 0
    for case .success(let receipt) in answers.map(\.result) {
      guard let receipt, receipt.transaction == hash else {
        unknown += 1
        continue
      }
      return SendState.Inclusion(
        hash: hash, blockNumber: receipt.blockNumber, blockHash: receipt.blockHash,
        gasUsed: receipt.gasUsed, gasPriceWei: receipt.effectiveGasPrice,
        succeeded: receipt.receipt.succeeded)
    }
    // One endpoint that lags, or keeps no old receipts, must not make a mined transaction look like another's.
    guard unknown >= pool.quorum else {
      throw ChainUnavailable("only \(unknown) of \(answers.count) endpoints answered about \(hash)")
    }
    return nil
  }

  /// Receipts and transactions rebuild the roots of the proven header.
  func provenReceipts(of block: Hash32, header bytes: [UInt8]) async throws -> ProvenBlock {
    let header = try Header(encoded: bytes)
    guard header.hash == block else {
      throw SettlerError.halted("the stored header of block \(block) does not hash to it")
    }
    let (transactions, receipts) = try await asking {
      try await pool.first { client in
        (
          try await client.provenTransactions(of: block, root: header.transactionsRoot),
          try await client.provenReceipts(of: block, root: header.receiptsRoot)
        )
      }
    }
    guard transactions.count == receipts.count else {
      throw ChainUnavailable("block \(block) has another number of transactions than of receipts")
    }
    var gasBefore: UInt64 = 0
    var proven: [ProvenBlock.Receipt] = []
    for receipt in receipts.map(\.receipt) {
      // Cumulative gas is proven, a receipt's own gas is beside it: only the difference can be believed.
      let (gas, overflow) = receipt.cumulativeGasUsed.subtractingReportingOverflow(gasBefore)
      guard !overflow else {
        throw ChainUnavailable("cumulative gas of block \(block) goes down")
      }
      gasBefore = receipt.cumulativeGasUsed
      proven.append(
        ProvenBlock.Receipt(
          succeeded: receipt.succeeded, gasUsed: gas,
          logs: receipt.logs.map {
            ProvenBlock.Log(address: $0.address, topics: $0.topics, data: $0.data)
          }))
    }
    return ProvenBlock(transactions: transactions, receipts: proven)
  }

  func send(_ raw: [UInt8]) async -> [SendAnswer] {
    let hash = Hash32.keccak(raw)
    var answers: [SendAnswer] = []
    for client in sending {
      let endpoint = client.rpc.endpoint.description
      do {
        let answered = try await client.send(raw)
        answers.append(
          SendAnswer(
            endpoint: endpoint, outcome: "accepted as \(answered)", accepted: answered == hash))
      } catch {
        answers.append(SendAnswer(endpoint: endpoint, outcome: "\(error)", accepted: false))
      }
    }
    return answers
  }

  /// An endpoint's own refusal of a call is an answer; everything else is no answer, and may be asked again.
  private func asking<Value>(_ question: () async throws -> Value) async throws -> Value {
    do {
      return try await question()
    } catch RPCError.remote(_, let code, let message, _)
      where code == 3 || message.contains("revert")
    {
      throw EstimateRefused(reason: message)
    } catch let error as RPCError {
      throw ChainUnavailable("\(error)")
    }
  }
}
