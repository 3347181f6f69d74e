import Credits
import Ethereum
import Synchronization
import TestSupport
import Testing

@testable import Settler

/// SIGTERM and Ctrl-C: a run ends between two steps, never within one.
@Suite struct StopTests {
  /// A chain that is out of reach, so that every step ends with waiting; counts the steps.
  private final class SilentChain: SettlementChain {
    let steps = Atomic(0)

    func fees() async throws -> (baseFeeWei: UInt256, tipWei: UInt256) {
      steps.add(1, ordering: .relaxed)
      throw ChainUnavailable("no answer")
    }

    func chainID() async throws -> UInt64 { throw ChainUnavailable("") }
    func hasCode(_: Address, at _: Hash32) async throws -> Bool { throw ChainUnavailable("") }
    func call(_: Address, _: [UInt8], at _: Hash32) async throws -> [UInt8] {
      throw ChainUnavailable("")
    }
    func nonce(of _: Address, at _: Hash32) async throws -> UInt64 { throw ChainUnavailable("") }
    func latestNonce(of _: Address) async throws -> UInt64 { throw ChainUnavailable("") }
    func pendingNonce(of _: Address) async throws -> UInt64 { throw ChainUnavailable("") }
    func balance(of _: Address) async throws -> UInt256 { throw ChainUnavailable("") }
    func simulate(from _: Address, to _: Address, data _: [UInt8]) async throws {}
    func estimateGas(from _: Address, to _: Address, data _: [UInt8]) async throws -> UInt64 {
      throw ChainUnavailable("")
    }
    func inclusion(of _: Hash32) async throws -> SendState.Inclusion? { nil }
    func provenReceipts(of _: Hash32, header _: [UInt8]) async throws -> ProvenBlock {
      throw ChainUnavailable("")
    }
    func send(_: [UInt8]) async -> [SendAnswer] { [] }
  }

  /// Time that passes at once; counts the waits.
  private final class QuickClock: SettlerClock {
    let waits = Atomic(0)
    func nowMs() -> Int64 { Int64(waits.load(ordering: .relaxed)) }
    func sleep(ms: Int64) async throws { waits.add(1, ordering: .relaxed) }
  }

  @Test
  func `a stop is obeyed before the first step and between steps, and the time is up without one`()
    async throws
  {
    try await TestDatabase.with { database in
      let connection = try await database.connect()
      let sql = SettlerSQL(connection: connection)
      let manifest = try manifest(epoch: 1)
      try await sql.setSplit(manifest.split, from: nil)
      _ = try await sql.closeEpoch()
      try await sql.tally(1)
      try await sql.storePlan(
        manifest, planner: planner.address, signature: try Plan(manifest).signed(by: planner).bytes,
        again: false)
      try await sql.storeApproval(
        manifest.hash, approver: approver.address,
        signature: try Approval(manifest).signed(by: approver).bytes, complete: true)
      let reader = LedgerReader(connection: connection, chainID: 1, vault: manifest.vault)
      let plan = try await PlanVerifier(reader: reader).read(1)
      for stopAfter in [0, 1, 3] {
        let (chain, clock) = (SilentChain(), QuickClock())
        let run = SettlementRun(
          epoch: 1, plan: plan, key: settler, reader: reader, sql: sql, chain: chain, clock: clock,
          log: { _ in })
        let outcome = try await run.run(until: .final, deadlineMs: nil) {
          clock.waits.load(ordering: .relaxed) == stopAfter
        }
        #expect(outcome == .stopped)
        #expect(chain.steps.load(ordering: .relaxed) == stopAfter)
      }
      let run = SettlementRun(
        epoch: 1, plan: plan, key: settler, reader: reader, sql: sql, chain: SilentChain(),
        clock: QuickClock(), log: { _ in })
      let outcome = try await run.run(until: .final, deadlineMs: 5) { false }
      #expect(outcome == .timeIsUp(waitingFor: "an endpoint: no answer"))
    }
  }

  // MARK: Help

  private let planner: PrivateKey
  private let approver: PrivateKey
  private let settler: PrivateKey

  /// Dev keys, worth nothing anywhere.
  init() throws {
    planner = try PrivateKey([UInt8](repeating: 1, count: 32))
    approver = try PrivateKey([UInt8](repeating: 2, count: 32))
    settler = try PrivateKey([UInt8](repeating: 3, count: 32))
  }

  /// A manifest of nothing: what stops a run does not depend on what it pays.
  private func manifest(epoch: UInt64) throws -> Manifest {
    func address(_ byte: UInt8) throws -> Address {
      try Address([UInt8](repeating: byte, count: 20))
    }
    return try Manifest(
      ledger: Hash32.keccak([1]), chainID: 1, vault: try address(0xaa), token: try address(0xbb),
      settler: settler.address, method: .vault, epoch: epoch, predecessor: nil,
      plannedAt: Manifest.BlockReference(number: 1, hash: Hash32.keccak([2])),
      split: try Split(
        operatorsBasisPoints: 8500, treasuryBasisPoints: 1000, infrastructureBasisPoints: 500,
        treasuryWallet: try address(0xee), infrastructureWallet: try address(0xdd)),
      gross: .zero, totals: ByRole(repeating: .zero),
      limits: Manifest.Limits(
        maxTransactions: 2, gasPerTransaction: 1_000_000, maxFeePerGasWei: UInt256(1_000_000_000),
        chargesPerTransaction: 1, paymentsPerTransaction: 1, expires: 4_000_000_000),
      options: Manifest.Options(minPayoutWei: .zero, minChargeWei: .zero), charges: [], payees: [],
      heldBack: [])
  }
}
