import Credits
import Ethereum
import JSON
import Service

// What `--json` prints: one object, fields in the order of the contract, amounts as strings of wei.

extension JSONValue {
  static func wei(_ amount: UInt256) -> JSONValue { .string(amount.description) }
  static func wei(_ amount: SignedWei) -> JSONValue { .string(amount.description) }
  static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
}

extension EpochRow {
  var output: [(key: String, value: JSONValue)] {
    [
      ("epoch", .number(epoch)), ("state", .string(state.rawValue)), ("gross", .wei(gross)),
      ("debits", .number(debits)),
    ]
  }
}

extension EpochView {
  var output: JSONValue {
    .object([
      ("epoch", .number(epoch.epoch)), ("state", .string(epoch.state.rawValue)),
      ("gross", .wei(epoch.gross)), ("operators", .wei(epoch.totals.operator)),
      ("treasury", .wei(epoch.totals.treasury)),
      ("infrastructure", .wei(epoch.totals.infrastructure)),
      ("manifest", .optional(manifest?.hex)),
      (
        "payees",
        .array(
          payees.map {
            .object([
              ("payee", .string($0.payee.checksummed)), ("role", .string($0.role.rawValue)),
              ("amount", .wei($0.accrued)), ("paid", .wei($0.paid)),
            ])
          })
      ),
      (
        "charges",
        .object([
          ("count", .number(charges.count)), ("planned", .wei(charges.planned)),
          ("collected", .wei(charges.collected)),
        ])
      ),
      (
        "transactions",
        .array(
          transactions.map {
            .object([
              ("hash", .optional($0.hash?.hex)), ("nonce", .number($0.nonce)),
              ("kind", .string($0.kind)), ("state", .string($0.state.rawValue)),
              ("block", $0.outcomeBlock.map { .number($0) } ?? .null),
            ])
          })
      ),
      ("waiting_for", .optional(waitingFor)),
      ("expires", .optional(limits.map { UnixTime.text($0.expires) })),
      (
        "held",
        .array(
          held.map {
            .object([
              ("payee", .string($0.payee.checksummed)), ("reason", .string($0.reason)),
              ("owed", .wei($0.owed)),
            ])
          })
      ),
      ("carried", .wei(carried)),
    ])
  }

  /// The same for people, in PRLX.
  var text: String {
    guard epoch.state != .open else {
      return "epoch \(epoch.epoch): open since \(epoch.openedAt), added up when it is closed"
        + (waitingFor.map { " (\($0))" } ?? "")
    }
    var lines = [
      "epoch \(epoch.epoch): \(epoch.state.rawValue)",
      "  gross           \(PRLX.text(epoch.gross)) PRLX from \(epoch.debits) debits",
      "  operators       \(PRLX.text(epoch.totals.operator))",
      "  treasury        \(PRLX.text(epoch.totals.treasury))",
      "  infrastructure  \(PRLX.text(epoch.totals.infrastructure))",
    ]
    if let manifest { lines.append("  manifest        \(manifest.hex)") }
    if let limits {
      lines.append(
        "  limits          expires \(UnixTime.text(limits.expires)); \(limits.maxTransactions) transactions of at most"
          + " \(limits.gasPerTransaction) gas, at most \(Fees.gweiText(limits.maxFeePerGasWei)) gwei a gas"
      )
    }
    lines.append(
      "  charges         \(charges.count) users, planned \(PRLX.text(charges.planned)),"
        + " collected \(PRLX.text(charges.collected))")
    for line in payees {
      lines.append(
        "  \(line.payee.checksummed) \(line.role.rawValue): accrued \(PRLX.text(line.accrued)),"
          + " owed \(PRLX.text(line.owed)), paid \(PRLX.text(line.paid))")
    }
    for line in held {
      lines.append(
        "  \(line.payee.checksummed) not paid now (\(line.reason.onOneLine)): owed \(PRLX.text(line.owed))"
      )
    }
    for line in transactions {
      lines.append(
        "  \(line.kind) nonce \(line.nonce) \(line.state.rawValue) \(line.hash?.hex ?? "")"
          + (line.outcomeBlock.map { " in block \($0)" } ?? ""))
    }
    if carried != .zero {
      lines.append("  carried         \(PRLX.text(carried)) owed and not paid by this epoch so far")
    }
    if let waitingFor { lines.append("  waiting for     \(waitingFor)") }
    return lines.joined(separator: "\n")
  }
}
