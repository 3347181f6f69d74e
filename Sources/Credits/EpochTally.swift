import Ethereum

/// What an epoch's gross comes to for everyone, to the last wei.
///
/// **The rule** (the SQL function `credits.epoch_tally` states the same one; both are tested against each
/// other). Given the gross G (debits − refunds, signed), the split in force, per operator wallet and for the
/// fallback the signed net gross `line` of the epoch and the receivable `carryIn` ≤ 0 of earlier epochs:
///
/// 1. |G| is divided among (operators, treasury, infrastructure) by largest remainder over their basis
///    points, ties in that order; each part gets the sign of G.
/// 2. Per wallet and for the fallback: weight = max(0, line + carryIn), carryOut = min(0, line + carryIn).
/// 3. If G ≥ 0 and Σ weights > 0, the operators' part is divided among wallets and fallback by largest
///    remainder over the weights; ties: wallet bytes ascending, fallback last.
///    Otherwise all of the operators' part, which may be negative, is the fallback's share.
/// 4. The fallback's share belongs to the role that the split names and is counted there.
///
/// So G = operators (wallets only) + treasury + infrastructure = Σ accruals, exactly (I6). The result does
/// not depend on the order of the input.
public struct EpochTally: Hashable, Sendable {
  /// An operator wallet's part of an epoch as the ledger's rollup gives it.
  public struct Line: Hashable, Sendable {
    public let wallet: Address
    /// Debits − refunds of the requests its nodes served, in this epoch.
    public let net: SignedWei
    /// What earlier negative epochs left, never positive.
    public let carryIn: SignedWei

    public init(wallet: Address, net: SignedWei, carryIn: SignedWei = .zero) {
      self.wallet = wallet
      self.net = net
      self.carryIn = carryIn
    }
  }

  /// What a wallet, or the fallback, gets of the operators' part and carries on.
  public struct Share: Hashable, Sendable {
    /// Nil is the fallback.
    public let wallet: Address?
    public let weight: UInt256
    /// Never negative for a wallet.
    public let share: SignedWei
    /// min(0, net + carryIn).
    public let carryOut: SignedWei
  }

  /// What an address earned in this epoch in one role.
  public struct Accrual: Hashable, Sendable {
    public let payee: Address
    public let role: Role
    public let amount: SignedWei
  }

  public let gross: SignedWei
  /// Operators: wallets only. Infrastructure or treasury: with the fallback's share.
  public let totals: ByRole<SignedWei>
  /// Every wallet of the input, bytes ascending, then the fallback.
  public let shares: [Share]
  /// Sorted by payee, then role; amounts of zero are left out.
  public let accruals: [Accrual]

  /// - Parameters:
  ///   - gross: must be the sum of all lines and the fallback's.
  ///   - fallbackNet: net gross of what project hardware served.
  /// - Throws: `TallyError`, `ShareError`, or UInt256's overflow.
  public init(
    gross: SignedWei, split: Split, lines: [Line], fallbackNet: SignedWei,
    fallbackCarryIn: SignedWei = .zero
  ) throws {
    let lines = lines.sorted { $0.wallet < $1.wallet }
    for (line, next) in zip(lines, lines.dropFirst()) where line.wallet == next.wallet {
      throw TallyError.duplicateWallet(line.wallet)
    }
    let sum = try lines.reduce(fallbackNet) { try $0.adding($1.net) }
    guard sum == gross else { throw TallyError.linesDoNotSum(to: gross, sum: sum) }
    for line in lines where line.wallet == .zero { throw TallyError.zeroWallet }

    let standings =
      try lines.map { try Standing(wallet: $0.wallet, net: $0.net, carryIn: $0.carryIn) }
      + [Standing(wallet: nil, net: fallbackNet, carryIn: fallbackCarryIn)]
    let parts = try LargestRemainder.distribute(
      gross.magnitude,
      weights: [
        split.operatorsBasisPoints, split.treasuryBasisPoints, split.infrastructureBasisPoints,
      ].map { UInt256(UInt64($0)) }
    ).map { SignedWei($0, isNegative: gross.isNegative) }
    let operatorsPart = parts[0]

    let weights = standings.map(\.weight)
    let divisible = !gross.isNegative && weights.contains { $0 != .zero }
    let amounts: [SignedWei]
    if divisible {
      amounts = try LargestRemainder.distribute(operatorsPart.magnitude, weights: weights)
        .map { SignedWei($0) }
    } else {
      amounts = lines.map { _ in .zero } + [operatorsPart]
    }
    shares = zip(standings, amounts).map { standing, amount in
      Share(
        wallet: standing.wallet, weight: standing.weight, share: amount,
        carryOut: standing.carryOut)
    }

    var totals = ByRole(operator: SignedWei.zero, infrastructure: parts[2], treasury: parts[1])
    var accruals: [Accrual] = []
    for share in shares {
      if let wallet = share.wallet {
        totals.operator = try totals.operator.adding(share.share)
        accruals.append(Accrual(payee: wallet, role: .operator, amount: share.share))
      } else {
        let role = split.fallbackTo.role
        totals[role] = try totals[role].adding(share.share)
      }
    }
    accruals += [
      Accrual(
        payee: split.infrastructureWallet, role: .infrastructure, amount: totals.infrastructure),
      Accrual(payee: split.treasuryWallet, role: .treasury, amount: totals.treasury),
    ]
    self.gross = gross
    self.totals = totals
    self.accruals = accruals.filter { !$0.amount.isZero }
      .sorted { ($0.payee, $0.role) < ($1.payee, $1.role) }
    let accrued = try self.accruals.reduce(SignedWei.zero) { try $0.adding($1.amount) }
    precondition(accrued == gross, "accruals \(accrued) are not the gross \(gross)")
  }

  /// Line and receivable of one wallet, netted.
  private struct Standing {
    let wallet: Address?
    let weight: UInt256
    let carryOut: SignedWei

    init(wallet: Address?, net: SignedWei, carryIn: SignedWei) throws {
      guard carryIn <= .zero else { throw TallyError.positiveCarry(wallet, carryIn) }
      let netted = try net.adding(carryIn)
      self.wallet = wallet
      weight = netted.positivePart
      carryOut = min(.zero, netted)
    }
  }
}

/// Why an epoch cannot be tallied.
public enum TallyError: Error, Equatable, Sendable {
  case duplicateWallet(Address)
  case zeroWallet
  case linesDoNotSum(to: SignedWei, sum: SignedWei)
  /// A nil wallet is the fallback.
  case positiveCarry(Address?, SignedWei)
}

extension TallyError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .duplicateWallet(let wallet):
      "operator wallet \(wallet) has two lines; add them up first"
    case .zeroWallet:
      "an operator's wallet is the zero address; give its node a wallet"
    case .linesDoNotSum(let gross, let sum):
      "the operator lines and the fallback sum to \(sum) wei, the epoch's gross is \(gross);"
        + " the rollup and the debits disagree, run auditor reconcile"
    case .positiveCarry(let wallet, let carry):
      "the receivable of \(wallet.map(\.description) ?? "fallback") is \(carry) wei;"
        + " a receivable is zero or negative"
    }
  }
}
