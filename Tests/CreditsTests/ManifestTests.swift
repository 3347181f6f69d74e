import Credits
import Ethereum
import Foundation
import RLP
import TestSupport
import Testing

/// A manifest with every kind of line; `change` makes the variants.
struct ManifestParts {
  var purpose = Manifest.Purpose.settle
  var chainID: UInt64 = 1
  var vault = address(0xaa)
  var token = address(0xbb)
  var method = Manifest.Method.vault
  var settler = address(0xcc)
  var epoch: UInt64 = 7
  var predecessor: Hash32? = hash(0x07)
  var gross = signed(1000)
  var totals = accrued(850, 50, 100)
  var waterfall = Waterfall.prorata
  var limits = Manifest.Limits(
    maxTransactions: 10, gasPerTransaction: 8_000_000, maxFeePerGasWei: wei(100_000_000_000),
    chargesPerTransaction: 2, paymentsPerTransaction: 2, expires: 1_800_000_000)
  var options = Manifest.Options(minPayoutWei: wei(10), minChargeWei: wei(5))
  var charges = [
    Manifest.Charge(user: address(3), spent: wei(700), charged: wei(100)),
    Manifest.Charge(user: address(1), spent: wei(300), charged: wei(0)),
    Manifest.Charge(user: address(2), spent: wei(100), charged: wei(0)),
  ]
  var payees: [Manifest.Payee]
  var heldBack = [
    Manifest.HeldBack(
      address: address(0x12), reason: "sanctions list", accrued: accrued(340, 0, 0),
      owed: owed(345, 0, 0))
  ]

  init() throws {
    payees = [
      try Manifest.Payee(
        address: treasury, accrued: accrued(0, 0, 100), owed: owed(0, 0, 100), paidBefore: wei(40)),
      try Manifest.Payee(
        address: address(0x11), accrued: accrued(510, 0, 0), owed: owed(520, 0, 0),
        paidBefore: wei(1)),
      try Manifest.Payee(
        address: infrastructure, accrued: accrued(0, 50, 0), owed: owed(0, 50, 0), paidBefore: .zero
      ),
    ]
  }

  func manifest() throws -> Manifest {
    try Manifest(
      purpose: purpose, ledger: hash(0x1e), chainID: chainID, vault: vault, token: token,
      settler: settler, method: method, epoch: epoch, predecessor: predecessor,
      plannedAt: Manifest.BlockReference(number: 21_000_000, hash: hash(0xb1)), split: split(),
      gross: gross, totals: totals, waterfall: waterfall, limits: limits, options: options,
      charges: charges, payees: payees, heldBack: heldBack)
  }

  static func manifest(_ change: (inout ManifestParts) throws -> Void = { _ in }) throws -> Manifest
  {
    var parts = try ManifestParts()
    try change(&parts)
    return try parts.manifest()
  }
}

@Suite struct ManifestTests {
  static let fixture = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/credits_manifest_v1.hex")

  @Test func `a manifest sorts its lists and adds up`() throws {
    let manifest = try ManifestParts.manifest()
    #expect(manifest.charges.map(\.user) == [address(1), address(2), address(3)])
    #expect(manifest.payees.map(\.address) == [address(0x11), infrastructure, treasury])
    #expect(manifest.chargesPlannedTotal == wei(1000))
    #expect(manifest.payoutsMaxTotal == wei(670))
    #expect(manifest.payeeCount == 3)
    #expect(manifest.payees.map(\.maxPaid) == [wei(521), wei(50), wei(140)])
  }

  @Test func `a payee who can get nothing is listed but not counted`() throws {
    let manifest = try ManifestParts.manifest {
      try $0.payees.append(
        Manifest.Payee(
          address: address(0x44), accrued: accrued(0, 0, 0), owed: owed(0, 0, 0), paidBefore: wei(9)
        ))
    }
    #expect(manifest.payees.count == 4)
    #expect(manifest.payeeCount == 3)
  }

  /// A changed layout or rule changes this file: old manifests must stay readable, so that is a new version.
  @Test func `the bytes of a manifest are those of the golden file`() throws {
    let golden = try String(contentsOf: Self.fixture, encoding: .utf8)
      .split(separator: "\n").map(String.init)
    let manifest = try ManifestParts.manifest()
    #expect([manifest.bytes.hex, manifest.hash.bytes.hex] == golden)
  }

