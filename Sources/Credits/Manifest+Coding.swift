import Ethereum
import RLP

/// The bytes of a manifest: one RLP list of these fields, in this order.
///
///     format tag            text "parallelix-credits-manifest"
///     version               1
///     purpose               text "settle" | "collect"
///     ledger                32 bytes
///     chainId               integer
///     vault, token, settler 20 bytes each
///     method                text "vault" | "transfer"
///     epoch                 integer
///     predecessor           32 bytes, or empty
///     plannedAt             [number, hash]
///     split                 [operators, treasury, infrastructure basis points,
///                            treasury wallet, infrastructure wallet, text fallbackTo]
///     gross                 signed
///     totals                by role, signed
///     waterfall             [text name, version]
///     limits                [maxTransactions, gasPerTransaction, maxFeePerGasWei,
///                            chargesPerTransaction, paymentsPerTransaction, expires]
///     options               [minPayoutWei, minChargeWei]
///     charges               [[user, spent, charged], …], users ascending
///     payees                [[address, accrued, owed, paidBefore], …], addresses ascending
///     heldBack              [[address, text reason, accrued, owed], …], addresses ascending
///
/// Integers are big-endian without leading zeros, signed numbers are [1 if negative else 0, magnitude],
/// values by role are [operator, infrastructure, treasury].
extension Manifest {
  static let formatTag = "parallelix-credits-manifest"
  static let formatVersion: UInt64 = 1

  func encoded() -> [UInt8] {
    RLP.encode(
      .list([
        .text(Self.formatTag), .integer(Self.formatVersion), .text(purpose.rawValue),
        .bytes(ledger.bytes), .integer(chainID), .bytes(vault.bytes), .bytes(token.bytes),
        .bytes(settler.bytes), .text(method.rawValue), .integer(epoch),
        .bytes(predecessor?.bytes ?? []),
        .list([.integer(plannedAt.number), .bytes(plannedAt.hash.bytes)]),
        .list([
          .integer(UInt64(split.operatorsBasisPoints)), .integer(UInt64(split.treasuryBasisPoints)),
          .integer(UInt64(split.infrastructureBasisPoints)), .bytes(split.treasuryWallet.bytes),
          .bytes(split.infrastructureWallet.bytes), .text(split.fallbackTo.rawValue),
        ]),
        .signed(gross), .byRole(totals, RLPItem.signed),
        .list([.text(waterfall.name), .integer(waterfall.version)]),
        .list([
          .integer(UInt64(limits.maxTransactions)), .integer(limits.gasPerTransaction),
          .integer(limits.maxFeePerGasWei), .integer(UInt64(limits.chargesPerTransaction)),
          .integer(UInt64(limits.paymentsPerTransaction)), .integer(limits.expires),
        ]),
        .list([.integer(options.minPayoutWei), .integer(options.minChargeWei)]),
        .list(
          charges.map {
            .list([.bytes($0.user.bytes), .integer($0.spent), .integer($0.charged)])
          }),
        .list(
          payees.map {
            .list([
              .bytes($0.address.bytes), .byRole($0.accrued, RLPItem.signed),
              .byRole($0.owed, RLPItem.integer), .integer($0.paidBefore),
            ])
          }),
        .list(
          heldBack.map {
            .list([
              .bytes($0.address.bytes), .text($0.reason), .byRole($0.accrued, RLPItem.signed),
              .byRole($0.owed, RLPItem.integer),
            ])
          }),
      ]))
  }

