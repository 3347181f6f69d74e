import Credits
import Ethereum
import Foundation
import TestSupport
import Testing

@testable import Settler

@Suite struct EpochReportTests {
  static let row = EpochRow(
    epoch: 3, state: .paying, openedAt: "2026-01-01T00:00:00Z", closedAt: "2026-02-01T00:00:00Z",
    isTallied: true, debits: 2, gross: SignedWei(wei(1_000)),
    totals: ByRole(
      operator: SignedWei(wei(850)), infrastructure: SignedWei(wei(50)),
      treasury: SignedWei(wei(100))))

  static func transaction(
    _ kind: String, _ chunk: Int, _ state: TransactionRow.State, nonce: UInt64 = 4,
    block: UInt64? = nil
  ) -> TransactionRow {
    TransactionRow(
      id: 1, nonce: nonce, kind: kind, chunk: chunk, recipient: ScriptedVault.vault, value: .zero,
      data: [], gasLimit: 21_000, state: state, outcomeHash: block.map { _ in .keccak([9]) },
      outcomeBlock: block, outcomeBlockHash: block.map { _ in .keccak([8]) }, gasUsed: nil,
      gasPriceWei: nil, attempts: [])
  }

  static func report(
    reason: String = "sanctions list", explorer: String? = "https://explorer.example"
  ) throws -> EpochReport {
    let manifest = try Facts.manifest { $0.held = [Facts.operator2: reason] }
    let payments = try manifest.payments(pool: wei(1_000), paidTotals: [:])
    let view = try EpochView(
      epoch: row, manifest: manifest,
      waterfall: WaterfallRow(block: 9, blockHash: .keccak([3]), pool: wei(1_000)), paidBefore: [:],
      payouts: payments.filter { $0.delta != .zero }.map {
        PayoutRow(payee: $0.payee, amount: $0.delta, total: $0.paid, chunk: 0)
      }, transactions: [transaction("pay", 0, .final, block: 12)], collected: wei(1_000),
      waitingFor: nil)
    return EpochReport(
      view: view, split: manifest.split, settler: Keys.settler.address,
      approvers: Keys.approvers.map(\.address),
      work: [
        EpochReport.Work(
          wallet: Facts.operator1, requests: 3, inputTokens: "10", outputTokens: "20",
          gross: SignedWei(wei(600)), carryOut: .zero, share: SignedWei(wei(510))),
        EpochReport.Work(
          wallet: nil, requests: 1, inputTokens: "1", outputTokens: "2", gross: .zero,
          carryOut: .zero, share: .zero),
      ], shortfalls: [], late: EpochReport.Counted(count: 0, sum: .zero),
      uncollected: EpochReport.Counted(count: 0, sum: .zero), exposure: .zero, explorer: explorer)
  }

