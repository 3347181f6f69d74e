import Ethereum

extension Manifest {
  /// The most of each list; a manifest is read whole into memory.
  public static let maxCharges = 500_000
  public static let maxPayees = 50_000
  public static let maxReasonBytes = 200
  public static let maxBytes = 64 << 20

  func check() throws(ManifestError) {
    guard (1...UInt64(Int64.max)).contains(chainID) else {
      throw .outOfRange(field: "chainId", value: "\(chainID)", allowed: "1…2^63 − 1")
    }
    guard (1...UInt64(Int64.max)).contains(epoch) else {
      throw .outOfRange(field: "epoch", value: "\(epoch)", allowed: "1…2^63 − 1")
    }
    for (field, address) in [("vault", vault), ("token", token), ("settler", settler)]
    where address == .zero {
      throw .zeroAddress(field)
    }
    guard waterfall == .prorata else { throw .unknownWaterfall(waterfall) }
    try checkLimits()
    try checkCharges()
    try checkPayees()
    try checkSums()
    if purpose == .collect {
      guard payees.isEmpty, heldBack.isEmpty, gross.isZero, totals == ByRole(repeating: .zero)
      else { throw .collectPays }
    }
  }

  private func checkLimits() throws(ManifestError) {
    try within(limits.maxTransactions, 1...1_000_000, "limits.maxTransactions")
    try within(
      limits.gasPerTransaction, 21_000...Limits.transactionGasCap, "limits.gasPerTransaction")
    try within(limits.chargesPerTransaction, 1...10_000, "limits.chargesPerTransaction")
    try within(limits.paymentsPerTransaction, 1...10_000, "limits.paymentsPerTransaction")
    try within(limits.expires, 1...UInt64(Int64.max), "limits.expires")
    guard limits.maxFeePerGasWei != .zero else {
      throw .outOfRange(field: "limits.maxFeePerGasWei", value: "0", allowed: "1 or more")
    }
    let payments = method == .vault ? limits.paymentsPerTransaction : 1
    let needed =
      chunks(charges.count, by: limits.chargesPerTransaction).count
      + chunks(payeeCount, by: payments).count
    guard needed <= limits.maxTransactions else {
      throw .tooFewTransactions(allowed: limits.maxTransactions, needed: needed)
    }
  }

  private func within<Number: FixedWidthInteger>(
    _ value: Number, _ range: ClosedRange<Number>, _ field: String
  ) throws(ManifestError) {
    guard range.contains(value) else {
      throw .outOfRange(
        field: field, value: "\(value)", allowed: "\(range.lowerBound)…\(range.upperBound)")
    }
  }

  private func checkCharges() throws(ManifestError) {
    guard charges.count <= Self.maxCharges else {
      throw .tooMany(field: "charges", count: charges.count, allowed: Self.maxCharges)
    }
    guard method == .vault || charges.isEmpty else { throw .transferCharges(charges.count) }
    for (charge, next) in zip(charges, charges.dropFirst()) where charge.user == next.user {
      throw .duplicate(field: "charges", charge.user)
    }
    for charge in charges {
      guard charge.user != .zero else { throw .zeroAddress("charges.user") }
      guard let amount = try? charge.spent.subtracting(charge.charged),
        amount >= options.minChargeWei
      else { throw .belowMinimum(field: "charges", charge.user, minimum: options.minChargeWei) }
    }
  }

  private func checkPayees() throws(ManifestError) {
    guard payees.count <= Self.maxPayees else {
      throw .tooMany(field: "payees", count: payees.count, allowed: Self.maxPayees)
    }
    guard heldBack.count <= Self.maxPayees else {
      throw .tooMany(field: "heldBack", count: heldBack.count, allowed: Self.maxPayees)
    }
    let all = (payees.map(\.address) + heldBack.map(\.address)).sorted()
    for (address, next) in zip(all, all.dropFirst()) where address == next {
      throw .duplicate(field: "payees and heldBack", address)
    }
    for payee in payees {
      // Tokens sent to these never come back.
      guard ![.zero, vault, token].contains(payee.address) else {
        throw .unpayable(payee.address)
      }
      guard payee.maxPaid == payee.paidBefore || payee.owes(atLeast: options.minPayoutWei) else {
        throw .belowMinimum(field: "payees", payee.address, minimum: options.minPayoutWei)
      }
    }
    for held in heldBack where !(1...Self.maxReasonBytes).contains(held.reason.utf8.count) {
      throw .outOfRange(
        field: "heldBack.reason", value: "\(held.reason.utf8.count) bytes",
        allowed: "1…\(Self.maxReasonBytes) bytes")
    }
  }

