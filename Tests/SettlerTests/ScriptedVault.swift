import Credits
import Ethereum
import Synchronization

@testable import Settler

/// A chain in memory with the reference vault on it: blocks whose headers hash, a mempool, forks, and endpoints that can
/// be told to lose answers or to die. It executes what it is sent by its own reading of the call data.
final class ScriptedVault: SettlementChain {
  static let chainID: UInt64 = 31_337
  static let vault = try! Address([UInt8](repeating: 0xff, count: 20))
  static let token = try! Address([UInt8](repeating: 0xee, count: 20))

  /// Thrown where a process would have been killed.
  struct Killed: Error {}

  struct Event {
    let kind: String
    let account: Address
    let amount, total: UInt64
    let transaction: Hash32
  }

  struct State {
    var balances: [Address: UInt64] = [:]
    var charged: [Address: UInt64] = [:]
    var paid: [Address: UInt64] = [:]
    /// How often an address got something: one payment each is what all of this is for.
    var payments: [Address: Int] = [:]
    var pool: UInt64 = 0
    var nonces: [Address: UInt64] = [:]
  }

  struct Block {
    let number: UInt64
    let header: Header
    let hash: Hash32
    let transactions: [Hash32]
    let receipts: [ProvenBlock.Receipt]
    let events: [Event]
    let state: State
  }

  /// What endpoints do with bytes that are sent.
  enum Sending {
    case accepts
    /// It arrives; nobody says so.
    case losesReply
    /// It does not arrive, for the reason given.
    case refuses(String)
  }

  struct Script {
    var blocks: [Block] = []
    var deposits: [(Address, UInt64, isDeposit: Bool)] = []
    var mempool: [Hash32: SignedTransaction] = [:]
    /// Every raw transaction that an endpoint was given, in order.
    var sent: [[UInt8]] = []
    var sending = Sending.accepts
    var minesTransactions = true
    var revertsNonces: Set<UInt64> = []
    var foreign: [SignedTransaction] = []
    var gasMoneyWei = UInt256(1_000_000_000_000_000_000)
    var baseFeeWei = UInt256(1_000_000_000)
    var tipWei = UInt256(100_000_000)
    var served = chainID
    var vaultSettler = Address.zero
    var refusesSimulation: String?
    var isUnreachable = false
    /// What the one endpoint says beside the truth.
    var claims: [Hash32: SendState.Inclusion] = [:]
    var claimedTransactions: [Hash32: [Hash32]] = [:]
    var calls = 0
    /// Which calls were sendings.
    var sends: [Int] = []
    /// The call at which the process dies, before or after its effect.
    var killAt: (call: Int, afterEffect: Bool)?
    var isDead = false
  }

  private let script = Mutex(Script())

  init(settler: Address) {
    script.withLock { $0.vaultSettler = settler }
    mine()
  }

  func change<Value>(_ body: (inout sending Script) -> sending Value) -> sending Value {
    script.withLock(body)
  }
  var sent: [[UInt8]] { script.withLock { $0.sent } }
  var head: UInt64 { script.withLock { UInt64($0.blocks.count - 1) } }
  var state: State { script.withLock { $0.blocks[$0.blocks.count - 1].state } }
  func block(_ number: UInt64) -> Block { script.withLock { $0.blocks[Int(number)] } }

  func deposit(_ user: Address, _ amount: UInt64) {
    script.withLock { $0.deposits.append((user, amount, true)) }
  }
  func withdraw(_ user: Address, _ amount: UInt64) {
    script.withLock { $0.deposits.append((user, amount, false)) }
  }

  // MARK: Blocks