  @Test func `what is decoded is what was encoded`() throws {
    let variants = [
      try ManifestParts.manifest(),
      try ManifestParts.manifest { $0.predecessor = nil },
      try ManifestParts.manifest {
        $0.method = .transfer
        $0.charges = []
      },
      try ManifestParts.manifest {
        $0.purpose = .collect
        $0.gross = .zero
        $0.totals = accrued(0, 0, 0)
        $0.payees = []
        $0.heldBack = []
      },
      try ManifestParts.manifest {
        $0.gross = signed(-100)
        $0.totals = accrued(0, -90, -10)
        $0.heldBack = []
        $0.payees = [
          try Manifest.Payee(
            address: infrastructure, accrued: accrued(0, -90, 0), owed: owed(0, 0, 0),
            paidBefore: .zero),
          try Manifest.Payee(
            address: treasury, accrued: accrued(0, 0, -10), owed: owed(0, 0, 55), paidBefore: .zero),
        ]
      },
    ]
    for manifest in variants {
      let decoded = try Manifest(decoding: manifest.bytes)
      #expect(decoded == manifest)
      #expect(decoded.bytes == manifest.bytes)
    }
    #expect(Set(variants.map(\.hash)).count == variants.count)
  }

  @Test func `the order of the input does not change a manifest`() throws {
    let manifest = try ManifestParts.manifest()
    let reversed = try ManifestParts.manifest {
      $0.charges.reverse()
      $0.payees.reverse()
      $0.heldBack.reverse()
    }
    #expect(reversed.bytes == manifest.bytes)
  }

  @Test func `a manifest with any bit flipped is refused or has another hash`() throws {
    let manifest = try ManifestParts.manifest()
    for index in manifest.bytes.indices {
      for bit in 0..<8 {
        var bytes = manifest.bytes
        bytes[index] ^= 1 << bit
        #expect(Hash32.keccak(bytes) != manifest.hash)
        if let other = try? Manifest(decoding: bytes) {
          #expect(other.bytes == bytes)
          #expect(other.hash == Hash32.keccak(bytes))
        }
      }
    }
  }

  @Test func `a manifest cut short or with a tail is refused`() throws {
    let bytes = try ManifestParts.manifest().bytes
    for count in 0..<bytes.count {
      #expect(throws: ManifestError.self) { try Manifest(decoding: Array(bytes[..<count])) }
    }
    #expect(throws: ManifestError.self) { try Manifest(decoding: bytes + [0]) }
  }

  @Test func `random bytes and random changes never trap`() throws {
    var random = SeededRandom(seed: 8)
    let bytes = try ManifestParts.manifest().bytes
    for _ in 0..<3_000 {
      var changed = bytes
      for _ in 0...random.below(4) {
        changed[random.below(changed.count)] = UInt8.random(in: 0...255, using: &random)
      }
      if let other = try? Manifest(decoding: changed) { #expect(other.bytes == changed) }
    }
  }

  @Test func `unsorted lines are not canonical`() throws {
    let bytes = try ManifestParts.manifest().bytes
    guard case .list(var fields) = try RLP.decode(bytes), fields.count > 18,
      case .list(let charges) = fields[18]
    else {
      Issue.record("the fixture is no manifest")
      return
    }
    fields[18] = .list(charges.reversed())
    let unsorted = RLP.encode(.list(fields))
    #expect(throws: ManifestError.notCanonical) { try Manifest(decoding: unsorted) }
  }

  @Test func `a negative zero is not canonical`() throws {
    let bytes = try ManifestParts.manifest {
      $0.purpose = .collect
      $0.gross = .zero
      $0.totals = accrued(0, 0, 0)
      $0.payees = []
      $0.heldBack = []
    }.bytes
    guard case .list(var fields) = try RLP.decode(bytes) else { return }
    fields[13] = .list([.bytes([1]), .bytes([])])
    let changed = RLP.encode(.list(fields))
    #expect(throws: ManifestError.notCanonical) { try Manifest(decoding: changed) }
  }

  @Test func `a manifest of another version is refused by name`() throws {
    guard case .list(var fields) = try RLP.decode(ManifestParts.manifest().bytes) else {
      return
    }
    fields[1] = .bytes([2])
    let changed = RLP.encode(.list(fields))
    #expect(
      throws: ManifestError.malformed(field: "version", found: "2, this program reads 1")
    ) { try Manifest(decoding: changed) }
  }

