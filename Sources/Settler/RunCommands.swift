import Credits
import Ethereum
import Foundation
import JSON
import Service
import Synchronization

extension SettlerProgram {
  /// - Parameter epoch: nil is the one in flight.
  func run(epoch asked: UInt64?) async throws -> ExitCode {
    let wait = arguments.optional("wait") ?? "final"
    guard ["final", "sent"].contains(wait) else {
      throw UsageError("--wait is “\(wait)”; final or sent")
    }
    let deadline = try arguments.durationMs("timeout").map { clock.nowMs() + $0 }
    let policy = try policy()
    let key = try loadKey()
    guard key.address == policy.settler else {
      throw SettlerError.otherKey(found: key.address, wanted: policy.settler)
    }
    let stopped = Atomic(false)
    // Not before the key is open: until then nothing is begun, and Ctrl-C ends the program at once.
    let signals = StopSignal { stopped.store(true, ordering: .relaxed) }
    defer { withExtendedLifetime(signals) {} }
    let connection = try await openLedger()
    let reader = try reader(connection)
    let inFlight = asked == nil ? try await reader.epochInFlight() : asked
    guard let epoch = inFlight else { throw SettlerError.nothingInFlight }
    let state = try await reader.epoch(epoch).state
    guard [.approved, .charging, .paying, .final].contains(state) else {
      throw SettlerError.wrongState(epoch, state, wanted: "approved")
    }
    if state == .final {
      try await show(epoch, reader)
      return .done
    }
    // Held for as long as this process lives, on a connection of its own.
    let lock = try await SettlerLock.take(try await furtherConnection())
    let run = SettlementRun(
      epoch: epoch, plan: try await PlanVerifier(reader: reader).read(epoch), key: key,
      reader: reader, sql: SettlerSQL(connection: connection), chain: try nodeChain(),
      clock: clock, log: Self.log)
    try await run.verify(policy)
    let outcome = try await run.run(
      until: wait == "sent" ? .sent : .final, deadlineMs: deadline,
      isStopped: { stopped.load(ordering: .relaxed) })
    try await lock.release()
    try await show(epoch, reader)
    switch outcome {
    case .final, .sent: return .done
    case .timeIsUp(let waitingFor):
      Self.log("time is up, waiting for \(waitingFor); run it again")
    case .stopped:
      Self.log("stopped between two steps, as asked; it is safe to run it again, it goes on here")
    }
    return .notYet
  }

  // MARK: report

  func report() async throws {
    let epoch = try arguments.epoch(at: 1)
    let reader = try reader(try await openLedger())
    let view = try await view(epoch, reader)
    guard view.epoch.state != .open else {
      throw SettlerError.wrongState(epoch, .open, wanted: "closed")
    }
    let manifest = try await reader.manifest(of: epoch)
    var approvals: [ApprovalRow] = []
    if let manifest { approvals = try await reader.approvals(of: manifest.hash) }
    let charged = try await reader.chargedTotals(upTo: try await reader.watermark().appliedTo)
    let planned = try manifest?.decoded().charges ?? []
    let report = EpochReport(
      view: view, split: try await reader.split(of: epoch),
      settler: try arguments.address("settler-address"),
      approvers: approvals.map(\.approver),
      work: try await reader.work(in: epoch),
      shortfalls: view.epoch.state == .final
        ? planned.compactMap { charge in
          let taken = charged[charge.user] ?? .zero
          guard taken < charge.spent else { return nil }
          return EpochReport.Shortfall(user: charge.user, spent: charge.spent, charged: taken)
        } : [],
      late: try await reader.late(in: epoch), uncollected: try await reader.uncollected(in: epoch),
      exposure: try await reader.exposure(), explorer: arguments.optional("explorer"))
    var written: [JSONValue] = []
    for (name, text) in [("html", { report.html }), ("csv", { report.csv })] {
      guard let path = arguments.optional(name) else { continue }
      try FileError.write(text(), to: path)
      written.append(.string(path))
    }
    guard !written.isEmpty else { return print(view.output, view.text) }
    print(
      .object([("epoch", .number(epoch)), ("written", .array(written))]),
      "wrote " + written.compactMap(\.string).joined(separator: " and "))
  }
}
