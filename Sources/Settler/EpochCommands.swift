import Credits
import Ethereum
import Foundation
import JSON
import Postgres
import Service

extension SettlerProgram {
  // MARK: split

  func split() async throws {
    switch arguments.words.dropFirst().first {
    case "set": try await setSplit()
    case "list": try await listSplits()
    default: throw UsageError("settler split set … or split list")
    }
  }

  private func setSplit() async throws {
    let split = try splitOfArguments()
    let connection = try await openLedger()
    try await SettlerSQL(connection: connection).setSplit(split, from: try arguments.time("from"))
    try await listSplits(connection)
  }

  private func splitOfArguments() throws -> Split {
    func basisPoints(_ name: String) throws -> Int {
      let text = try arguments.required(name)
      guard let number = Int(text) else {
        throw UsageError("--\(name) is “\(text)”, not basis points")
      }
      return number
    }
    let fallback = arguments.optional("fallback-to") ?? "infrastructure"
    guard let fallbackTo = Split.FallbackRole(rawValue: fallback) else {
      throw UsageError("--fallback-to is “\(fallback)”; infrastructure or treasury")
    }
    do {
      return try Split(
        operatorsBasisPoints: try basisPoints("operators"),
        treasuryBasisPoints: try basisPoints("treasury"),
        infrastructureBasisPoints: try basisPoints("infrastructure"),
        treasuryWallet: try arguments.requiredAddress("treasury-wallet"),
        infrastructureWallet: try arguments.requiredAddress("infrastructure-wallet"),
        fallbackTo: fallbackTo)
    } catch let error as SplitError {
      throw UsageError("\(error)")
    }
  }

  private func listSplits(_ open: PostgresConnection? = nil) async throws {
    let connection: PostgresConnection
    if let open { connection = open } else { connection = try await openLedger() }
    let reader = LedgerReader(connection: connection, chainID: 0, vault: .zero)
    let rows = try await reader.splits()
    let output = JSONValue.array(
      rows.map { row in
        .object([
          ("operators", .number(row.split.operatorsBasisPoints)),
          ("treasury", .number(row.split.treasuryBasisPoints)),
          ("infrastructure", .number(row.split.infrastructureBasisPoints)),
          ("treasury_wallet", .string(row.split.treasuryWallet.checksummed)),
          ("infrastructure_wallet", .string(row.split.infrastructureWallet.checksummed)),
          ("fallback_to", .string(row.split.fallbackTo.rawValue)),
          ("from", .optional(row.validFrom)), ("to", .optional(row.validTo)),
        ])
      })
    let lines = rows.map { row in
      "\(row.validFrom ?? "always") to \(row.validTo ?? "further notice"): operators \(row.split.operatorsBasisPoints),"
        + " treasury \(row.split.treasuryBasisPoints) (\(row.split.treasuryWallet)),"
        + " infrastructure \(row.split.infrastructureBasisPoints) (\(row.split.infrastructureWallet)),"
        + " fallback to \(row.split.fallbackTo.rawValue)"
    }
    print(
      .object([("splits", output)]),
      lines.isEmpty ? "no split is set; see settler split set" : lines.joined(separator: "\n"))
  }

  // MARK: epoch

  func epoch() async throws {
    switch arguments.words.dropFirst().first {
    case "close": try await closeEpoch()
    case "list":
      let reader = LedgerReader(connection: try await openLedger(), chainID: 0, vault: .zero)
      let epochs = try await reader.epochs()
      print(
        .object([("epochs", .array(epochs.map { .object($0.output) }))]),
        epochs.map {
          "epoch \($0.epoch): \($0.state.rawValue), gross \(PRLX.text($0.gross)) PRLX,"
            + " opened \($0.openedAt)" + ($0.closedAt.map { ", closed \($0)" } ?? "")
        }.joined(separator: "\n"))
    default: throw UsageError("settler epoch list or epoch close")
    }
  }

  /// Finishes an epoch that was cut and not added up, or cuts the open one and adds it up. So running it again after
  /// a failure never closes another epoch by surprise.
  private func closeEpoch() async throws {
    let connection = try await openLedger()
    let sql = SettlerSQL(connection: connection)
    let reader = LedgerReader(connection: connection, chainID: 0, vault: .zero)
    let unfinished = try await reader.epochs().first { $0.state == .closed && !$0.isTallied }
    let closed: UInt64
    if let unfinished {
      Self.log("epoch \(unfinished.epoch) was cut before; adding it up")
      closed = unfinished.epoch
    } else {
      closed = try await cut(sql)
    }
    try await sql.tally(closed)
    let epochs = try await reader.epochs()
    guard let row = epochs.first(where: { $0.epoch == closed }) else {
      throw SettlerError.noSuchEpoch(closed)
    }
    let next = epochs.first { $0.state == .open }?.epoch ?? closed + 1
    print(
      .object(row.output + [("next", .number(next))]),
      "epoch \(closed) closed: \(row.debits) debits, gross \(PRLX.text(row.gross)) PRLX; epoch \(next) is open"
    )
  }

  /// The cut gives way to spending (`lock_timeout` in the function), so it is tried for a minute.
  private func cut(_ sql: SettlerSQL) async throws -> UInt64 {
    for attempt in 0..<120 {
      do {
        return try await sql.closeEpoch().epoch
      } catch let error as PostgresError where error.sqlState == "55P03" {
        if attempt == 0 { Self.log("spending holds the fence; trying again") }
        try await clock.sleep(ms: 500)
      }
    }
    throw SettlerError.fenceBusy
  }

  // MARK: hold, cancel

  func hold(_ held: Bool) async throws {
    let payee = try arguments.parsedWord(at: 1, "the payee") { try Address($0) }
    let reason = arguments.optional("reason")
    guard !held || reason?.isEmpty == false else { throw UsageError("--reason is missing") }
    let connection = try await openLedger()
    try await SettlerSQL(connection: connection).hold(payee, held: held, reason: reason)
    print(
      .object([("payee", .string(payee.checksummed)), ("held", .bool(held))]),
      held ? "\(payee) is not paid until unhold; what it is owed is kept" : "\(payee) is paid again"
    )
  }

  func holds() async throws {
    let reader = LedgerReader(connection: try await openLedger(), chainID: 0, vault: .zero)
    let rows = try await reader.holds()
    print(
      .object([
        (
          "holds",
          .array(
            rows.map {
              .object([
                ("payee", .string($0.payee.checksummed)), ("reason", .string($0.reason)),
                ("since", .string($0.since)),
              ])
            })
        )
      ]),
      rows.isEmpty
        ? "no payee is held"
        : rows.map { "\($0.payee) since \($0.since): \($0.reason.onOneLine)" }.joined(
          separator: "\n"))
  }

  func cancel() async throws {
    let epoch = try arguments.epoch(at: 1)
    guard let reason = arguments.optional("reason"), !reason.isEmpty else {
      throw UsageError("--reason is missing")
    }
    let connection = try await openLedger()
    try await SettlerSQL(connection: connection).cancel(epoch, reason: reason)
    print(
      .object([("epoch", .number(epoch)), ("state", .string("cancelled"))]),
      "epoch \(epoch) is cancelled; what it accrued stays owed and is in the next plan")
  }
}
