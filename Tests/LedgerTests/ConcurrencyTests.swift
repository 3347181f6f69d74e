import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct ConcurrencyTests {
  /// Sixteen clients do everything at once; nothing is lost, spent twice or spent below zero, and nobody sees a deadlock.
  @Test func `sixteen clients at once leave every identity intact`() async throws {
    let seed =
      ProcessInfo.processInfo.environment["LEDGER_SEED"].flatMap(UInt64.init)
      ?? .random(in: 0 ... .max)
    print("LEDGER_SEED=\(seed)")
    let book = try await Book.open()
    let accounts = (1...6).map { Account(0x1000 + $0) }
    for account in accounts { try await book.deposit(account, 2000) }

    let refused = try await withThrowingTaskGroup(of: [String].self) { group in
      for worker in 0..<14 {
        group.addTask {
          try await spend(
            book, accounts, worker: worker, random: SeededRandom(seed: seed &+ UInt64(worker)))
        }
      }
      group.addTask {
        try await followChain(book, accounts, random: SeededRandom(seed: seed &+ 100))
      }
      group.addTask { try await closeEpochs(book) }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(refused == [], "seed \(seed)")
    try await book.closeEpoch()
    let breaks = try await book.breaks()
    #expect(breaks == [], "seed \(seed)")
    #expect(
      try await book.line("SELECT count(*) > 300 FROM credits.debit") == "t",
      "seed \(seed): the test must debit something")
    #expect(
      try await book.line("SELECT count(DISTINCT epoch) > 1 FROM credits.debit") == "t",
      "seed \(seed): over several epochs")
  }

  @Test func `one request sent by sixteen clients at once is debited once`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    let answers = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<16 {
        group.addTask {
          try await book.client(role: "credits_meter").line(
            "SELECT status, cost FROM credits.debit('r1', \(alice), 'm', 60, 0, 'n1')")
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(answers.sorted() == ["ok 60"] + Array(repeating: "replay 60", count: 15))
    #expect(try await book.balance(alice) == "spendable 40 held 0 unsettled 60 debt 0 pending 0")
    try await book.checkIdentities()
  }

  @Test func `sixteen clients cannot spend the last wei twice`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 5)
    let answers = try await withThrowingTaskGroup(of: String.self) { group in
      for worker in 0..<16 {
        group.addTask {
          try await book.client(role: "credits_meter").line(
            "SELECT status FROM credits.debit('r\(worker)', \(alice), 'm', 1, 0, 'n1')")
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(answers.filter { $0 == "ok" }.count == 5)
    #expect(answers.filter { $0 == "insufficient" }.count == 11)
    try await book.checkIdentities()
  }

  /// finalize() counts withdrawals before deposits; it must not hold one account of the latter's order while it waits for the former's.
  @Test func `finality and a batch of debits never wait for each other`() async throws {
    let book = try await Book.open()
    let low = Account(1)
    let high = Account(2)
    try await book.deposit(low, 100)
    try await book.deposit(high, 100)
    let block = try await book.mine([.deposit(low, 5), .withdraw(high, 5)])
    try await book.run(
      "SELECT credits.cover(\(book.chain), \(vault), 'vault', 'proven', \(block), \(block))")
    let meter = try await book.client(role: "credits_meter")
    try await meter.run("BEGIN")
    #expect(
      try await meter.line("SELECT status FROM credits.debit('r1', \(low), 'm', 1, 0, 'n1')")
        == "ok")
    async let indexer: Void = book.finalize(block)
    try await book.untilSomebodyWaits()
    #expect(
      try await meter.line("SELECT status FROM credits.debit('r2', \(high), 'm', 1, 0, 'n1')")
        == "ok")
    try await meter.run("COMMIT")
    try await indexer
    try await book.checkIdentities()
  }

  /// A step records a deposit of one account and then counts a withdrawal of another, in one transaction.
  @Test func `a step of the indexer and a batch of debits never wait for each other`() async throws
  {
    let book = try await Book.open()
    let (low, high) = (Account(1), Account(2))
    try await book.deposit(low, 100)
    try await book.deposit(high, 100)
    let block = try await book.mine([.withdraw(low, 5)])
    try await book.run(
      "SELECT credits.cover(\(book.chain), \(vault), 'vault', 'proven', \(block), \(block))")
    let meter = try await book.client(role: "credits_meter")
    try await meter.run("BEGIN; SELECT credits.debit('r1', \(low), 'm', 1, 0, 'n1')")
    let indexer = try await book.client()
    let record = book.recordCall(block + 1, [.deposit(high, 5)], transaction: "t")
    async let step: Void = indexer.run(
      "BEGIN; \(record); SELECT credits.withdraw(\(book.chain), \(vault), \(block)); COMMIT")
    try await book.untilSomebodyWaits()
    #expect(
      try await meter.line("SELECT status FROM credits.debit('r2', \(high), 'm', 1, 0, 'n1')")
        == "ok")
    try await meter.run("COMMIT")
    try await step
    #expect(try await book.balance(low) == "spendable 94 held 0 unsettled 1 debt 0 pending 0")
  }

  /// Both post the difference of what was owed before and after: the other's commit in between must not enter it.
  @Test(arguments: [true, false])
  func `paying and accruing wait for each other`(tallyFirst: Bool) async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 1000)
    _ = try await book.debit("r1", alice, input: 100)
    try await book.closeEpoch()
    _ = try await book.debit("r2", alice, input: 100)
    try await book.charge(alice, 200)
    let closed = try await book.line("SELECT epoch FROM credits.epoch_close()")
    let block = try await book.mine([
      Event(kind: "paid", account: operator1, amount: "50", total: "50")
    ])
    try await book.prove(block)
    let steps = [
      "SELECT credits.epoch_tally(\(closed))",
      "SELECT credits.finalize(\(book.chain), \(vault), \(block))",
    ]
    let first = try await book.client()
    let second = try await book.client()
    try await first.run("BEGIN; \(steps[tallyFirst ? 0 : 1])")
    async let waiting: Void = second.run(steps[tallyFirst ? 1 : 0])
    try await book.untilSomebodyWaits()
    try await first.run("COMMIT")
    try await waiting
    try await book.checkIdentities()
  }
}

