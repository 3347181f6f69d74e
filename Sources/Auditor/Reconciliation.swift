import Credits
import Ethereum

/// The identities of chain and ledger (DESIGN, section 7), each with both sides and every break of it. Pure.
struct Reconciliation: Sendable {
  struct Identity: Sendable {
    let name: String
    let left, right: SignedWei
    /// Sum of absolute differences of its lines.
    let difference: UInt256
  }

  struct Break: Sendable {
    let identity: String
    let subject: String
    let difference: SignedWei
    let cause: String
  }

  private(set) var identities: [Identity] = []
  private(set) var breaks: [Break] = []
  private(set) var difference: UInt256 = 0

  private struct Line {
    let subject: String
    let left, right: SignedWei
    let cause: String
  }

  init(_ ledger: LedgerFacts, _ chain: ChainFacts) throws {
    let unattributed = try ledger.unattributed.reduce(SignedWei.zero) { try $0.adding($1.amount) }
    let pool = try ledger.charged.subtracting(ledger.paid)

    try add(
      "1 vault tokens",
      [
        Line(
          subject: "vault \(ledger.vault)", left: chain.vaultTokens,
          right: try ledger.deposited.subtracting(ledger.withdrawn).subtracting(ledger.paid)
            .adding(unattributed),
          cause: "the vault's token balance is not deposits - withdrawals - paid + unattributed")
      ])
    try add(
      "2 users' claims",
      [
        Line(
          subject: "all accounts", left: try ledger.users.adding(ledger.withdrawnAfter),
          right: try chain.vaultTokens.subtracting(unattributed).subtracting(pool),
          cause: "users' balances do not add up to the vault's tokens without the pool"),
        Line(
          subject: "pool", left: pool, right: chain.pool,
          cause: "charged - paid in the ledger is not the vault's pool"),
      ])
    try add(
      "3 each account in the vault",
      ledger.accounts.map {
        Line(
          subject: $0.account.checksummed, left: chain.balances[$0.account] ?? .zero,
          right: $0.inVault, cause: "the account's balance in the vault is not the ledger's")
      })
    try add(
      "4 subledgers",
      ledger.accounts.flatMap { account in
        [
          Line(
            subject: account.account.checksummed, left: account.unsettled,
            right: account.unsettledByFacts,
            cause: "unsettled is not debits - refunds - charged"),
          Line(
            subject: account.account.checksummed, left: account.held, right: account.heldByFacts,
            cause: "held is not the sum of open holds"),
          Line(
            subject: account.account.checksummed, left: chain.charged[account.account] ?? .zero,
            right: account.charged, cause: "charged on chain is not the sum of Charged events"),
        ]
      }
        + ledger.payees.flatMap { payee in
          [
            Line(
              subject: payee.payee.checksummed, left: chain.paid[payee.payee] ?? .zero,
              right: payee.paid, cause: "paidTotal on chain is not what the ledger has as paid"),
            Line(
              subject: payee.payee.checksummed, left: payee.paid, right: payee.paidByFacts,
              cause: "the payee's running total is not the sum of Paid events"),
          ]
        })
    try add(
      "5 epochs",
      ledger.epochs.flatMap { epoch in
        [
          ("debits - refunds", epoch.byDebits), ("users' lines", epoch.byUsers),
          ("operators' lines", epoch.byOperators), ("accruals", epoch.byAccruals),
          ("operators + treasury + infrastructure", epoch.byRoles),
        ].map { name, sum in
          Line(
            subject: "epoch \(epoch.epoch)", left: epoch.gross, right: sum,
            cause: "gross is not the sum of \(name)")
        }
      })
    try add(
      "6 owed",
      [
        Line(
          subject: "all payees", left: ledger.owed,
          right: try ledger.unsettled.subtracting(ledger.openNet).adding(pool),
          cause: "what payees are owed is not what is unsettled of closed epochs plus the pool")
      ])
    try add(
      "7 journal",
      ledger.controls.map {
        Line(
          subject: $0.name, left: $0.journal, right: $0.table,
          cause: "the journal's account is not what its table says")
      }
        + ledger.unbalancedEntries.map {
          Line(
            subject: "entry \($0.entry)", left: $0.sum, right: .zero,
            cause: "the journal entry does not sum to zero")
        })
  }

  private mutating func add(_ name: String, _ lines: [Line]) throws {
    var left = SignedWei.zero
    var right = SignedWei.zero
    var total: UInt256 = 0
    for line in lines {
      left = try left.adding(line.left)
      right = try right.adding(line.right)
      let difference = try line.left.subtracting(line.right)
      guard difference != .zero else { continue }
      total = try total.adding(difference.magnitude)
      breaks.append(
        Break(identity: name, subject: line.subject, difference: difference, cause: line.cause))
    }
    difference = try difference.adding(total)
    identities.append(Identity(name: name, left: left, right: right, difference: total))
  }
}
