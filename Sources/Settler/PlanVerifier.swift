import Credits
import Ethereum

/// A manifest that was read from the ledger and checked: its bytes, its planner's signature, and that the facts give it.
struct VerifiedPlan: Sendable {
  let row: ManifestRow
  let manifest: Manifest
  let planSignature: Signature
  let approvals: [ApprovalRow]

  /// Checks the bytes against their row and reads them.
  init(_ row: ManifestRow, approvals: [ApprovalRow]) throws {
    let computed = Hash32.keccak(row.bytes)
    guard computed == row.hash else {
      throw SettlerError.alteredManifest(stored: row.hash, computed: computed)
    }
    self.row = row
    self.approvals = approvals
    manifest = try Manifest(decoding: row.bytes)
    planSignature = try Signature(row.signature)
  }

  /// Everything that must hold before the settlement key signs.
  /// - Parameter now: Unix seconds.
  /// - Returns: who approved.
  func check(_ policy: ApprovalPolicy, now: UInt64) throws -> [Address] {
    try policy.check(
      manifest, planner: row.planner, plan: planSignature,
      approvals: approvals.map { try Signature($0.signature) }, now: now)
  }

  /// What must hold before an approver signs.
  func checkPlan(_ policy: ApprovalPolicy, now: UInt64) throws {
    try policy.checkPlan(manifest, planner: row.planner, plan: planSignature, now: now)
  }

  func approver(_ policy: ApprovalPolicy, signature: Signature) throws -> Address {
    try policy.approver(of: manifest, signature: signature)
  }

  /// Who has approved it, by this host's configuration; what anyone else signed does not count.
  func approvers(_ policy: ApprovalPolicy) -> Set<Address> {
    var approvers: Set<Address> = []
    for row in approvals {
      guard let signature = try? Signature(row.signature),
        let approver = try? policy.approver(of: manifest, signature: signature)
      else { continue }
      approvers.insert(approver)
    }
    return approvers
  }
}

/// The checks that come before any signature, an approver's or the settler's.
struct PlanVerifier {
  let reader: LedgerReader

  /// Reads the current plan of an epoch and checks that its bytes are what its row says. Believes nothing else yet.
  func read(_ epoch: UInt64) async throws -> VerifiedPlan {
    guard let row = try await reader.manifest(of: epoch) else { throw SettlerError.noPlan(epoch) }
    let plan = try VerifiedPlan(row, approvals: try await reader.approvals(of: row.hash))
    let manifest = plan.manifest
    guard manifest.epoch == epoch, manifest.vault == reader.vault,
      manifest.chainID == reader.chainID
    else {
      throw SettlerError.manifestDiffers([
        "it is for epoch \(manifest.epoch), chain \(manifest.chainID), vault \(manifest.vault)"
      ])
    }
    return plan
  }

  /// Builds the manifest again from the ledger's facts at the planned block; any difference is refused.
  ///
  /// - Parameter isUnderWay: once something was sent, what is held since does not change the plan any more.
  func rebuild(_ plan: VerifiedPlan, isUnderWay: Bool = false) async throws {
    let manifest = plan.manifest
    guard let block = try await reader.block(manifest.plannedAt.number),
      block.hash == manifest.plannedAt.hash
    else {
      throw SettlerError.manifestDiffers([
        "block \(manifest.plannedAt.number) is not \(manifest.plannedAt.hash) in this ledger"
      ])
    }
    var facts = try await reader.facts(epoch: manifest.epoch, plannedAt: manifest.plannedAt)
    if isUnderWay { facts = facts.holding(Self.holds(of: manifest)) }
    let rebuilt = try ManifestBuilder.build(facts, ManifestBuilder.Options(manifest))
    guard rebuilt.hash == manifest.hash else {
      throw SettlerError.manifestDiffers(
        ManifestDifference.lines(stored: manifest, rebuilt: rebuilt))
    }
  }

  static func holds(of manifest: Manifest) -> [Address: String] {
    var held: [Address: String] = [:]
    let mark = ManifestBuilder.heldMark.utf8
    for line in manifest.heldBack where line.reason.utf8.starts(with: mark) {
      held[line.address] = String(decoding: line.reason.utf8.dropFirst(mark.count), as: UTF8.self)
    }
    return held
  }
}
