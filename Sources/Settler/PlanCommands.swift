import Credits
import Ethereum
import JSON
import Service

extension SettlerProgram {
  // MARK: plan

  /// Prints the stored plan, or makes one: it spends nothing.
  func plan() async throws {
    let epoch = try arguments.epoch(at: 1)
    let options = try planOptions()
    let connection = try await openLedger()
    let reader = try reader(connection)
    let row = try await reader.epoch(epoch)
    if !arguments.has("again"), try await reader.manifest(of: epoch) != nil {
      let mayChange = [.planned, .approved].contains(row.state)
      Self.log(
        "epoch \(epoch) has a plan; this is it" + (mayChange ? " (--again makes a new one)" : ""))
      return try await show(epoch, reader)
    }
    guard [.closed, .planned, .approved].contains(row.state) else {
      throw SettlerError.wrongState(epoch, row.state, wanted: "closed, planned or approved")
    }
    let key = try loadKey()
    let policy = try policy()
    guard key.address != policy.settler else { throw ApprovalError.plannerIsSettler(key.address) }
    guard !policy.approvers.contains(key.address) else {
      throw ApprovalError.plannerIsApprover(key.address)
    }
    let chain = try nodeChain()
    let facts = try await reader.facts(epoch: epoch)
    guard facts.method == .vault else { throw SettlerError.transferMethod }
    let manifest = try await makeManifest(
      facts, options, settler: policy.settler, reader, chain)
    let signature = try Plan(manifest).signed(by: key)
    try await SettlerSQL(connection: connection).storePlan(
      manifest, planner: key.address, signature: signature.bytes, again: arguments.has("again"))
    try await show(epoch, reader)
  }

  /// What the planner chooses; wrong words are refused before anything is read.
  private struct PlanOptions {
    let minimums: Manifest.Options
    let maxGas: UInt64
    /// Nil: by the fees of the day.
    let maxFeeWei: UInt256?
    let lifeMs: Int64
  }

  private func planOptions() throws -> PlanOptions {
    let maxGas = try arguments.number("max-gas") ?? Manifest.Limits.transactionGasCap
    guard (100_000...Manifest.Limits.transactionGasCap).contains(maxGas) else {
      throw UsageError(
        "--max-gas is \(maxGas); give 100000 to \(Manifest.Limits.transactionGasCap), the most that a"
          + " transaction may use (EIP-7825)")
    }
    let lifeMs = try arguments.durationMs("expires") ?? 7 * 86_400_000
    guard lifeMs > 0 else {
      throw UsageError("--expires is nothing; give approvers and the settler time, like 7d")
    }
    return PlanOptions(
      minimums: Manifest.Options(
        minPayoutWei: try arguments.amount("min-payout") ?? .zero,
        minChargeWei: try arguments.amount("min-charge") ?? .zero),
      maxGas: maxGas, maxFeeWei: try arguments.optional("max-fee").map { try gwei($0) },
      lifeMs: lifeMs)
  }

  private func makeManifest(
    _ facts: SettlementFacts, _ options: PlanOptions, settler: Address, _ reader: LedgerReader,
    _ chain: NodeChain
  ) async throws -> Manifest {
    let check = ChainCheck(chain: chain, vault: facts.vault)
    try await check.checkVault(
      chainID: facts.chainID, settler: settler, at: facts.plannedAt.hash)
    let maxGas = options.maxGas
    let expires = UInt64(clamping: (clock.nowMs() + options.lifeMs) / 1_000)
    let market = try await chain.fees()
    let cap =
      try options.maxFeeWei
      ?? Fees.defaultCap(baseFeeWei: market.baseFeeWei, tipWei: market.tipWei)
    func limits(charges: Int, payments: Int, transactions: Int) -> Manifest.Limits {
      Manifest.Limits(
        maxTransactions: transactions, gasPerTransaction: maxGas, maxFeePerGasWei: cap,
        chargesPerTransaction: charges, paymentsPerTransaction: payments, expires: expires)
    }
    func build(_ limits: Manifest.Limits) throws -> Manifest {
      try ManifestBuilder.build(
        facts, ManifestBuilder.Options(settler: settler, limits: limits, minimums: options.minimums)
      )
    }
    // Who is in it does not depend on the limits, and the limits on who is in it.
    let draft = try build(limits(charges: 1, payments: 1, transactions: 1_000_000))
    let pool = try await reader.pool(upTo: facts.plannedAt.number)
    try await check.checkTotals(
      at: facts.plannedAt, pool: pool,
      charged: Dictionary(
        uniqueKeysWithValues: draft.charges.map { ($0.user, $0.charged) }),
      paid: Dictionary(
        uniqueKeysWithValues: draft.payees.map { ($0.address, $0.paidBefore) }))
    _ = try await check.nextNonce(
      of: settler, last: try await reader.lastNonce(of: settler), lastFinal: nil)
    let sizer = ChunkSizer(
      chain: chain, vault: facts.vault, settler: settler, maxGas: maxGas)
    let charges = try await sizer.charges(draft.charges)
    let payments = try await sizer.payments(draft.payees, pool: pool)
    let sized = try build(
      limits(charges: charges, payments: payments, transactions: 1_000_000))
    let needed =
      sized.chargeChunks.count + (sized.payeeCount + payments - 1) / payments
    // Room for payloads that revert and are owed again.
    let manifest = try build(
      limits(charges: charges, payments: payments, transactions: max(1, needed) * 2))
    let gas = try await sizer.gas(of: manifest)
    let price = try market.baseFeeWei.adding(market.tipWei)
    let most = try cap.multiplied(by: UInt256(maxGas))
      .multiplied(by: UInt256(UInt64(manifest.limits.maxTransactions)))
    Self.log(
      "\(needed) transactions, about \(PRLX.text(try price.multiplied(by: UInt256(gas)))) ETH for gas today"
        + " (\(gas) gas at \(Fees.gweiText(price)) gwei) and never more than \(PRLX.text(most)) ETH,"
        + " to pay at most \(PRLX.text(manifest.payoutsMaxTotal)) PRLX"
    )
    return manifest
  }