  @Test func `an error names the field by its path`() throws {
    guard case .list(var fields) = try RLP.decode(ManifestParts.manifest().bytes),
      case .list(var payees) = fields[19], case .list(var payee) = payees[1]
    else { return }
    payee[0] = .bytes([1, 2, 3])
    payees[1] = .list(payee)
    fields[19] = .list(payees)
    let changed = RLP.encode(.list(fields))
    #expect(
      throws: ManifestError.malformed(field: "payees[1].address", found: "3 bytes long")
    ) { try Manifest(decoding: changed) }
  }

  @Test func `a manifest that breaks a rule is refused`() throws {
    func refuses(_ error: ManifestError, _ change: (inout ManifestParts) throws -> Void) {
      #expect(throws: error) { try ManifestParts.manifest(change) }
    }
    func limits(
      transactions: Int = 10, gas: UInt64 = 8_000_000, fee: UInt64 = 1, charges: Int = 2,
      expires: UInt64 = 1
    ) -> Manifest.Limits {
      Manifest.Limits(
        maxTransactions: transactions, gasPerTransaction: gas, maxFeePerGasWei: wei(fee),
        chargesPerTransaction: charges, paymentsPerTransaction: 2, expires: expires)
    }
    refuses(.duplicate(field: "charges", address(1))) {
      $0.charges.append(Manifest.Charge(user: address(1), spent: wei(50), charged: .zero))
    }
    refuses(.duplicate(field: "payees and heldBack", address(0x12))) {
      try $0.payees.append(
        Manifest.Payee(
          address: address(0x12), accrued: accrued(0, 0, 0), owed: owed(0, 0, 0), paidBefore: .zero)
      )
    }
    let nothing = Manifest.Charge(user: address(9), spent: wei(5), charged: wei(5))
    refuses(.nothingToCharge(nothing)) { $0.charges.append(nothing) }
    refuses(.belowMinimum(field: "charges", address(9), minimum: wei(5))) {
      $0.charges.append(Manifest.Charge(user: address(9), spent: wei(9), charged: wei(5)))
    }
    refuses(.belowMinimum(field: "payees", address(9), minimum: wei(10))) {
      try $0.payees.append(
        Manifest.Payee(
          address: address(9), accrued: accrued(0, 0, 0), owed: owed(9, 0, 0), paidBefore: .zero))
    }
    for unpayable in [Address.zero, address(0xaa), address(0xbb)] {
      refuses(.unpayable(unpayable)) {
        try $0.payees.append(
          Manifest.Payee(
            address: unpayable, accrued: accrued(0, 0, 0), owed: owed(90, 0, 0), paidBefore: .zero))
      }
    }
    refuses(.zeroAddress("vault")) { $0.vault = .zero }
    refuses(.zeroAddress("charges.user")) {
      $0.charges.append(Manifest.Charge(user: .zero, spent: wei(50), charged: .zero))
    }
    refuses(.transferCharges(3)) { $0.method = .transfer }
    refuses(.collectPays) { $0.purpose = .collect }
    refuses(.unknownWaterfall(Waterfall(name: "prorata", version: 2))) {
      $0.waterfall = Waterfall(name: "prorata", version: 2)
    }
    refuses(.doesNotTieOut(field: "accrued as operator", sum: signed(850), expected: signed(851))) {
      $0.totals = accrued(851, 50, 100)
    }
    refuses(.doesNotTieOut(field: "role totals", sum: signed(1000), expected: signed(1001))) {
      $0.gross = signed(1001)
    }
    refuses(.tooFewTransactions(allowed: 3, needed: 4)) { $0.limits = limits(transactions: 3) }
    refuses(
      .outOfRange(field: "limits.gasPerTransaction", value: "16777217", allowed: "21000…16777216")
    ) { $0.limits = limits(gas: 16_777_217) }
    refuses(.outOfRange(field: "limits.chargesPerTransaction", value: "0", allowed: "1…10000")) {
      $0.limits = limits(charges: 0)
    }
    refuses(.outOfRange(field: "limits.maxFeePerGasWei", value: "0", allowed: "1 or more")) {
      $0.limits = limits(fee: 0)
    }
    refuses(.outOfRange(field: "epoch", value: "0", allowed: "1…2^63 − 1")) { $0.epoch = 0 }
    refuses(
      .outOfRange(field: "heldBack.reason", value: "0 bytes", allowed: "1…200 bytes")
    ) {
      $0.heldBack[0] = Manifest.HeldBack(
        address: address(0x12), reason: "", accrued: accrued(340, 0, 0), owed: owed(345, 0, 0))
    }
    refuses(.sumTooLarge("charges or payees")) {
      $0.charges.append(Manifest.Charge(user: address(9), spent: .max, charged: .zero))
    }
  }

  @Test func `what is owed and paid must fit 256 bits`() {
    #expect(throws: (any Error).self) {
      try Manifest.Payee(
        address: address(1), accrued: accrued(0, 0, 0), owed: owed(1, 0, 0), paidBefore: .max)
    }
  }

  @Test func `an error says what to do`() throws {
    let error = ManifestError.tooFewTransactions(allowed: 3, needed: 4)
    #expect(error.description.contains("3") && error.description.contains("allow more"))
  }
}