  @discardableResult
  func mine(salt: String = "") -> UInt64 {
    script.withLock { script in
      let number = UInt64(script.blocks.count)
      var state = script.blocks.last?.state ?? State()
      var events: [Event] = []
      var receipts: [(hash: Hash32, succeeded: Bool, logs: [ProvenBlock.Log])] = []
      for (index, (user, amount, isDeposit)) in script.deposits.enumerated() {
        let hash = Hash32.keccak(Array("user \(number) \(index) \(salt)".utf8))
        if isDeposit {
          state.balances[user, default: 0] += amount
        } else {
          state.balances[user, default: 0] -= amount
        }
        events.append(
          Event(
            kind: isDeposit ? "deposit" : "withdraw", account: user, amount: amount, total: 0,
            transaction: hash))
        receipts.append((hash, true, []))
      }
      script.deposits = []
      if script.minesTransactions {
        let waiting = script.foreign + script.mempool.values
        var byNonce: [UInt64: SignedTransaction] = [:]
        for signed in waiting {
          let nonce = signed.transaction.nonce
          let isForeign = script.foreign.contains(signed)
          if byNonce[nonce] == nil || isForeign || Self.fee(signed) > byNonce[nonce].map(Self.fee)!
          {
            if let held = byNonce[nonce], script.foreign.contains(held) { continue }
            byNonce[nonce] = signed
          }
        }
        while let signed = byNonce[state.nonces[script.vaultSettler, default: 0]] {
          let nonce = signed.transaction.nonce
          state.nonces[script.vaultSettler] = nonce + 1
          var after = state
          var logs: [Event] = []
          var succeeded = true
          if script.revertsNonces.contains(nonce)
            || !Self.execute(signed.transaction, &after, &logs, hash: signed.hash)
          {
            succeeded = false
            logs = []
          } else {
            state = after
          }
          events += logs
          receipts.append((signed.hash, succeeded, logs.map(Self.log)))
        }
        let mined = Set(receipts.map(\.hash))
        script.mempool = script.mempool.filter { !mined.contains($0.key) }
        script.foreign.removeAll { mined.contains($0.hash) }
      }
      let header = Header(
        parentHash: script.blocks.last?.hash ?? .zero, ommersHash: .zero, beneficiary: .zero,
        stateRoot: .keccak(Array("\(state)".utf8)), transactionsRoot: .zero, receiptsRoot: .zero,
        logsBloom: Bloom(), difficulty: .zero, number: number, gasLimit: 30_000_000, gasUsed: 0,
        timestamp: 1_700_000_000 + 12 * number, extraData: Array(salt.utf8), mixHash: .zero,
        nonce: [UInt8](repeating: 0, count: 8),
        tail: [
          Header.Tail(field: .baseFeePerGas, bytes: script.baseFeeWei.minimalBigEndianBytes)
        ])
      script.blocks.append(
        Block(
          number: number, header: header, hash: header.hash, transactions: receipts.map(\.hash),
          receipts: receipts.map {
            ProvenBlock.Receipt(succeeded: $0.succeeded, gasUsed: 40_000, logs: $0.logs)
          }, events: events, state: state))
      return number
    }
  }

  /// Takes the top blocks away; what was in them may be mined again.
  func drop(_ count: Int) {
    script.withLock { script in
      script.blocks.removeLast(count)
      for raw in script.sent {
        guard let signed = try? SignedTransaction(raw: raw) else { continue }
        if !script.blocks.contains(where: { $0.transactions.contains(signed.hash) }) {
          script.mempool[signed.hash] = signed
        }
      }
    }
  }

  private static func fee(_ signed: SignedTransaction) -> UInt256 {
    if case .dynamic(let maxFee, _) = signed.transaction.fees { return maxFee }
    return .zero
  }

