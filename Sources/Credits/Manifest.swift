import Ethereum

/// What the settlement of one epoch will do: what people approve, and all that the signer may sign (I7).
///
/// A manifest is canonical: its lists are sorted, its bytes are one strict RLP encoding, and its Keccak-256
/// hash names it. Building one checks it as hard as decoding one, so that a bad plan is refused before
/// anyone is asked to approve it. The layout is in `Manifest+Coding.swift`.
public struct Manifest: Hashable, Sendable {
  /// `settle` charges and pays a closed epoch; `collect` only charges, under a standing mandate.
  public enum Purpose: String, Hashable, Sendable, CaseIterable {
    case settle
    case collect
  }

  /// How payees are paid: out of the vault's pool, or by token transfers from a settlement wallet.
  public enum Method: String, Hashable, Sendable, CaseIterable {
    case vault
    case transfer
  }

  /// The block whose state the plan was made from.
  public struct BlockReference: Hashable, Sendable {
    public let number: UInt64
    public let hash: Hash32

    public init(number: UInt64, hash: Hash32) {
      self.number = number
      self.hash = hash
    }
  }

  /// What the signer must stay within.
  public struct Limits: Hashable, Sendable {
    /// The gas cap of a transaction since EIP-7825 (Osaka).
    public static let transactionGasCap: UInt64 = 16_777_216

    public let maxTransactions: Int
    public let gasPerTransaction: UInt64
    public let maxFeePerGasWei: UInt256
    public let chargesPerTransaction: Int
    public let paymentsPerTransaction: Int
    /// Unix seconds; from then on nothing is begun. What was begun is finished.
    public let expires: UInt64

    public init(
      maxTransactions: Int, gasPerTransaction: UInt64, maxFeePerGasWei: UInt256,
      chargesPerTransaction: Int, paymentsPerTransaction: Int, expires: UInt64
    ) {
      self.maxTransactions = maxTransactions
      self.gasPerTransaction = gasPerTransaction
      self.maxFeePerGasWei = maxFeePerGasWei
      self.chargesPerTransaction = chargesPerTransaction
      self.paymentsPerTransaction = paymentsPerTransaction
      self.expires = expires
    }
  }

  /// What the planner chose to leave for later.
  public struct Options: Hashable, Sendable {
    public let minPayoutWei: UInt256
    public let minChargeWei: UInt256

    public init(minPayoutWei: UInt256 = .zero, minChargeWei: UInt256 = .zero) {
      self.minPayoutWei = minPayoutWei
      self.minChargeWei = minChargeWei
    }
  }

  /// What a user has spent ever, as the vault is told, and what the vault has charged by the planned block.
  public struct Charge: Hashable, Sendable {
    public let user: Address
    public let spent: UInt256
    public let charged: UInt256

    public init(user: Address, spent: UInt256, charged: UInt256) {
      self.user = user
      self.spent = spent
      self.charged = charged
    }
  }

  /// Someone who may be paid.
  public struct Payee: Hashable, Sendable {
    public let address: Address
    /// Earned in this epoch.
    public let accrued: ByRole<SignedWei>
    /// Owed over all epochs, this one included (`Owed.byRole`).
    public let owed: ByRole<UInt256>
    /// Paid ever before this plan.
    public let paidBefore: UInt256
    /// The largest cumulative `paid` the address may reach: `paidBefore` and all that is owed.
    public let maxPaid: UInt256

    /// - Throws: UInt256's overflow.
    public init(
      address: Address, accrued: ByRole<SignedWei>, owed: ByRole<UInt256>, paidBefore: UInt256
    ) throws {
      self.address = address
      self.accrued = accrued
      self.owed = owed
      self.paidBefore = paidBefore
      maxPaid = try paidBefore.adding(owed.total)
    }
  }

  /// Someone who is owed but not paid now: kept as a liability and listed, never dropped.
  public struct HeldBack: Hashable, Sendable {
    public let address: Address
    /// 1…200 bytes of UTF-8, for people.
    public let reason: String
    public let accrued: ByRole<SignedWei>
    public let owed: ByRole<UInt256>

    public init(
      address: Address, reason: String, accrued: ByRole<SignedWei>, owed: ByRole<UInt256>
    ) {
      self.address = address
      self.reason = reason
      self.accrued = accrued
      self.owed = owed
    }
  }

  public let purpose: Purpose
  /// 32 random bytes that name the ledger.
  public let ledger: Hash32
  public let chainID: UInt64
  public let vault: Address
  public let token: Address
  public let settler: Address
  public let method: Method
  public let epoch: UInt64
  /// The manifest before this one; nil for a ledger's first.
  public let predecessor: Hash32?
  public let plannedAt: BlockReference
  public let split: Split
  public let gross: SignedWei
  /// Operators: wallets only. With the fallback's share in the role that the split names.
  public let totals: ByRole<SignedWei>
  public let waterfall: Waterfall
  public let limits: Limits
  public let options: Options
  /// By user, ascending.
  public let charges: [Charge]
  /// By address, ascending.
  public let payees: [Payee]
  /// By address, ascending.
  public let heldBack: [HeldBack]

  /// Σ (spent − charged): what the charges would take if every user still has it in the vault.
  public let chargesPlannedTotal: UInt256
  /// Σ (maxPaid − paidBefore): the most that this manifest can pay out.
  public let payoutsMaxTotal: UInt256
  /// How many payees can get something.
  public let payeeCount: Int
  /// The canonical bytes.
  public private(set) var bytes: [UInt8] = []
  /// Keccak-256 of the bytes: what people approve.
  public private(set) var hash = Hash32.zero

  /// Sorts the lists, checks every rule, encodes and hashes.
  /// - Throws: `ManifestError` naming the field, the value and the remedy.
  public init(
    purpose: Purpose = .settle, ledger: Hash32, chainID: UInt64, vault: Address, token: Address,
    settler: Address, method: Method, epoch: UInt64, predecessor: Hash32?,
    plannedAt: BlockReference, split: Split, gross: SignedWei, totals: ByRole<SignedWei>,
    waterfall: Waterfall = .prorata, limits: Limits, options: Options = Options(),
    charges: [Charge], payees: [Payee], heldBack: [HeldBack]
  ) throws(ManifestError) {
    self.purpose = purpose
    self.ledger = ledger
    self.chainID = chainID
    self.vault = vault
    self.token = token
    self.settler = settler
    self.method = method
    self.epoch = epoch
    self.predecessor = predecessor
    self.plannedAt = plannedAt
    self.split = split
    self.gross = gross
    self.totals = totals
    self.waterfall = waterfall
    self.limits = limits
    self.options = options
    self.charges = charges.sorted { $0.user < $1.user }
    self.payees = payees.sorted { $0.address < $1.address }
    self.heldBack = heldBack.sorted { $0.address < $1.address }
    payeeCount = payees.count { $0.maxPaid > $0.paidBefore }
    do {
      chargesPlannedTotal = try charges.reduce(.zero) {
        guard $1.spent > $1.charged else { throw ManifestError.nothingToCharge($1) }
        return try $0.adding($1.spent.subtracting($1.charged))
      }
      payoutsMaxTotal = try payees.reduce(.zero) {
        try $0.adding($1.maxPaid.subtracting($1.paidBefore))
      }
    } catch let error as ManifestError {
      throw error
    } catch {
      throw .sumTooLarge("charges or payees")
    }
    try check()
    bytes = encoded()
    guard bytes.count <= Self.maxBytes else {
      throw .tooLarge(bytes: bytes.count, allowed: Self.maxBytes)
    }
    hash = Hash32.keccak(bytes)
  }
}
