import Credits
import Ethereum

/// The pure function from facts to manifest. The planner, every approver, the settler and the auditor call it,
/// and each must come to the same bytes.
enum ManifestBuilder {
  /// What a planner chooses; all of it stands in the manifest.
  struct Options: Equatable, Sendable {
    let settler: Address
    let limits: Manifest.Limits
    let minimums: Manifest.Options

    init(settler: Address, limits: Manifest.Limits, minimums: Manifest.Options) {
      self.settler = settler
      self.limits = limits
      self.minimums = minimums
    }

    /// The choices that a manifest was made with.
    init(_ manifest: Manifest) {
      self.init(settler: manifest.settler, limits: manifest.limits, minimums: manifest.options)
    }
  }

  /// - Throws: `BuildError` when the ledger's shares are not what the rule gives, `ManifestError`, arithmetic.
  static func build(_ facts: SettlementFacts, _ options: Options) throws -> Manifest {
    try checkShares(facts)
    let (payees, heldBack) = try payees(facts, options.minimums)
    return try Manifest(
      ledger: facts.ledger, chainID: facts.chainID, vault: facts.vault, token: facts.token,
      settler: options.settler, method: facts.method, epoch: facts.epoch,
      predecessor: facts.predecessor, plannedAt: facts.plannedAt, split: facts.split,
      gross: facts.gross, totals: facts.totals, limits: options.limits, options: options.minimums,
      charges: try charges(facts, options.minimums), payees: payees, heldBack: heldBack)
  }

  /// Users who owe the vault something, at least the minimum.
  static func charges(
    _ facts: SettlementFacts, _ minimums: Manifest.Options
  ) throws -> [Manifest.Charge] {
    guard facts.method == .vault else { return [] }
    return try facts.users.compactMap { user in
      let spent = user.spent.positivePart
      guard spent > user.charged,
        try spent.subtracting(user.charged) >= minimums.minChargeWei
      else { return nil }
      return Manifest.Charge(user: user.account, spent: spent, charged: user.charged)
    }
  }

  private static func payees(
    _ facts: SettlementFacts, _ minimums: Manifest.Options
  ) throws -> (payees: [Manifest.Payee], heldBack: [Manifest.HeldBack]) {
    var payees: [Manifest.Payee] = []
    var heldBack: [Manifest.HeldBack] = []
    for line in facts.payees {
      let owed = try Owed(accrued: line.accruedEver, paid: line.paid)
      guard owed.total != .zero || line.accruedInEpoch != ByRole(repeating: .zero) else { continue }
      if let reason = reasonToHold(line.address, owed: owed.total, facts, minimums) {
        heldBack.append(
          Manifest.HeldBack(
            address: line.address, reason: reason, accrued: line.accruedInEpoch, owed: owed.byRole))
      } else {
        payees.append(
          try Manifest.Payee(
            address: line.address, accrued: line.accruedInEpoch, owed: owed.byRole,
            paidBefore: line.paid))
      }
    }
    return (payees, heldBack)
  }

  private static func reasonToHold(
    _ address: Address, owed: UInt256, _ facts: SettlementFacts, _ minimums: Manifest.Options
  ) -> String? {
    if let reason = facts.held[address] { return heldMark + shortened(reason) }
    switch address {
    case .zero: return "the zero address cannot be paid"
    case facts.vault: return "the vault cannot be paid"
    case facts.token: return "the token cannot be paid"
    default: break
    }
    guard owed != .zero, owed < minimums.minPayoutWei else { return nil }
    return "below the minimum payout of \(PRLX.text(minimums.minPayoutWei)) PRLX"
  }

  /// What stands before the reason of a payee that a person holds back.
  static let heldMark = "held: "

  /// A manifest takes 200 bytes of reason, the mark is some of them.
  private static func shortened(_ reason: String) -> String {
    var text = reason
    while text.utf8.count > Manifest.maxReasonBytes - heldMark.utf8.count {
      text.unicodeScalars.removeLast()
    }
    return text
  }

