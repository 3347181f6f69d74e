import Ethereum

/// What an approver signs: a manifest's hash, with what a person should read beside it.
///
/// EIP-712 type: `Approval(bytes32 manifest,bytes32 ledger,uint64 epoch,uint256 charges,uint256 payouts,
/// uint32 payees,address settler,uint64 expires)`.
public struct Approval: TypedMessage, Hashable, Sendable {
  public static let typeName = "Approval"

  public let manifest: Hash32
  public let ledger: Hash32
  public let epoch: UInt64
  /// Wei that are charged at most (`Manifest.chargesPlannedTotal`).
  public let charges: UInt256
  /// Wei that are paid at most (`Manifest.payoutsMaxTotal`).
  public let payouts: UInt256
  public let payees: UInt32
  public let settler: Address
  /// Unix seconds.
  public let expires: UInt64
  public let domain: SettlementDomain

  /// The only approval of a manifest: everything in it follows from the manifest.
  public init(_ manifest: Manifest) {
    self.manifest = manifest.hash
    ledger = manifest.ledger
    epoch = manifest.epoch
    charges = manifest.chargesPlannedTotal
    payouts = manifest.payoutsMaxTotal
    payees = UInt32(clamping: manifest.payeeCount)  // at most Manifest.maxPayees
    settler = manifest.settler
    expires = manifest.limits.expires
    domain = SettlementDomain(chainID: manifest.chainID, vault: manifest.vault)
  }

  public var fields: [TypedField] {
    [
      .bytes32("manifest", manifest), .bytes32("ledger", ledger),
      .uint("epoch", bits: 64, UInt256(epoch)), .uint("charges", bits: 256, charges),
      .uint("payouts", bits: 256, payouts), .uint("payees", bits: 32, UInt256(UInt64(payees))),
      .address("settler", settler), .uint("expires", bits: 64, UInt256(expires)),
    ]
  }
}

/// What a planner signs, so that nobody else's plan is put before the approvers.
///
/// EIP-712 type: `Plan(bytes32 manifest,bytes32 ledger,uint64 epoch)`.
public struct Plan: TypedMessage, Hashable, Sendable {
  public static let typeName = "Plan"

  public let manifest: Hash32
  public let ledger: Hash32
  public let epoch: UInt64
  public let domain: SettlementDomain

  public init(_ manifest: Manifest) {
    self.manifest = manifest.hash
    ledger = manifest.ledger
    epoch = manifest.epoch
    domain = SettlementDomain(chainID: manifest.chainID, vault: manifest.vault)
  }

  public var fields: [TypedField] {
    [
      .bytes32("manifest", manifest), .bytes32("ledger", ledger),
      .uint("epoch", bits: 64, UInt256(epoch)),
    ]
  }
}

/// A standing permission to collect: charge what users have spent, pay nobody.
///
/// EIP-712 type: `CollectMandate(bytes32 ledger,uint256 maxPerAccount,uint256 maxPerDay,uint64 expires)`.
public struct CollectMandate: TypedMessage, Hashable, Sendable {
  public static let typeName = "CollectMandate"

  public let ledger: Hash32
  /// Wei that one collection may take from one account.
  public let maxPerAccount: UInt256
  /// Wei that all collections of 24 hours may take together.
  public let maxPerDay: UInt256
  /// Unix seconds.
  public let expires: UInt64
  public let domain: SettlementDomain

  public init(
    ledger: Hash32, maxPerAccount: UInt256, maxPerDay: UInt256, expires: UInt64,
    domain: SettlementDomain
  ) {
    self.ledger = ledger
    self.maxPerAccount = maxPerAccount
    self.maxPerDay = maxPerDay
    self.expires = expires
    self.domain = domain
  }

  public var fields: [TypedField] {
    [
      .bytes32("ledger", ledger), .uint("maxPerAccount", bits: 256, maxPerAccount),
      .uint("maxPerDay", bits: 256, maxPerDay), .uint("expires", bits: 64, UInt256(expires)),
    ]
  }
}
