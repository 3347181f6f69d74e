import Credits
import Ethereum
import TestSupport
import Testing

@Suite struct TypedMessageTests {
  @Test func `the types are those that approvers know`() throws {
    let manifest = try ManifestParts.manifest()
    #expect(
      Approval.typeString(of: Approval(manifest).fields)
        == "Approval(bytes32 manifest,bytes32 ledger,uint64 epoch,uint256 charges,uint256 payouts,"
        + "uint32 payees,address settler,uint64 expires)")
    #expect(
      Plan.typeString(of: Plan(manifest).fields)
        == "Plan(bytes32 manifest,bytes32 ledger,uint64 epoch)")
    #expect(
      CollectMandate.typeString(of: Self.mandate().fields)
        == "CollectMandate(bytes32 ledger,uint256 maxPerAccount,uint256 maxPerDay,uint64 expires)")
  }

  @Test func `an approval says what the manifest does`() throws {
    let manifest = try ManifestParts.manifest()
    let approval = Approval(manifest)
    #expect(approval.manifest == manifest.hash)
    #expect(approval.charges == wei(1000))
    #expect(approval.payouts == wei(670))
    #expect(approval.payees == 3)
    #expect(approval.expires == 1_800_000_000)
    #expect(approval.domain == SettlementDomain(chainID: 1, vault: address(0xaa)))
  }

  static func mandate() -> CollectMandate {
    CollectMandate(
      ledger: hash(0x1e), maxPerAccount: .max, maxPerDay: wei(5), expires: .max,
      domain: SettlementDomain(chainID: 31_337, vault: address(0xaa)))
  }

  /// eth-account hashes the exported JSON and signs it; the digest, the signature's signer and ours must agree.
  @Test func `eth-account hashes and signs the exported typed data alike`() throws {
    var random = SeededRandom(seed: 9)
    var messages: [(json: String, digest: Hash32, signer: (Signature) throws -> Address)] = []
    func add(_ message: some TypedMessage) {
      messages.append((message.typedDataJSON, message.digest, message.signer(of:)))
    }
    add(Self.mandate())
    for _ in 0..<30 {
      let manifest = try ManifestParts.manifest { parts in
        parts.chainID = UInt64.random(in: 1..<(1 << 53), using: &random)
        parts.epoch = UInt64.random(in: 1..<(1 << 62), using: &random)
        parts.vault = random.address()
        parts.charges = [
          Manifest.Charge(
            user: address(1), spent: try random.wei(bits: 248).adding(wei(9)), charged: .zero)
        ]
      }
      add(Approval(manifest))
      add(Plan(manifest))
    }
    // digest, signature (r ‖ s ‖ v), address
    let replies = try Python.lines("credits_typed_data.py", stdin: messages.map(\.json))
    #expect(replies.count == messages.count)
    for (reply, message) in zip(replies, messages) {
      let parts = reply.split(separator: " ").map(String.init)
      guard parts.count == 3, let signature = try? Signature(Hex.decode("0x" + parts[1])) else {
        Issue.record("unexpected reply \(reply)")
        continue
      }
      #expect(message.digest.bytes.hex == parts[0])
      #expect(try message.signer(signature).bytes.hex == parts[2])
    }
  }
}

@Suite struct ApprovalPolicyTests {
  static let keys = (1...6).map { try! PrivateKey([UInt8](repeating: UInt8($0), count: 32)) }
  static var planner: PrivateKey { keys[0] }
  static var settler: PrivateKey { keys[1] }
  static var approvers: ArraySlice<PrivateKey> { keys[2..<5] }

  static func policy(required: Int = 2) throws -> ApprovalPolicy {
    try ApprovalPolicy(
      settler: settler.address, approvers: approvers.map(\.address), required: required)
  }

  static func manifest(_ change: (inout ManifestParts) throws -> Void = { _ in }) throws -> Manifest
  {
    try ManifestParts.manifest {
      $0.settler = settler.address
      try change(&$0)
    }
  }

  static func check(
    _ policy: ApprovalPolicy? = nil, manifest: Manifest? = nil, planner: PrivateKey? = nil,
    stated: Address? = nil, signers: [PrivateKey], now: UInt64 = 1_700_000_000
  ) throws -> [Address] {
    let manifest = try manifest ?? Self.manifest()
    let planner = planner ?? Self.planner
    return try (policy ?? Self.policy()).check(
      manifest, planner: stated ?? planner.address, plan: planner.sign(Plan(manifest).digest),
      approvals: signers.map { try $0.sign(Approval(manifest).digest) }, now: now)
  }