  /// I6: what everyone accrued is the role totals, and those are the gross.
  private func checkSums() throws(ManifestError) {
    let accruals = payees.map(\.accrued) + heldBack.map(\.accrued)
    for role in Role.allCases {
      guard let sum = try? accruals.reduce(SignedWei.zero, { try $0.adding($1[role]) }) else {
        throw .sumTooLarge("accrued as \(role.rawValue)")
      }
      guard sum == totals[role] else {
        throw .doesNotTieOut(
          field: "accrued as \(role.rawValue)", sum: sum, expected: totals[role])
      }
    }
    guard let sum = try? totals.total else { throw .sumTooLarge("role totals") }
    guard sum == gross else {
      throw .doesNotTieOut(field: "role totals", sum: sum, expected: gross)
    }
  }
}

extension Manifest.Payee {
  fileprivate func owes(atLeast minimum: UInt256) -> Bool {
    guard let amount = try? maxPaid.subtracting(paidBefore) else { return false }
    return amount >= minimum
  }
}

/// Why something is no manifest.
public enum ManifestError: Error, Equatable, Sendable {
  /// The bytes are no RLP, or not this format.
  case malformed(field: String, found: String)
  case notCanonical
  case tooLarge(bytes: Int, allowed: Int)
  case outOfRange(field: String, value: String, allowed: String)
  case tooMany(field: String, count: Int, allowed: Int)
  case zeroAddress(String)
  case duplicate(field: String, Address)
  case split(SplitError)
  case unknownWaterfall(Waterfall)
  case tooFewTransactions(allowed: Int, needed: Int)
  case transferCharges(Int)
  case nothingToCharge(Manifest.Charge)
  case belowMinimum(field: String, Address, minimum: UInt256)
  case unpayable(Address)
  case sumTooLarge(String)
  case doesNotTieOut(field: String, sum: SignedWei, expected: SignedWei)
  case collectPays
}

extension ManifestError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .malformed(let field, let found):
      "manifest: \(field) is \(found); the file is damaged or of another format, get it again"
    case .notCanonical:
      "manifest: the bytes are not the canonical encoding of what they say; get the file again"
    case .tooLarge(let bytes, let allowed):
      "manifest: \(bytes) bytes, at most \(allowed) are read"
    case .outOfRange(let field, let value, let allowed):
      "manifest: \(field) is \(value), allowed is \(allowed)"
    case .tooMany(let field, let count, let allowed):
      "manifest: \(count) \(field), at most \(allowed); raise the minimum amount"
    case .zeroAddress(let field):
      "manifest: \(field) is the zero address; name the real one"
    case .duplicate(let field, let address):
      "manifest: \(address) stands twice in \(field); an address has one line"
    case .split(let error):
      "manifest: split: \(error)"
    case .unknownWaterfall(let rule):
      "manifest: waterfall \(rule.name) version \(rule.version) is not known here;"
        + " use the release that made the plan"
    case .tooFewTransactions(let allowed, let needed):
      "manifest: at most \(allowed) transactions are allowed but \(needed) are needed;"
        + " allow more or put more into each"
    case .transferCharges(let count):
      "manifest: method transfer with \(count) charges; only the vault can charge"
    case .nothingToCharge(let charge):
      "manifest: \(charge.user) spent \(charge.spent) wei and was charged \(charge.charged);"
        + " leave out who owes nothing"
    case .belowMinimum(let field, let address, let minimum):
      "manifest: \(address) in \(field) is below the minimum of \(minimum) wei; carry it instead"
    case .unpayable(let address):
      "manifest: payee \(address) is the zero address, the vault or the token; hold it back"
    case .sumTooLarge(let field):
      "manifest: the sum of \(field) passes 2^256 − 1"
    case .doesNotTieOut(let field, let sum, let expected):
      "manifest: \(field) sums to \(sum) wei, stated is \(expected); plan again from the ledger"
    case .collectPays:
      "manifest: a collection has payees or a gross; it may only charge"
    }
  }
}
