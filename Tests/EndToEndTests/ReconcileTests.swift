import Ethereum
import Foundation
import JSON
import Postgres
import TestSupport
import Testing

/// `auditor reconcile` on a ledger that has seen everything: 0 wei; one wei changed anywhere: exit 1, and the subject's name.
@Suite struct ReconcileTests {
  @Test func `one wei anywhere is found, with the account or the epoch`() async throws {
    try await World.with(["--accounts", "8", "--block-time", "0.2", "--finality-lag", "4"]) {
      world in
      try await world.ok("indexer migrate")
      let indexer = try await world.start("indexer run --listen 127.0.0.1:0 --poll 100ms")
      let story = Story(world: world)
      try await story.deposits()
      // Tokens that nobody deposited: listed, never credited, and no difference.
      let stranger = world.devnet.all("user")[7]
      let gift = try await world.devnet.mined(
        world.devnet.transfer(stranger, to: world.devnet.vault, 12_345))
      try await story.books()
      try await story.usage(1)
      try await story.leave()
      try await story.approve(1)
      try await world.ok("settler run 1 --key KEY:settler --timeout 5m")
      try await story.usage(2)
      _ = try await eventually("the gift to be final") {
        try await world.isTrue(
          "SELECT min(applied_to) >= \(gift.blockNumber) FROM credits.watermark") ? true : nil
      }
      #expect(await indexer.end() == 0)

      let table = try await world.ok("auditor reconcile")
      #expect(table.contains("unattributed transfer of 12345 wei"), "\(table)")
      let found = try await world.json("auditor reconcile")
      #expect(found["difference"]?.string == "0", "\(found)")
      #expect(found["breaks"]?.array == [])
      for line in found["identities"]?.array ?? [] { #expect(line["difference"]?.string == "0") }
      #expect((found["identities"]?.array?.count ?? 0) >= 7)

      let user = world.devnet.all("user")[2].address
      let operator1 = world.devnet.all("operator")[0].address
      for tamper in Self.tampers(user, operator1) { try await check(tamper, world) }
      #expect(try await world.json("auditor reconcile")["difference"]?.string == "0")
    }
  }

  private struct Tamper {
    let change: String
    let undo: String
    /// The subject that the break must name.
    let subject: String
  }

  private static func tampers(_ user: Address, _ payee: Address) -> [Tamper] {
    func add(
      _ table: String, _ column: String, _ filter: String, names subject: String
    ) -> Tamper {
      Tamper(
        change: "UPDATE credits.\(table) SET \(column) = \(column) + 1 WHERE \(filter)",
        undo: "UPDATE credits.\(table) SET \(column) = \(column) - 1 WHERE \(filter)",
        subject: subject)
    }
    let account = "account = credits.parse_address('\(user)')"
    let first =
      "(SELECT min(event_id) FROM credits.chain_event WHERE \(account) AND status = 'final'"
    return [
      add("balance", "spendable", account, names: user.checksummed),
      add("balance", "unsettled", account, names: user.checksummed),
      add("balance", "held", account, names: user.checksummed),
      add("payee", "paid", "payee = credits.parse_address('\(payee)')", names: payee.checksummed),
      add("payee", "operator", "payee = credits.parse_address('\(payee)')", names: "operators"),
      add("epoch_account", "debits", "epoch = 1 AND \(account)", names: "epoch 1"),
      add("accrual", "amount", "epoch = 1 AND role = 'treasury'", names: "epoch 1"),
      add("debit", "cost", "epoch = 1 AND \(account) AND request_id = 'e1-2'", names: "epoch 1"),
      add(
        "debit", "cost", "epoch = 2 AND \(account) AND request_id = 'e2-2'", names: user.checksummed
      ),
      add(
        "posting", "amount",
        "account = 'vault' AND entry_id = (SELECT min(entry_id) FROM credits.posting WHERE account = 'vault')",
        names: "vault"),
      add(
        "chain_event", "amount", "event_id = \(first) AND kind = 'charged')",
        names: user.checksummed),
      add("chain_event", "amount", "event_id = \(first) AND kind = 'deposit')", names: "vault"),
    ]
  }

  /// Changes a fact as only a superuser can, past triggers and grants, looks, and changes it back.
  private func check(_ tamper: Tamper, _ world: World) async throws {
    try await force(tamper.change, world)
    let output = try await world.run("auditor reconcile --json")
    try await force(tamper.undo, world)
    #expect(output.code == 1, "\(tamper.change): \(output.stdout.prefix(300)) \(output.stderr)")
    let found = try JSONValue(parsing: output.stdout.trimmingCharacters(in: .newlines))
    let subjects = (found["breaks"]?.array ?? []).compactMap { $0["subject"]?.string }
    #expect(
      subjects.contains { $0.contains(tamper.subject) },
      "\(tamper.change) should name \(tamper.subject), named \(subjects)")
    #expect(found["difference"]?.string != "0")
  }

  private func force(_ sql: String, _ world: World) async throws {
    let db = try await world.database.connect()
    try await db.script("SET session_replication_role = replica")
    try await db.run(sql)
  }
}