  @Test func `two of three approvers are enough`() throws {
    let signers = Array(Self.approvers.prefix(2))
    #expect(try Self.check(signers: signers) == signers.map(\.address).sorted())
    #expect(try Self.check(signers: signers.reversed()).count == 2)
    #expect(try Self.check(signers: Array(Self.approvers)).count == 3)
  }

  @Test func `one approver twice is one approver`() throws {
    let approver = Self.approvers.first!
    #expect(throws: ApprovalError.notEnough(approved: [approver.address], required: 2)) {
      try Self.check(signers: [approver, approver])
    }
    #expect(throws: ApprovalError.notEnough(approved: [], required: 2)) {
      try Self.check(signers: [])
    }
  }

  @Test func `an approval by anyone else halts`() {
    for stranger in [Self.keys[5], Self.planner, Self.settler] {
      #expect(throws: ApprovalError.unknownApprover(stranger.address)) {
        try Self.check(signers: Array(Self.approvers.prefix(2)) + [stranger])
      }
    }
  }

  @Test func `an approval of another manifest does not count`() throws {
    let other = try Self.manifest { $0.epoch = 8 }
    let manifest = try Self.manifest()
    let approver = Self.approvers.first!
    let signature = try approver.sign(Approval(other).digest)
    #expect {
      try Self.policy().approver(of: manifest, signature: signature)
    } throws: { error in
      guard case .unknownApprover(let signer) = error as? ApprovalError else { return false }
      return signer != approver.address
    }
    #expect(try Self.policy().approver(of: other, signature: signature) == approver.address)
  }

  @Test func `planner, settler and approvers are different keys`() throws {
    let signers = Array(Self.approvers.prefix(2))
    #expect(throws: ApprovalError.plannerIsSettler(Self.settler.address)) {
      try Self.check(planner: Self.settler, signers: signers)
    }
    let third = Self.approvers.last!
    #expect(throws: ApprovalError.plannerIsApprover(third.address)) {
      try Self.check(planner: third, signers: signers)
    }
    #expect(throws: ApprovalError.settlerIsApprover(Self.settler.address)) {
      try ApprovalPolicy(
        settler: Self.settler.address, approvers: [Self.settler.address], required: 1)
    }
  }

  @Test func `a plan that somebody else signed is refused`() {
    let other = Self.keys[5]
    #expect(
      throws: ApprovalError.otherPlanner(signed: other.address, stated: Self.planner.address)
    ) {
      try Self.check(
        planner: other, stated: Self.planner.address, signers: Array(Self.approvers.prefix(2)))
    }
  }

  @Test func `a manifest expires at its second`() throws {
    let signers = Array(Self.approvers.prefix(2))
    #expect(try Self.check(signers: signers, now: 1_799_999_999).count == 2)
    #expect(throws: ApprovalError.expired(at: 1_800_000_000, now: 1_800_000_000)) {
      try Self.check(signers: signers, now: 1_800_000_000)
    }
  }

  @Test func `a manifest for another settler is refused`() {
    #expect(
      throws: ApprovalError.otherSettler(
        manifest: address(0x99), configured: Self.settler.address)
    ) {
      try Self.check(
        manifest: Self.manifest { $0.settler = address(0x99) },
        signers: Array(Self.approvers.prefix(2)))
    }
  }

  @Test func `a configuration that cannot work is refused`() {
    let approvers = Self.approvers.map(\.address)
    for required in [0, -1, 4] {
      #expect(throws: ApprovalError.threshold(required: required, approvers: 3)) {
        try ApprovalPolicy(
          settler: Self.settler.address, approvers: approvers, required: required)
      }
    }
    #expect(throws: ApprovalError.threshold(required: 1, approvers: 0)) {
      try ApprovalPolicy(settler: Self.settler.address, approvers: [], required: 1)
    }
    #expect(throws: ApprovalError.duplicateApprover(approvers[0])) {
      try ApprovalPolicy(
        settler: Self.settler.address, approvers: approvers + [approvers[0]], required: 1)
    }
  }
}