  /// The rule of `EpochTally`, applied again to the ledger's lines: what SQL added up must be what it says.
  private static func checkShares(_ facts: SettlementFacts) throws {
    let fallback = facts.operatorLines.first { $0.wallet == nil }
    let lines = facts.operatorLines.compactMap { line in
      line.wallet.map { EpochTally.Line(wallet: $0, net: line.gross, carryIn: line.carryIn) }
    }
    let tally = try EpochTally(
      gross: facts.gross, split: facts.split, lines: lines, fallbackNet: fallback?.gross ?? .zero,
      fallbackCarryIn: fallback?.carryIn ?? .zero)
    guard tally.totals == facts.totals else {
      throw BuildError.totals(epoch: facts.epoch, stored: facts.totals, computed: tally.totals)
    }
    var accrued: [Address: ByRole<SignedWei>] = [:]
    for accrual in tally.accruals {
      accrued[accrual.payee, default: ByRole(repeating: .zero)][accrual.role] = accrual.amount
    }
    for payee in facts.payees {
      let computed = accrued.removeValue(forKey: payee.address) ?? ByRole(repeating: .zero)
      guard computed == payee.accruedInEpoch else {
        throw BuildError.accrual(payee.address, stored: payee.accruedInEpoch, computed: computed)
      }
    }
    if let (address, computed) = accrued.min(by: { $0.key < $1.key }) {
      throw BuildError.accrual(address, stored: ByRole(repeating: .zero), computed: computed)
    }
  }
}

/// The ledger's own figures contradict each other.
enum BuildError: Error, Equatable {
  case totals(epoch: UInt64, stored: ByRole<SignedWei>, computed: ByRole<SignedWei>)
  case accrual(Address, stored: ByRole<SignedWei>, computed: ByRole<SignedWei>)
}

extension BuildError: CustomStringConvertible {
  var description: String {
    switch self {
    case .totals(let epoch, let stored, let computed):
      "epoch \(epoch): the ledger's parts are \(text(stored)), the rule gives \(text(computed));"
        + " rows were altered, run auditor reconcile"
    case .accrual(let address, let stored, let computed):
      "\(address) accrued \(text(stored)) in the ledger, the rule gives \(text(computed));"
        + " rows were altered, run auditor reconcile"
    }
  }

  private func text(_ value: ByRole<SignedWei>) -> String {
    "operator \(value.operator), infrastructure \(value.infrastructure), treasury \(value.treasury) wei"
  }
}

/// What two manifests of one epoch differ in, in words, for whoever must decide which is right.
enum ManifestDifference {
  static func lines(stored: Manifest, rebuilt: Manifest) -> [String] {
    var lines: [String] = []
    func compare(_ name: String, _ left: some Equatable, _ right: some Equatable) {
      let (left, right) = ("\(left)", "\(right)")
      if left != right { lines.append("\(name): the plan says \(left), the ledger says \(right)") }
    }
    compare("ledger", stored.ledger, rebuilt.ledger)
    compare("chain", stored.chainID, rebuilt.chainID)
    compare("vault", stored.vault, rebuilt.vault)
    compare("token", stored.token, rebuilt.token)
    compare("method", stored.method.rawValue, rebuilt.method.rawValue)
    compare("predecessor", stored.predecessor?.hex ?? "none", rebuilt.predecessor?.hex ?? "none")
    compare("planned at", stored.plannedAt.hash, rebuilt.plannedAt.hash)
    compare("gross", PRLX.text(stored.gross), PRLX.text(rebuilt.gross))
    for role in Role.allCases {
      compare(
        "\(role.rawValue) total", PRLX.text(stored.totals[role]), PRLX.text(rebuilt.totals[role]))
    }
    if stored.split != rebuilt.split { lines.append("the split differs") }
    compareRows(
      "charge of",
      stored.charges.map {
        ($0.user, "spent \(PRLX.text($0.spent)), charged \(PRLX.text($0.charged))")
      },
      rebuilt.charges.map {
        ($0.user, "spent \(PRLX.text($0.spent)), charged \(PRLX.text($0.charged))")
      }, &lines)
    compareRows(
      "payee",
      stored.payees.map {
        (
          $0.address,
          "at most \(PRLX.text($0.maxPaid)) ever, paid before \(PRLX.text($0.paidBefore))"
        )
      },
      rebuilt.payees.map {
        (
          $0.address,
          "at most \(PRLX.text($0.maxPaid)) ever, paid before \(PRLX.text($0.paidBefore))"
        )
      }, &lines)
    compareRows(
      "held back", stored.heldBack.map { ($0.address, $0.reason) },
      rebuilt.heldBack.map { ($0.address, $0.reason) }, &lines)
    return lines.isEmpty && stored.hash != rebuilt.hash ? ["the bytes differ"] : lines
  }

  private static func compareRows(
    _ name: String, _ stored: [(Address, String)], _ rebuilt: [(Address, String)],
    _ lines: inout [String]
  ) {
    let left = Dictionary(stored) { first, _ in first }
    let right = Dictionary(rebuilt) { first, _ in first }
    for address in Set(left.keys).union(right.keys).sorted() where left[address] != right[address] {
      lines.append(
        "\(name) \(address): the plan says \(left[address] ?? "nothing"),"
          + " the ledger says \(right[address] ?? "nothing")")
    }
  }
}