@Suite struct ManifestPaymentTests {
  @Test func `the manifest's waterfall reserves what is held back`() throws {
    let manifest = try ManifestParts.manifest()
    let payments = try manifest.payments(
      pool: wei(900), paidTotals: [address(0x11): wei(1), treasury: wei(40)])
    // Operators are owed 520 + 345 (held), 35 are left for infrastructure's 50.
    #expect(payments.map(\.payee) == [address(0x11), infrastructure, treasury])
    #expect(payments.map(\.delta) == [wei(520), wei(35), wei(0)])
    #expect(payments.map(\.paid) == [wei(521), wei(35), wei(40)])
  }

  @Test func `payouts stop when the chain proves less paid than the plan`() throws {
    let manifest = try ManifestParts.manifest()
    #expect(
      throws: WaterfallError.paidTotalBelowPlan(treasury, planned: wei(40), proven: wei(39))
    ) {
      try manifest.payments(pool: wei(900), paidTotals: [address(0x11): wei(1), treasury: wei(39)])
    }
  }

  @Test func `charges and payments are cut into chunks`() throws {
    let manifest = try ManifestParts.manifest()
    #expect(manifest.chargeChunks == [0..<2, 2..<3])
    let payments = try manifest.payments(
      pool: wei(900), paidTotals: [address(0x11): wei(1), treasury: wei(40)])
    // The treasury gets nothing: it is in no chunk.
    #expect(
      manifest.payChunks(payments).map { $0.map(\.payee) } == [[address(0x11), infrastructure]])
    let transfers = try ManifestParts.manifest {
      $0.method = .transfer
      $0.charges = []
    }
    #expect(transfers.payChunks(payments).map(\.count) == [1, 1])
  }

  @Test func `call data is what eth-abi encodes`() throws {
    let manifest = try ManifestParts.manifest()
    let payments = try manifest.payments(
      pool: wei(2000), paidTotals: [address(0x11): wei(1), treasury: wei(40)])
    let questions = [
      "charge "
        + manifest.charges.map { "\($0.user.bytes.hex) \($0.spent)" }.joined(separator: " "),
      "charge " + manifest.charges[2...].map { "\($0.user.bytes.hex) \($0.spent)" }.joined(),
      "charge",
      "pay " + payments.map { "\($0.payee.bytes.hex) \($0.paid)" }.joined(separator: " "),
      "transfer \(payments[0].payee.bytes.hex) \(payments[0].delta)",
    ]
    let answers = [
      manifest.chargeCallData(0..<3), manifest.chargeCallData(2..<3),
      manifest.chargeCallData(0..<0),
      Waterfall.payCallData(payments), payments[0].transferCallData,
    ].map(\.hex)
    #expect(try Python.lines("credits_calldata.py", stdin: questions) == answers)
  }
}
