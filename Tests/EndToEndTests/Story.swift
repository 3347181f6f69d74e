import Ethereum
import Foundation
import JSON
import TestSupport

/// What happens in a world from the first deposit to the last payout: the same figures whenever it is told.
struct Story {
  let world: World
  static let epochs = 3
  static let users = 8
  private var devnet: Devnet { world.devnet }
  private var users: [Devnet.Account] { Array(devnet.all("user").prefix(Self.users)) }

  private static let prlx = UInt256(1_000_000_000_000_000_000)

  /// Deposits, withdrawals, and one deposit that leaves the chain and comes back in another block.
  func deposits() async throws {
    var sent: [Hash32] = []
    for (number, user) in users.enumerated() {
      let wei = try Self.prlx.multiplied(by: UInt256(UInt64(number + 2))).adding(7)
      sent.append(try await devnet.deposit(user, wei))
    }
    for hash in sent { _ = try await devnet.mined(hash) }
    for user in users.prefix(2) {
      _ = try await devnet.mined(devnet.withdraw(user, Self.prlx))
    }
    let again = try await devnet.mined(devnet.deposit(users[3], Self.prlx))
    try await devnet.setHead(again.blockNumber - 1)
    _ = try await devnet.mined(again.transaction)
    try await settled(
      "SELECT coalesce(sum(spendable), 0) = 43 * 10^18::numeric + 56 FROM credits.balance")
  }

  /// Prices, nodes and the split.
  func books() async throws {
    let wallets = try ["treasury", "infrastructure"].map { try devnet.only($0).address.checksummed }
    try await world.ok(
      "settler split set --operators 8500 --treasury 1000 --infrastructure 500 --treasury-wallet \(wallets[0]) --infrastructure-wallet \(wallets[1])"
    )
    for (model, price) in [("small", "0.002"), ("large", "0.02")] {
      for unit in ["input_token", "output_token"] {
        try await world.ok("meter price set \(model) --unit \(unit) --prlx \(price) --per 1000")
      }
    }
    try await world.ok("meter price set painter --unit image --prlx 0.05")
    for number in 0..<6 {
      let wallet = devnet.all("operator")[number % 3].address.checksummed
      try await world.ok("meter node set node-\(number) \(wallet)")
    }
  }

  /// The same names as the demo's: the README's lines run in both.
  func demoBooks() async throws {
    try await books()
    for (model, price) in [("atlas-8b", "0.002"), ("atlas-70b", "0.02")] {
      for unit in ["input_token", "output_token"] {
        try await world.ok("meter price set \(model) --unit \(unit) --prlx \(price) --per 1000")
      }
    }
    try await world.ok("meter price set pixel-1 --unit image --prlx 0.01")
    for number in 0..<3 {
      let wallet = devnet.all("operator")[number].address.checksummed
      try await world.ok("meter node set node-0\(number) \(wallet)")
    }
  }

  /// Usage of one epoch, sent twice: the second time nothing is debited.
  func usage(_ epoch: Int) async throws {
    let lines = Self.records(epoch, users).joined()
    let answers = try await world.ok("meter ingest", stdin: lines)
    guard !answers.contains("\"conflict\""), answers.contains("\"ok\"") else {
      throw TestFailure("ingest answered \(answers.prefix(500))")
    }
    let again = try await world.ok("meter ingest", stdin: lines)
    guard !again.contains("\"ok\"") else {
      throw TestFailure("usage was debited twice: \(again.prefix(500))")
    }
  }

  /// One user's deposit and usage, closed, planned and approved; for a chain that mines what it is sent.
  func smallEpoch() async throws {
    _ = try await devnet.mined(devnet.deposit(users[0], Self.prlx))
    try await devnet.mine(5)
    try await settled("SELECT sum(spendable) = 10^18::numeric FROM credits.balance")
    let answers = try await world.ok(
      "meter ingest", stdin: Self.records(1, [users[0]]).prefix(12).joined())
    guard answers.contains("\"ok\"") else { throw TestFailure("ingest answered \(answers)") }
    try await approve(1)
  }

