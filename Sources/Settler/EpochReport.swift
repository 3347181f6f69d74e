import Credits
import Ethereum

/// All that a report of an epoch tells; `html` and `csv` write it down.
struct EpochReport: Sendable {
  /// An operator's work; nil is project hardware.
  struct Work: Equatable, Sendable {
    let wallet: Address?
    let requests: Int64
    let inputTokens: String
    let outputTokens: String
    let gross: SignedWei
    let carryOut: SignedWei
    let share: SignedWei
  }

  /// A user whose charge did not bring all that was spent.
  struct Shortfall: Equatable, Sendable {
    let user: Address
    let spent: UInt256
    let charged: UInt256
  }

  struct Counted: Equatable, Sendable {
    let count: Int64
    let sum: UInt256
  }

  let view: EpochView
  let split: Split
  let settler: Address?
  let approvers: [Address]
  let work: [Work]
  let shortfalls: [Shortfall]
  /// Usage older than the epoch it is counted in.
  let late: Counted
  /// Served and never paid for (`unpaid_work`).
  let uncollected: Counted
  /// What users have spent and the vault has not taken yet.
  let exposure: UInt256
  /// A block explorer's address, `…/tx/` and a hash follow; nil: no links.
  let explorer: String?

  /// Requests on project hardware in hundredths of a percent of all; 0 when there were none.
  var fallbackShareBasisPoints: Int64 {
    let all = work.reduce(Int128(0)) { $0 + Int128($1.requests) }
    let fallback = work.filter { $0.wallet == nil }.reduce(Int128(0)) { $0 + Int128($1.requests) }
    return all == 0 ? 0 : Int64(clamping: fallback * 10_000 / all)
  }
}

extension EpochReport {
  /// One line a payee and role, one an uncharged user, one a transaction; amounts in wei (RFC 4180).
  var csv: String {
    let work = Dictionary(
      self.work.compactMap { line in line.wallet.map { ($0, line) } },
      uniquingKeysWith: { first, _ in first })
    var rows = [
      [
        "epoch", "line", "address", "role", "requests", "input_tokens", "output_tokens",
        "accrued_wei", "owed_wei", "paid_wei", "note",
      ]
    ]
    let epoch = "\(view.epoch.epoch)"
    for line in view.payees {
      let served = line.role == .operator ? work[line.payee] : nil
      rows.append([
        epoch, "payee", line.payee.checksummed, line.role.rawValue,
        served.map { "\($0.requests)" } ?? "", served?.inputTokens ?? "",
        served?.outputTokens ?? "", "\(line.accrued)", "\(line.owed)", "\(line.paid)", "",
      ])
    }
    for line in self.work where line.wallet == nil {
      rows.append([
        epoch, "fallback", "", "", "\(line.requests)", line.inputTokens, line.outputTokens,
        "\(line.share)", "", "", "project hardware; counted in \(split.fallbackTo.rawValue)",
      ])
    }
    for line in view.held {
      rows.append([
        epoch, "held back", line.payee.checksummed, "", "", "", "", "", "\(line.owed)", "0",
        line.reason,
      ])
    }
    for line in shortfalls {
      rows.append([
        epoch, "shortfall", line.user.checksummed, "user", "", "", "", "\(line.spent)", "",
        "\(line.charged)", "spent and charged ever",
      ])
    }
    for transaction in view.transactions {
      rows.append([
        epoch, "transaction", transaction.hash?.hex ?? "", transaction.kind, "", "", "", "", "",
        "", "nonce \(transaction.nonce) \(transaction.state.rawValue)",
      ])
    }
    return rows.map { $0.map(Self.csvField).joined(separator: ",") }.joined(separator: "\r\n")
      + "\r\n"
  }

  private static let formulaStarts: Set<Unicode.Scalar> = ["=", "+", "-", "@", "\t", "\r", "\n"]
  private static let quotedScalars: Set<Unicode.Scalar> = [",", "\"", "\r", "\n"]

  /// Quoted where RFC 4180 asks for it; a text that a spreadsheet would run as a formula is quoted with a '.
  static func csvField(_ text: String) -> String {
    // By scalars: a combining mark makes one Character of itself and the quote or comma before it.
    let scalars = text.unicodeScalars
    let isNumber = SignedWei(text) != nil
    let isFormula = !isNumber && (scalars.first.map { formulaStarts.contains($0) } ?? false)
    let mustQuote = scalars.contains { quotedScalars.contains($0) }
    let safe = isFormula ? "'" + text : text
    guard mustQuote else { return safe }
    let doubled = safe.unicodeScalars.reduce(into: String.UnicodeScalarView()) { result, scalar in
      if scalar == "\"" { result.append(scalar) }
      result.append(scalar)
    }
    return "\"" + String(doubled) + "\""
  }
}