  /// Gwei as people type it: at most nine decimals.
  private func gwei(_ text: String) throws -> UInt256 {
    // PRLX has nine more decimals than gwei.
    let wei = try arguments.parsed("max-fee", text) { try PRLX.wei($0) }
    let (value, rest) = try wei.quotientAndRemainder(dividingBy: UInt256(1_000_000_000))
    guard rest == .zero, value != .zero else {
      throw UsageError("--max-fee is “\(text)”; gwei with at most nine decimals, above 0")
    }
    return value
  }

  // MARK: show

  func show() async throws {
    let reader = try reader(try await openLedger())
    try await show(try arguments.epoch(at: 1), reader)
  }

  func show(_ epoch: UInt64, _ reader: LedgerReader) async throws {
    let view = try await view(epoch, reader)
    print(view.output, view.text)
  }

  func view(_ epoch: UInt64, _ reader: LedgerReader) async throws -> EpochView {
    let policy = try policyIfConfigured()
    return try await EpochView.read(
      epoch, reader, required: policy?.required, now: UInt64(clamping: clock.nowMs() / 1_000))
  }

  // MARK: approve

  func approve() async throws {
    let epoch = try arguments.epoch(at: 1)
    let connection = try await openLedger()
    let reader = try reader(connection)
    let verifier = PlanVerifier(reader: reader)
    let plan = try await verifier.read(epoch)
    let policy = try policy()
    if let path = arguments.optional("export") {
      let file = ApprovalFile(Approval(plan.manifest), manifest: plan.manifest)
      try FileError.write(file.text, to: path)
      return print(
        .object([("epoch", .number(epoch)), ("manifest", .string(plan.manifest.hash.hex))]),
        "wrote \(path): sign its typed_data, put the result into its signature, then approve --import"
      )
    }
    try plan.checkPlan(policy, now: UInt64(clamping: clock.nowMs() / 1_000))
    try await verifier.rebuild(plan)
    let signature: Signature
    if let path = arguments.optional("import") {
      let (manifest, signed) = try ApprovalFile.read(path)
      guard manifest == plan.manifest.hash else {
        throw SettlerError.otherManifest(asked: manifest, current: plan.manifest.hash)
      }
      signature = signed
    } else {
      let asked = try arguments.parsed("manifest", try manifestHash()) { try Hash32(hex: $0) }
      guard asked == plan.manifest.hash else {
        throw SettlerError.otherManifest(asked: asked, current: plan.manifest.hash)
      }
      let key = try loadKey()
      guard policy.approvers.contains(key.address) else {
        throw SettlerError.notAnApprover(key.address)
      }
      signature = try Approval(plan.manifest).signed(by: key)
    }
    let approver = try plan.approver(policy, signature: signature)
    let approved = plan.approvers(policy).union([approver])
    try await SettlerSQL(connection: connection).storeApproval(
      plan.manifest.hash, approver: approver, signature: signature.bytes,
      complete: approved.count >= policy.required)
    Self.log("\(approver) approved; \(approved.count) of \(policy.required) approvals")
    try await show(epoch, reader)
  }

  /// An approver names what was looked at.
  private func manifestHash() throws -> String {
    guard let hash = arguments.optional("manifest") else {
      throw UsageError("--manifest HASH is missing: name what you looked at with settler show")
    }
    return hash
  }

  func revoke() async throws {
    let epoch = try arguments.epoch(at: 1)
    let connection = try await openLedger()
    let reader = try reader(connection)
    let plan = try await PlanVerifier(reader: reader).read(epoch)
    let key = try loadKey()
    guard plan.approvals.contains(where: { $0.approver == key.address }) else {
      throw SettlerError.notApproved(epoch, by: key.address)
    }
    try await SettlerSQL(connection: connection).revokeApproval(
      plan.manifest.hash, approver: key.address)
    try await show(epoch, reader)
  }
}