  /// RFC 4180, read by Python's csv module: another implementation than the writer's.
  static func parsed(_ csv: String) throws -> [[String]] {
    let file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: file) }
    try Data(csv.utf8).write(to: file)
    return try Python.lines("csv_rows.py", [file.path]).map {
      try JSONDecoder().decode([String].self, from: Data($0.utf8))
    }
  }

  static let hostile = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onload='x", "&lt;",
    "<\u{301}script>", "\"\u{301},9,payee", "x\n3,payee,0x00,operator,,,,1,1,1,", "x\r3,payee",
    "x\r\n3,payee", "a,b", "=HYPERLINK(\"http://x\")", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1",
    "\n=1",
  ]

  @Test(arguments: hostile) func `a hostile hold reason is text in HTML`(_ reason: String) throws {
    let honest = try Self.report().html
    let html = try Self.report(reason: reason).html
    func marks(_ text: String) -> [Unicode.Scalar: Int] {
      text.unicodeScalars.reduce(into: [:]) { counts, scalar in
        if "<>\"".unicodeScalars.contains(scalar) { counts[scalar, default: 0] += 1 }
      }
    }
    // Not a tag, attribute or quote more than with an honest reason.
    #expect(marks(html) == marks(honest))
    #expect(!html.contains("<script"))
  }

  @Test(arguments: hostile) func `a hostile hold reason is one cell of the CSV, and no formula`(
    _ reason: String
  ) throws {
    let honest = try Self.parsed(Self.report().csv)
    let rows = try Self.parsed(Self.report(reason: reason).csv)
    #expect(rows.count == honest.count)
    #expect(rows.allSatisfy { $0.count == rows[0].count })
    #expect(rows.contains { $0[1] == "held back" && $0.last == "held: " + reason })
    for cell in rows.flatMap({ $0 }) where SignedWei(cell) == nil {
      #expect(!["=", "+", "-", "@", "\t", "\r", "\n"].contains(cell.unicodeScalars.first))
    }
  }

  @Test(arguments: ["=1+1", "-1+1", "@x", "\r\nx", "\n=1"])
  func `a cell that would be run is marked as text`(
    _ text: String
  ) throws {
    let field = EpochReport.csvField(text)
    #expect(field.unicodeScalars.first == "'" || field.hasPrefix("\"'"))
    #expect(EpochReport.csvField("-12") == "-12")
    #expect(EpochReport.csvField("12") == "12")
  }

  @Test func `the explorer's address cannot leave its attribute`() throws {
    let html = try Self.report(explorer: "https://x\" onclick=\"alert(1)").html
    #expect(!html.contains("\" onclick"))
  }

  @Test func `sums of the report are those of the manifest`() throws {
    let manifest = try Facts.manifest { $0.held = [Facts.operator2: "sanctions list"] }
    let rows = try Self.parsed(Self.report().csv)
    let header = try #require(rows.first)
    func sum(_ line: String, _ column: String) throws -> UInt256 {
      let index = try #require(header.firstIndex(of: column))
      return try rows.filter { $0[1] == line }.reduce(.zero) {
        try $0.adding(#require(UInt256(decimal: $1[index])))
      }
    }
    #expect(try sum("payee", "owed_wei") == manifest.payoutsMaxTotal)
    #expect(try sum("payee", "paid_wei") == wei(1_000 - 340))
    #expect(try sum("held back", "owed_wei") == wei(340))
    #expect(try sum("payee", "accrued_wei").adding(wei(340)) == manifest.gross.magnitude)
    let view = try Self.report().view
    #expect(view.carried == wei(340))
    #expect(view.charges.planned == manifest.chargesPlannedTotal)
  }

  @Test func `fallback's share of the requests is shown`() throws {
    #expect(try Self.report().fallbackShareBasisPoints == 2_500)
    #expect(try Self.report().html.contains("fallback 25.00 %"))
  }
}

@Suite struct EpochViewTests {
  private static func waits(
    _ state: EpochRow.State, tallied: Bool = true, approvals: Int = 0, required: Int? = 2,
    isExpired: Bool = false, _ transactions: [TransactionRow] = [], appliedTo: UInt64? = 10
  ) -> String? {
    EpochView.waiting(
      EpochRow(
        epoch: 3, state: state, openedAt: "", closedAt: nil, isTallied: tallied, debits: 0,
        gross: .zero, totals: ByRole(repeating: .zero)),
      approvals: approvals, required: required, isExpired: isExpired, transactions,
      appliedTo: appliedTo)
  }

  @Test func `it says what comes next`() {
    typealias Report = EpochReportTests
    #expect(Self.waits(.open) == "settler epoch close")
    #expect(Self.waits(.closed, tallied: false) == "its sums (settler epoch close)")
    #expect(Self.waits(.closed) == "a plan (settler plan 3)")
    #expect(
      Self.waits(.planned, approvals: 1)
        == "1 of 2 approvals (settler approve 3 --manifest HASH)")
    #expect(
      Self.waits(.planned, approvals: 1, required: nil)
        == "approvals, 1 so far (settler approve 3 --manifest HASH)")
    for state in [.planned, .approved] as [EpochRow.State] {
      #expect(
        Self.waits(state, isExpired: true)
          == "a new plan, this one has expired (settler plan 3 --again)")
    }
    // What was begun is finished.
    #expect(Self.waits(.charging, isExpired: true) == "the next transactions (settler run 3)")
    #expect(Self.waits(.approved) == "sending (settler run 3)")
    #expect(Self.waits(.charging) == "the next transactions (settler run 3)")
    #expect(
      Self.waits(
        .charging,
        [Report.transaction("charge", 0, .final), Report.transaction("charge", 1, .unknown)])
        == "charge 1 with nonce 4 to be mined")
    let mined = Report.transaction("pay", 0, .mined, block: 11)
    #expect(Self.waits(.paying, [mined]) == "block 11 to be final (indexer at 10)")
    #expect(
      Self.waits(.paying, [mined], appliedTo: nil) == "block 11 to be final (indexer at none)")
    #expect(
      Self.waits(.paying, [mined], appliedTo: 11) == "block 11 to be read by settler run 3")
    #expect(Self.waits(.final) == nil)
    #expect(Self.waits(.cancelled) == nil)
  }
}
