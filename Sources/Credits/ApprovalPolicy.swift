import Ethereum

/// Who may approve on this signing host, from its own configuration, never from the database: a database
/// superuser must not be able to approve.
public struct ApprovalPolicy: Hashable, Sendable {
  public let settler: Address
  public let approvers: Set<Address>
  public let required: Int

  /// - Throws: `ApprovalError` when the configuration cannot work.
  public init(settler: Address, approvers: [Address], required: Int) throws(ApprovalError) {
    let distinct = Set(approvers)
    for (index, approver) in approvers.enumerated()
    where approvers[..<index].contains(approver) {
      throw .duplicateApprover(approver)
    }
    guard !distinct.contains(settler) else { throw .settlerIsApprover(settler) }
    guard (1...max(1, distinct.count)).contains(required), !distinct.isEmpty else {
      throw .threshold(required: required, approvers: distinct.count)
    }
    self.settler = settler
    self.approvers = distinct
    self.required = required
  }

  /// Checks that a manifest may be sent: the planner's signature, enough distinct approvals by configured
  /// approvers, pairwise different keys, and the date.
  ///
  /// - Parameters:
  ///   - plan: the planner's signature over `Plan(manifest)`.
  ///   - approvals: signatures over `Approval(manifest)`, in any order; the same approver twice counts once.
  ///   - now: Unix seconds.
  /// - Returns: who approved, by address.
  /// - Throws: `ApprovalError`.
  @discardableResult
  public func check(
    _ manifest: Manifest, planner: Address, plan: Signature, approvals: [Signature], now: UInt64
  ) throws(ApprovalError) -> [Address] {
    try checkPlan(manifest, planner: planner, plan: plan, now: now)
    var approved: Set<Address> = []
    for signature in approvals {
      approved.insert(try approver(of: manifest, signature: signature))
    }
    guard approved.count >= required else {
      throw .notEnough(approved: approved.sorted(), required: required)
    }
    return approved.sorted()
  }

  /// The part of `check` that does not need approvals: what an approver's program asks before signing.
  public func checkPlan(
    _ manifest: Manifest, planner: Address, plan: Signature, now: UInt64
  ) throws(ApprovalError) {
    guard manifest.settler == settler else {
      throw .otherSettler(manifest: manifest.settler, configured: settler)
    }
    guard now < manifest.limits.expires else {
      throw .expired(at: manifest.limits.expires, now: now)
    }
    guard planner != settler else { throw .plannerIsSettler(planner) }
    guard !approvers.contains(planner) else { throw .plannerIsApprover(planner) }
    let signer: Address
    do { signer = try Plan(manifest).signer(of: plan) } catch { throw .badSignature("plan") }
    guard signer == planner else { throw .otherPlanner(signed: signer, stated: planner) }
  }

  /// The configured approver who signed the approval of a manifest.
  public func approver(
    of manifest: Manifest, signature: Signature
  ) throws(ApprovalError) -> Address {
    let signer: Address
    do {
      signer = try Approval(manifest).signer(of: signature)
    } catch {
      throw .badSignature("approval")
    }
    guard approvers.contains(signer) else { throw .unknownApprover(signer) }
    return signer
  }
}

/// Why a manifest may not be sent.
public enum ApprovalError: Error, Equatable, Sendable {
  case duplicateApprover(Address)
  case settlerIsApprover(Address)
  case threshold(required: Int, approvers: Int)
  case otherSettler(manifest: Address, configured: Address)
  case expired(at: UInt64, now: UInt64)
  case plannerIsSettler(Address)
  case plannerIsApprover(Address)
  case otherPlanner(signed: Address, stated: Address)
  case badSignature(String)
  case unknownApprover(Address)
  case notEnough(approved: [Address], required: Int)
}

extension ApprovalError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .duplicateApprover(let address):
      "approver \(address) is configured twice; name each once in APPROVERS"
    case .settlerIsApprover(let address):
      "\(address) is the settlement key and an approver; planner, settler and approvers must be"
        + " different keys, take it out of APPROVERS"
    case .threshold(let required, let approvers):
      "APPROVALS_REQUIRED is \(required) with \(approvers) approvers; it must be 1 or more and no"
        + " more than there are APPROVERS"
    case .otherSettler(let manifest, let configured):
      "the manifest is for settler \(manifest), this host signs as \(configured); check"
        + " SETTLER_ADDRESS and the key"
    case .expired(let at, let now):
      "the plan expired at \(UnixTime.text(at)), it is \(UnixTime.text(now)) now; make a new one with"
        + " settler plan --again"
    case .plannerIsSettler(let address):
      "\(address) planned the epoch and is the settlement key; plan with another key"
    case .plannerIsApprover(let address):
      "\(address) planned the epoch and is an approver; plan with a key that is not in APPROVERS"
    case .otherPlanner(let signed, let stated):
      "the plan is signed by \(signed), stated is \(stated); it was altered or is another plan's"
    case .badSignature(let what):
      "the signature of the \(what) is none; it was altered, get it signed again"
    case .unknownApprover(let address):
      "\(address) signed this approval and is not in APPROVERS of this host, or what was signed is"
        + " another manifest"
    case .notEnough(let approved, let required):
      "\(approved.count) of \(required) approvals"
        + (approved.isEmpty ? "" : " (\(approved.map(\.description).joined(separator: ", ")))")
        + "; ask more approvers to run settler approve"
    }
  }
}