  /// From the first epoch on one user leaves with more than is left.
  func leave() async throws {
    let leaver = users[5]
    let held = try await devnet.vault("balanceOf", leaver.address)
    _ = try await devnet.mined(devnet.withdraw(leaver, held))
    try await settled(
      "SELECT bool_and(debt > 0) FROM credits.balance WHERE debt > 0 HAVING count(*) > 0")
  }

  /// Waits until the condition holds and no chain event is left to be applied.
  private func settled(_ condition: String) async throws {
    _ = try await eventually("the ledger to say: \(condition)") {
      try await world.isTrue(
        "coalesce((\(condition)), false) AND NOT EXISTS (SELECT FROM credits.chain_event WHERE status IN ('pending', 'applied'))"
      ) ? true : nil
    }
  }

  /// Closes the epoch and has it planned and approved.
  func approve(_ epoch: Int) async throws {
    try await world.ok("settler epoch close")
    let plan = try await world.json("settler plan \(epoch) --key KEY:planner --max-gas 150000")
    guard let manifest = plan["manifest"]?.string else {
      throw TestFailure("no manifest in \(plan)")
    }
    for approver in ["approver1", "approver2"] {
      try await world.ok("settler approve \(epoch) --manifest \(manifest) --key KEY:\(approver)")
    }
  }

  private static func records(_ epoch: Int, _ users: [Devnet.Account]) -> [String] {
    (0..<90).map { number in
      let account = users[number % users.count].address.checksummed
      let node = number % 10 == 9 ? "fallback" : "node-\(number % 6)"
      let work =
        number % 15 == 0
        ? "\"model\":\"painter\",\"units\":{\"image\":\(1 + number % 3)}"
        : "\"model\":\"\(number % 4 == 0 ? "large" : "small")\",\"input_tokens\":\(17 + 331 * number),\"output_tokens\":\(5 + 47 * number)"
      return
        "{\"request_id\":\"e\(epoch)-\(number)\",\"account\":\"\(account)\",\"node\":\"\(node)\",\(work)}\n"
    }
  }

  // MARK: The end

  /// Everything about the end that does not depend on which block a transaction fell into.
  func ending() async throws -> [String] {
    var lines: [String] = []
    for (name, sql) in [
      ("balance", "SELECT account, spendable, held, unsettled, debt, pending FROM credits.balance"),
      ("payee", "SELECT payee, operator, infrastructure, treasury, paid FROM credits.payee"),
      (
        "epoch",
        "SELECT epoch, state, debits, gross, operators, treasury, infrastructure FROM credits.epoch"
      ),
      ("accrual", "SELECT epoch, payee, role, amount FROM credits.accrual"),
      ("debit", "SELECT epoch, account, request_id, part, node, operator, cost FROM credits.debit"),
      (
        "event",
        "SELECT kind, account, amount, total, status FROM credits.chain_event WHERE status <> 'orphaned'"
      ),
      (
        "payout",
        "SELECT m.epoch, payee, amount, total FROM credits.payout JOIN credits.manifest m USING (manifest)"
      ),
      ("transaction", "SELECT epoch, kind, chunk, state FROM credits.transaction"),
      (
        "nonces",
        "SELECT count(*), count(DISTINCT nonce), max(nonce) - min(nonce) + 1 AS span FROM credits.transaction"
      ),
      ("journal", "SELECT account, sum(amount) FROM credits.posting GROUP BY account"),
      (
        "transfer",
        "SELECT sender, recipient, amount FROM credits.token_transfer WHERE orphaned_at IS NULL"
      ),
    ] {
      lines += try await world.rows(sql).map { "\(name) \($0)" }
    }
    for account in users {
      for getter in ["balanceOf", "charged"] {
        lines.append(
          "\(getter) \(account.address) \(try await devnet.vault(getter, account.address))")
      }
    }
    for role in ["operator", "treasury", "infrastructure"] {
      for account in devnet.all(role) {
        lines.append(
          "\(role) \(account.address) has \(try await devnet.tokens(of: account.address)), was paid \(try await devnet.vault("paidTotal", account.address))"
        )
      }
    }
    return lines.sorted()
  }
}