  /// The reference vault (DESIGN, section 9): cumulative amounts, a charge is clamped, a payment is covered or reverts.
  private static func execute(
    _ transaction: Transaction, _ state: inout State, _ events: inout [Event], hash: Hash32
  ) -> Bool {
    guard transaction.to == vault else { return true }
    let words = stride(from: 4, to: transaction.data.count, by: 32).map {
      Array(transaction.data[$0..<$0 + 32])
    }
    func number(_ index: Int) -> UInt64 {
      UInt64(words[index].suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
    let count = Int(number(2))
    for index in 0..<count {
      let account = try! Address(words[3 + index].suffix(20))
      let amount = number(4 + count + index)
      switch Array(transaction.data.prefix(4)) {
      case Array(ContractCall.charge([], []).prefix(4)):
        let charged = state.charged[account, default: 0]
        let take = min(amount > charged ? amount - charged : 0, state.balances[account, default: 0])
        guard take > 0 else { continue }
        state.balances[account, default: 0] -= take
        state.charged[account] = charged + take
        state.pool += take
        events.append(
          Event(
            kind: "charged", account: account, amount: take, total: charged + take,
            transaction: hash))
      default:
        let paid = state.paid[account, default: 0]
        guard amount > paid else { continue }
        guard state.pool >= amount - paid else { return false }
        state.pool -= amount - paid
        state.paid[account] = amount
        state.payments[account, default: 0] += 1
        events.append(
          Event(
            kind: "paid", account: account, amount: amount - paid, total: amount, transaction: hash)
        )
      }
    }
    return true
  }

  private static func log(_ event: Event) -> ProvenBlock.Log {
    let name = event.kind == "charged" ? "Charged" : "Paid"
    return ProvenBlock.Log(
      address: vault,
      topics: [
        .keccak(Array("\(name)(address,uint256,uint256)".utf8)),
        try! Hash32([UInt8](repeating: 0, count: 12) + event.account.bytes),
      ], data: UInt256(event.amount).bigEndianBytes + UInt256(event.total).bigEndianBytes)
  }

  // MARK: SettlementChain

  private func ask<Answer>(_ body: (inout Script) throws -> Answer) throws -> Answer {
    try script.withLock { script in
      script.calls += 1
      if script.isDead { throw Killed() }
      if let kill = script.killAt, kill.call == script.calls {
        script.isDead = true
        throw Killed()
      }
      if script.isUnreachable { throw ChainUnavailable("connection refused") }
      return try body(&script)
    }
  }

  private static func at(_ hash: Hash32, _ script: Script) throws -> Block {
    guard let block = script.blocks.first(where: { $0.hash == hash }) else {
      throw ChainUnavailable("unknown block \(hash)")
    }
    return block
  }

  func chainID() async throws -> UInt64 { try ask { $0.served } }

  func hasCode(_ address: Address, at block: Hash32) async throws -> Bool {
    try ask { _ in address == Self.vault }
  }

  func call(_ to: Address, _ data: [UInt8], at block: Hash32) async throws -> [UInt8] {
    try ask { script in
      let state = try Self.at(block, script).state
      let account = data.count == 36 ? try Address(data.suffix(20)) : .zero
      switch Array(data.prefix(4)) {
      case ContractCall.pool(): return UInt256(state.pool).bigEndianBytes
      case Array(ContractCall.charged(.zero).prefix(4)):
        return UInt256(state.charged[account, default: 0]).bigEndianBytes
      case Array(ContractCall.paidTotal(.zero).prefix(4)):
        return UInt256(state.paid[account, default: 0]).bigEndianBytes
      default: return [UInt8](repeating: 0, count: 12) + script.vaultSettler.bytes
      }
    }
  }

  func nonce(of account: Address, at block: Hash32) async throws -> UInt64 {
    try ask { try Self.at(block, $0).state.nonces[account, default: 0] }
  }

  func latestNonce(of account: Address) async throws -> UInt64 {
    try ask { $0.blocks[$0.blocks.count - 1].state.nonces[account, default: 0] }
  }

  func pendingNonce(of account: Address) async throws -> UInt64 {
    try ask { script in
      var next = script.blocks[script.blocks.count - 1].state.nonces[account, default: 0]
      let waiting = Set((script.mempool.values + script.foreign).map(\.transaction.nonce))
      while waiting.contains(next) { next += 1 }
      return next
    }
  }

  func balance(of account: Address) async throws -> UInt256 { try ask { $0.gasMoneyWei } }

  func simulate(from: Address, to: Address, data: [UInt8]) async throws {
    try ask { script in
      if let reason = script.refusesSimulation { throw EstimateRefused(reason: reason) }
      var state = script.blocks[script.blocks.count - 1].state
      var events: [Event] = []
      let call = Transaction(
        chainID: Self.chainID, nonce: 0, fees: .legacy(gasPrice: .zero), gasLimit: 0, to: to,
        value: .zero, data: data)
      guard Self.execute(call, &state, &events, hash: .zero) else {
        throw EstimateRefused(reason: "execution reverted: pool")
      }
    }
  }

  func estimateGas(from: Address, to: Address, data: [UInt8]) async throws -> UInt64 {
    try ask { _ in 40_000 + UInt64(data.count) * 200 }
  }

  func fees() async throws -> (baseFeeWei: UInt256, tipWei: UInt256) {
    try ask { ($0.baseFeeWei, $0.tipWei) }
  }

  func inclusion(of hash: Hash32) async throws -> SendState.Inclusion? {
    try ask { script in
      if let claim = script.claims[hash] { return claim }
      guard let block = script.blocks.last(where: { $0.transactions.contains(hash) }),
        let index = block.transactions.firstIndex(of: hash)
      else { return nil }
      return SendState.Inclusion(
        hash: hash, blockNumber: block.number, blockHash: block.hash, gasUsed: 40_000,
        gasPriceWei: UInt256(7), succeeded: block.receipts[index].succeeded)
    }
  }

  func provenReceipts(of block: Hash32, header: [UInt8]) async throws -> ProvenBlock {
    try ask { script in
      let found = try Self.at(block, script)
      return ProvenBlock(
        transactions: script.claimedTransactions[block] ?? found.transactions,
        receipts: found.receipts)
    }
  }

  func send(_ raw: [UInt8]) async -> [SendAnswer] {
    script.withLock { script in
      script.calls += 1
      script.sends.append(script.calls)
      var dies = false
      if let kill = script.killAt, kill.call == script.calls {
        dies = true
        script.isDead = true
        if !kill.afterEffect { return [] }
      }
      script.sent.append(raw)
      func answer(_ outcome: String, _ accepted: Bool) -> [SendAnswer] {
        dies ? [] : [SendAnswer(endpoint: "scripted", outcome: outcome, accepted: accepted)]
      }
      if case .refuses(let why) = script.sending { return answer(why, false) }
      guard let signed = try? SignedTransaction(raw: raw) else { return answer("invalid", false) }
      let nonce = signed.transaction.nonce
      guard
        nonce >= script.blocks[script.blocks.count - 1].state.nonces[signed.sender, default: 0]
      else { return answer("nonce too low", false) }
      if script.mempool[signed.hash] != nil { return answer("already known", false) }
      script.mempool[signed.hash] = signed
      if case .losesReply = script.sending { return answer("time-out", false) }
      return answer("accepted as \(signed.hash)", true)
    }
  }
}