  /// Reads the canonical bytes, strictly: what is decoded encodes to the same bytes again, or is refused.
  /// - Throws: `ManifestError`.
  public init(decoding bytes: [UInt8]) throws(ManifestError) {
    guard bytes.count <= Self.maxBytes else {
      throw .tooLarge(bytes: bytes.count, allowed: Self.maxBytes)
    }
    let item: RLPItem
    do {
      item = try RLP.decode(bytes)
    } catch {
      throw .malformed(field: "the file", found: "no RLP: \(error)")
    }
    var fields = try FieldReader(item, "the file")
    let tag = try fields.text("format tag")
    guard tag == Self.formatTag else {
      throw .malformed(field: "format tag", found: "“\(excerpt(tag))”")
    }
    let version = try fields.uint64("version")
    guard version == Self.formatVersion else {
      throw .malformed(field: "version", found: "\(version), this program reads 1")
    }
    let purpose: Purpose = try fields.choice("purpose")
    let ledger = try fields.hash("ledger")
    let chainID = try fields.uint64("chainId")
    let vault = try fields.address("vault")
    let token = try fields.address("token")
    let settler = try fields.address("settler")
    let method: Method = try fields.choice("method")
    let epoch = try fields.uint64("epoch")
    let predecessor = try fields.optionalHash("predecessor")
    let plannedAt = try fields.record("plannedAt") { (block) throws(ManifestError) in
      BlockReference(number: try block.uint64("number"), hash: try block.hash("hash"))
    }
    let split = try fields.record("split") { (split) throws(ManifestError) in try Split(&split) }
    let gross = try fields.signed("gross")
    let totals = try fields.signedByRole("totals")
    let waterfall = try fields.record("waterfall") { (rule) throws(ManifestError) in
      Waterfall(name: try rule.text("name"), version: try rule.uint64("version"))
    }
    let limits = try fields.record("limits") { (limits) throws(ManifestError) in
      Limits(
        maxTransactions: try limits.int("maxTransactions"),
        gasPerTransaction: try limits.uint64("gasPerTransaction"),
        maxFeePerGasWei: try limits.uint256("maxFeePerGasWei"),
        chargesPerTransaction: try limits.int("chargesPerTransaction"),
        paymentsPerTransaction: try limits.int("paymentsPerTransaction"),
        expires: try limits.uint64("expires"))
    }
    let options = try fields.record("options") { (options) throws(ManifestError) in
      Options(
        minPayoutWei: try options.uint256("minPayoutWei"),
        minChargeWei: try options.uint256("minChargeWei"))
    }
    let charges = try fields.records("charges", atMost: Self.maxCharges) {
      (charge) throws(ManifestError) in
      Charge(
        user: try charge.address("user"), spent: try charge.uint256("spent"),
        charged: try charge.uint256("charged"))
    }
    let payees = try fields.records("payees", atMost: Self.maxPayees) {
      (payee) throws(ManifestError) in
      try Payee(&payee)
    }
    let heldBack = try fields.records("heldBack", atMost: Self.maxPayees) {
      (held) throws(ManifestError) in
      HeldBack(
        address: try held.address("address"), reason: try held.text("reason"),
        accrued: try held.signedByRole("accrued"), owed: try held.uint256ByRole("owed"))
    }
    try fields.end()
    try self.init(
      purpose: purpose, ledger: ledger, chainID: chainID, vault: vault, token: token,
      settler: settler, method: method, epoch: epoch, predecessor: predecessor,
      plannedAt: plannedAt, split: split, gross: gross, totals: totals, waterfall: waterfall,
      limits: limits, options: options, charges: charges, payees: payees, heldBack: heldBack)
    // Catches unsorted lists and every other second spelling: one manifest, one hash.
    guard self.bytes == bytes else { throw .notCanonical }
  }
}

extension Split {
  fileprivate init(_ fields: inout FieldReader) throws(ManifestError) {
    let operators = try fields.int("operators")
    let treasury = try fields.int("treasury")
    let infrastructure = try fields.int("infrastructure")
    let treasuryWallet = try fields.address("treasuryWallet")
    let infrastructureWallet = try fields.address("infrastructureWallet")
    let fallbackTo: FallbackRole = try fields.choice("fallbackTo")
    do {
      try self.init(
        operatorsBasisPoints: operators, treasuryBasisPoints: treasury,
        infrastructureBasisPoints: infrastructure, treasuryWallet: treasuryWallet,
        infrastructureWallet: infrastructureWallet, fallbackTo: fallbackTo)
    } catch {
      throw .split(error)
    }
  }
}

extension Manifest.Payee {
  fileprivate init(_ fields: inout FieldReader) throws(ManifestError) {
    let address = try fields.address("address")
    let accrued = try fields.signedByRole("accrued")
    let owed = try fields.uint256ByRole("owed")
    let paidBefore = try fields.uint256("paidBefore")
    do {
      try self.init(address: address, accrued: accrued, owed: owed, paidBefore: paidBefore)
    } catch {
      throw .sumTooLarge("what \(address) is owed")
    }
  }
}

extension RLPItem {
  fileprivate static func text(_ text: String) -> RLPItem { .bytes(Array(text.utf8)) }

  fileprivate static func integer(_ value: UInt64) -> RLPItem { .integer(UInt256(value)) }

  fileprivate static func integer(_ value: UInt256) -> RLPItem {
    .bytes(Array(value.bigEndianBytes.drop { $0 == 0 }))
  }

  fileprivate static func signed(_ value: SignedWei) -> RLPItem {
    .list([.integer(value.isNegative ? UInt64(1) : 0), .integer(value.magnitude)])
  }

  fileprivate static func byRole<Value>(
    _ values: ByRole<Value>, _ item: (Value) -> RLPItem
  ) -> RLPItem {
    .list(Role.allCases.map { item(values[$0]) })
  }
}

/// Reads the fields of one RLP list in order; every error names the field by its path.
private struct FieldReader {
  private let path: String
  private var items: ArraySlice<RLPItem>

  init(_ item: RLPItem, _ path: String) throws(ManifestError) {
    guard case .list(let items) = item else {
      throw .malformed(field: path, found: "not a list")
    }
    self.path = path
    self.items = items[...]
  }

  private mutating func next(_ field: String) throws(ManifestError) -> (RLPItem, String) {
    let name = name(field)
    guard let item = items.popFirst() else { throw .malformed(field: name, found: "missing") }
    return (item, name)
  }