extension Book {
  /// Returns when so many connections to this book wait for a lock.
  func untilSomebodyWaits(_ wanted: Int = 1) async throws {
    let watcher = try await client()
    for _ in 0..<500 {
      let waiting = try await watcher.line(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
      )
      if Int(waiting) ?? 0 >= wanted { return }
      try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("nobody waited for a lock")
  }
}

/// One metering client. Returns what was refused by an exception: nothing may be.
private func spend(_ book: Book, _ accounts: [Account], worker: Int, random seed: SeededRandom)
  async throws -> [String]
{
  var random = seed
  let client = try await book.client(role: "credits_meter")
  var refused: [String] = []
  var held: [(String, Account)] = []
  for step in 0..<60 {
    let account = accounts.randomElement(using: &random) ?? alice
    // Some ids are shared between clients, so that replays and conflicts race too.
    let request = Bool.random(using: &random) ? "w\(worker)-\(step)" : "shared-\(step % 20)"
    let tokens = Int.random(in: 0...40, using: &random)
    let node = ["n1", "n2", "fallback"].randomElement(using: &random) ?? "n1"
    let sql: String
    switch Int.random(in: 0..<10, using: &random) {
    case 0...3:
      sql = "SELECT credits.debit('\(request)', \(account), 'm', \(tokens), 1, '\(node)')"
    case 4...5:
      let rows = (0..<12).map {
        (accounts.randomElement(using: &random) ?? alice, "\(request)/\($0)")
      }
      sql = """
        SELECT * FROM credits.debit_batch(ARRAY[\(rows.map { "'\($0.1)'" }.joined(separator: ","))],
          ARRAY[\(rows.map { "\($0.0)" }.joined(separator: ","))], array_fill('m'::text, ARRAY[12]), array_fill(\(tokens % 5)::bigint, ARRAY[12]),
          array_fill(0::bigint, ARRAY[12]), array_fill('\(node)'::text, ARRAY[12]))
        """
    case 6:
      held.append((request, account))
      sql =
        "SELECT credits.authorise('\(request)', \(account), 'm', \(tokens), 10, '\(node)', ttl => interval '\(step % 3 == 0 ? 1 : 60000) milliseconds')"
    case 7:
      guard let (request, account) = held.randomElement(using: &random) else { continue }
      sql =
        "SELECT credits.capture('\(request)', \(account), \(tokens), 5, part => \(step % 2), final => \(Bool.random(using: &random)))"
    case 8:
      guard let (request, account) = held.randomElement(using: &random) else { continue }
      sql =
        Bool.random(using: &random)
        ? "SELECT credits.release('\(request)', \(account))" : "SELECT credits.sweep_holds()"
    default:
      sql = "SELECT credits.refund('\(request)', \(account), 1, 'r\(step)')"
    }
    if let state = await client.refusal(sql) { refused.append("\(state): \(sql)") }
  }
  return refused
}

/// The indexer: deposits, withdrawals, charges within what was spent, reorgs of what is not final.
private func followChain(_ book: Book, _ accounts: [Account], random seed: SeededRandom)
  async throws
  -> [String]
{
  var random = seed
  for step in 0..<40 {
    let account = accounts.randomElement(using: &random) ?? alice
    let other = accounts.randomElement(using: &random) ?? alice
    let block = try await book.mine([
      .deposit(account, .random(in: 1...50, using: &random)),
      .withdraw(other, .random(in: 1...30, using: &random)),
      .deposit(other, .random(in: 1...50, using: &random)),
    ])
    try await book.prove(block)
    if step % 7 == 3 {
      _ = try await book.orphan(from: block)
    } else {
      try await book.finalize(block)
      if step % 5 == 0 { try await book.charge(account, 3) }
    }
  }
  return []
}

private func closeEpochs(_ book: Book) async throws -> [String] {
  let settler = try await book.client(role: "credits_settler")
  var refused: [String] = []
  for _ in 0..<8 {
    try await Task.sleep(for: .milliseconds(150))
    if let state = await settler.refusal("SELECT credits.epoch_close()"), state != "55P03" {
      refused.append("\(state): close")
    }
    for epoch in try await settler.lines(
      "SELECT epoch FROM credits.epoch WHERE state = 'closed' AND tallied_at IS NULL ORDER BY 1")
    {
      if let state = await settler.refusal("SELECT credits.epoch_tally(\(epoch))") {
        refused.append("\(state): tally \(epoch)")
      }
    }
  }
  return refused
}
