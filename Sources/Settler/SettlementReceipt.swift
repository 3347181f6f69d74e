import Credits
import Ethereum

/// What a proven receipt must look like to be that of a payload.
///
/// That it is ours is proven by then; this is the second line: only the settlement key makes the vault charge or pay, so
/// another's receipt has other logs, and a success without them cannot be a payment.
struct SettlementReceipt {
  let vault: Address
  let kind: String
  /// Cumulative amounts by user or payee: what the call says.
  let lines: [Address: UInt256]

  private static let events = [
    "charge": Hash32.keccak(Array("Charged(address,uint256,uint256)".utf8)),
    "pay": Hash32.keccak(Array("Paid(address,uint256,uint256)".utf8)),
  ]

  /// Why it cannot be the payload's, or nil.
  /// - Parameter paidTotals: what the ledger has proven as paid up to the receipt's block.
  func contradiction(
    _ receipt: ProvenBlock.Receipt, paidTotals: [Address: UInt256]
  ) throws -> String? {
    guard receipt.succeeded else {
      return receipt.logs.isEmpty ? nil : "it reverted and left logs"
    }
    for log in receipt.logs where log.address == vault {
      guard log.topics.count == 2, log.topics.first == Self.events[kind], log.data.count == 64,
        log.topics[1].bytes.prefix(12).allSatisfy({ $0 == 0 })
      else { return "it left another event of the vault than a \(kind) does" }
      let account = try Address(log.topics[1].bytes.suffix(20))
      let total = try UInt256(bigEndian: log.data.suffix(32))
      guard let line = lines[account], total <= line else {
        return "it moved \(account) to \(total) wei, which the payload does not say"
      }
    }
    guard kind == "pay" else { return nil }
    for (payee, paid) in lines.sorted(by: { $0.key < $1.key }) {
      let proven = paidTotals[payee] ?? .zero
      if proven < paid {
        return "it succeeded, but \(payee) has \(proven) of \(paid) wei by proven events"
      }
    }
    return nil
  }
}