  private mutating func bytes(
    _ field: String, count: ClosedRange<Int>
  ) throws(ManifestError) -> ([UInt8], String) {
    let (item, name) = try next(field)
    guard case .bytes(let bytes) = item else {
      throw .malformed(field: name, found: "a list")
    }
    guard count.contains(bytes.count) else {
      throw .malformed(field: name, found: "\(bytes.count) bytes long")
    }
    return (bytes, name)
  }

  mutating func text(_ field: String) throws(ManifestError) -> String {
    let (bytes, name) = try bytes(field, count: 1...Manifest.maxReasonBytes)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .malformed(field: name, found: "no UTF-8")
    }
    return text
  }

  private func name(_ field: String) -> String {
    path == "the file" ? field : "\(path).\(field)"
  }

  mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ field: String
  ) throws(ManifestError) -> Choice where Choice.RawValue == String {
    let text = try text(field)
    guard let choice = Choice(rawValue: text) else {
      let known = Choice.allCases.map(\.rawValue).joined(separator: " or ")
      throw .malformed(field: name(field), found: "“\(excerpt(text))”, not \(known)")
    }
    return choice
  }

  mutating func uint256(_ field: String) throws(ManifestError) -> UInt256 {
    let (bytes, name) = try bytes(field, count: 0...32)
    guard bytes.first != 0, let value = try? UInt256(bigEndian: bytes) else {
      throw .malformed(field: name, found: "an integer with a leading zero")
    }
    return value
  }

  mutating func uint64(_ field: String) throws(ManifestError) -> UInt64 {
    let (bytes, name) = try bytes(field, count: 0...8)
    guard bytes.first != 0 else {
      throw .malformed(field: name, found: "an integer with a leading zero")
    }
    return bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }

  mutating func int(_ field: String) throws(ManifestError) -> Int {
    let value = try uint64(field)
    guard let int = Int(exactly: value) else {
      throw .malformed(field: name(field), found: "\(value)")
    }
    return int
  }

  mutating func address(_ field: String) throws(ManifestError) -> Address {
    let (bytes, name) = try bytes(field, count: 20...20)
    guard let address = try? Address(bytes) else {
      throw .malformed(field: name, found: "\(bytes.count) bytes long")
    }
    return address
  }

  mutating func hash(_ field: String) throws(ManifestError) -> Hash32 {
    guard let hash = try optionalHash(field) else {
      throw .malformed(field: name(field), found: "empty")
    }
    return hash
  }

  mutating func optionalHash(_ field: String) throws(ManifestError) -> Hash32? {
    let (bytes, name) = try bytes(field, count: 0...32)
    if bytes.isEmpty { return nil }
    guard let hash = try? Hash32(bytes) else {
      throw .malformed(field: name, found: "\(bytes.count) bytes long")
    }
    return hash
  }

  mutating func signed(_ field: String) throws(ManifestError) -> SignedWei {
    try record(field) { (fields) throws(ManifestError) in
      let sign = try fields.uint64("sign")
      let magnitude = try fields.uint256("magnitude")
      guard sign <= 1 else {
        throw .malformed(field: "\(field).sign", found: "\(sign), neither 0 nor 1")
      }
      return SignedWei(magnitude, isNegative: sign == 1)
    }
  }

  mutating func signedByRole(_ field: String) throws(ManifestError) -> ByRole<SignedWei> {
    try record(field) { (fields) throws(ManifestError) in
      ByRole(
        operator: try fields.signed("operator"),
        infrastructure: try fields.signed("infrastructure"),
        treasury: try fields.signed("treasury"))
    }
  }

  mutating func uint256ByRole(_ field: String) throws(ManifestError) -> ByRole<UInt256> {
    try record(field) { (fields) throws(ManifestError) in
      ByRole(
        operator: try fields.uint256("operator"),
        infrastructure: try fields.uint256("infrastructure"),
        treasury: try fields.uint256("treasury"))
    }
  }

  mutating func record<Value>(
    _ field: String, _ read: (inout FieldReader) throws(ManifestError) -> Value
  ) throws(ManifestError) -> Value {
    let (item, name) = try next(field)
    var fields = try FieldReader(item, name)
    let value = try read(&fields)
    try fields.end()
    return value
  }

  mutating func records<Value>(
    _ field: String, atMost limit: Int,
    _ read: (inout FieldReader) throws(ManifestError) -> Value
  ) throws(ManifestError) -> [Value] {
    let (item, name) = try next(field)
    guard case .list(let items) = item else {
      throw .malformed(field: name, found: "not a list")
    }
    guard items.count <= limit else {
      throw .tooMany(field: name, count: items.count, allowed: limit)
    }
    var values: [Value] = []
    values.reserveCapacity(items.count)
    for (index, item) in items.enumerated() {
      var fields = try FieldReader(item, "\(name)[\(index)]")
      values.append(try read(&fields))
      try fields.end()
    }
    return values
  }

  func end() throws(ManifestError) {
    guard items.isEmpty else {
      throw .malformed(field: path, found: "longer by \(items.count) fields")
    }
  }
}
