import Credits
import Ethereum

/// How many users or payees fit into one transaction, by the gas that the chain estimates.
struct ChunkSizer {
  let chain: any SettlementChain
  let vault: Address
  let settler: Address
  /// What a transaction may use.
  let maxGas: UInt64

  /// The reference vault takes 2,000 a call; a thousand keeps the call data below 128 KiB, where nodes refuse.
  static let most = 1_000
  /// A fifth is kept for state that changes between planning and sending.
  private var budget: UInt64 { maxGas * 4 / 5 }

  func charges(_ charges: [Manifest.Charge]) async throws -> Int {
    try await size(charges.count) { count in
      // Those who were never charged cost most (a slot is written for the first time), so they are measured first.
      let sample = charges.sorted { ($0.charged, $0.user) < ($1.charged, $1.user) }.prefix(count)
      return ContractCall.charge(sample.map(\.user), sample.map(\.spent))
    }
  }

  /// Before the charges are final the pool may be empty, and a payment of what it does not hold reverts. So this
  /// measures one wei each when the pool has that much, and otherwise assumes what a first payment costs.
  func payments(_ payees: [Manifest.Payee], pool: UInt256) async throws -> Int {
    let due = payees.filter { $0.maxPaid > $0.paidBefore }
      .sorted { ($0.paidBefore, $0.address) < ($1.paidBefore, $1.address) }
    if pool >= UInt256(UInt64(min(due.count, Self.most))) {
      return try await size(due.count) { count in
        let sample = due.prefix(count)
        return ContractCall.pay(
          sample.map(\.address), try sample.map { try $0.paidBefore.adding(.one) })
      }
    }
    let fits = (budget > Self.base ? budget - Self.base : 0) / Self.firstPaymentGas
    return try bounded(Int(clamping: fits), count: due.count)
  }

  /// Gas of a transaction without its lines.
  private static let base: UInt64 = 40_000
  /// 52,800 were measured for a payee never paid before; two new storage slots are 44,200 of them (EIP-2929).
  private static let firstPaymentGas: UInt64 = 60_000

  /// About what all transactions of a manifest will use: full ones of charges as estimated, payments at the price of a first.
  func gas(of manifest: Manifest) async throws -> UInt64 {
    var gas: UInt64 = 0
    if let chunk = manifest.chargeChunks.first {
      let one = try await chain.estimateGas(
        from: settler, to: vault, data: manifest.chargeCallData(chunk))
      gas = UInt64(manifest.chargeChunks.count).multipliedReportingOverflow(by: one).partialValue
    }
    let payments = UInt64(manifest.payeeCount)
    let perTransaction = UInt64(manifest.limits.paymentsPerTransaction)
    let chunks = payments / perTransaction + (payments % perTransaction == 0 ? 0 : 1)
    return gas &+ chunks &* Self.base &+ payments &* Self.firstPaymentGas
  }

  private func size(_ count: Int, _ call: (Int) throws -> [UInt8]) async throws -> Int {
    var size = min(max(count, 1), Self.most)
    guard count > 0 else { return size }
    while true {
      do {
        let gas = try await chain.estimateGas(from: settler, to: vault, data: try call(size))
        if gas <= budget { return size }
        let fits = Int(clamping: UInt64(size) * budget / gas)
        size = try bounded(min(fits, size - 1), count: count)
      } catch let error as EstimateRefused {
        // A node caps what it estimates; half as many may fit.
        guard size > 1 else { throw error }
        size /= 2
      }
    }
  }

  private func bounded(_ size: Int, count: Int) throws -> Int {
    guard size >= 1 else {
      throw SettlerError.badValue(
        option: "--max-gas", value: "\(maxGas)", wanted: "not even one line fits, allow more")
    }
    return min(size, max(count, 1), Self.most)
  }
}

/// The chain ran the call and it failed.
struct EstimateRefused: Error, CustomStringConvertible {
  let reason: String
  var description: String { "the vault refuses the call: \(reason)" }
}
