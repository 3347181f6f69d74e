import Foundation
import TestSupport

/// A migrated ledger of its own, with a vault, prices, nodes and a split: scenarios read like an accountant's script.
final class Book: Sendable {
  let chain = 31337
  private let database: TestDatabase
  private let main: Client

  private init(_ database: TestDatabase) throws {
    self.database = database
    main = try Client(database.url)
  }

  static func open(split: Bool = true) async throws -> Book {
    let book = try Book(try await TestDatabase.kept())
    try await book.run(
      """
      SELECT credits.register_vault(\(book.chain), \(vault), \(token), 1,
        'Deposit(address indexed user, uint256 amount)', 'Withdraw(address indexed user, uint256 amount)');
      SELECT credits.price_set('m', 'input_token', 1), credits.price_set('m', 'output_token', 2), credits.price_set('m', 'image', 10);
      SELECT credits.node_set('n1', \(operator1)), credits.node_set('n2', \(operator2));
      """)
    if split {
      try await book.run(
        "SELECT credits.split_set(8500, 1000, 500, \(treasury), \(infrastructure))")
    }
    return book
  }

  /// A book in which every kind of fact and journal entry has happened.
  static func withEveryFact() async throws -> Book {
    let book = try await open()
    try await book.deposit(alice, 1000)
    try await book.deposit(bob, 10)
    _ = try await book.debit("r1", alice, input: 100)
    _ = try await book.debit("r2", alice, input: 70, node: "fallback")
    _ = try await book.debit("r3", bob, input: 1000)
    _ = try await book.authorise("h1", alice, input: 30)
    _ = try await book.capture("h1", alice, input: 20)
    _ = try await book.authorise("h2", alice, input: 5)
    _ = try await book.refund("r1", alice, "7", "slow")
    try await book.deposit(carol, 5)
    _ = try await book.debit("r5", carol, input: 5)
    try await book.closeEpoch()
    try await book.charge(alice, 100)
    try await book.pay(operator1, 50)
    let gone = try await book.mine([.withdraw(alice, 30)])
    try await book.prove(gone)
    _ = try await book.orphan(from: gone)
    try await book.withdraw(alice, 40)
    _ = try await book.debit("r4", alice, input: 3)
    return book
  }

  // Asking

  func client(role: String? = nil) async throws -> Client {
    let client = try Client(database.url)
    if let role { try await client.run("SET ROLE \(role)") }
    return client
  }
  func lines(_ sql: String) async throws -> [String] { try await main.lines(sql) }
  func line(_ sql: String) async throws -> String { try await main.line(sql) }
  func run(_ sql: String) async throws { try await main.run(sql) }
  func refusal(_ sql: String) async -> String? { await main.refusal(sql) }

  func balance(_ account: Account) async throws -> String {
    try await line(
      """
      SELECT format('spendable %s held %s unsettled %s debt %s pending %s', spendable, held, unsettled, debt, pending)
      FROM credits.balance WHERE account = \(account)
      """)
  }

  // Spending

  func debit(
    _ request: String, _ account: Account, input: Int, output: Int = 0, node: String = "n1",
    at: String? = nil
  ) async throws -> String {
    try await line(
      "SELECT * FROM credits.debit('\(request)', \(account), 'm', \(input), \(output), '\(node)', at => \(at.map { "'\($0)'" } ?? "NULL"))"
    )
  }

  /// Status, amount, spendable.
  func authorise(_ request: String, _ account: Account, input: Int, maxOutput: Int = 0) async throws
    -> String
  {
    try await line(
      "SELECT status, amount, spendable FROM credits.authorise('\(request)', \(account), 'm', \(input), \(maxOutput), 'n1')"
    )
  }

  func capture(
    _ request: String, _ account: Account, input: Int, output: Int = 0, part: Int = 0,
    final: Bool = true
  ) async throws -> String {
    try await line(
      "SELECT * FROM credits.capture('\(request)', \(account), \(input), \(output), part => \(part), final => \(final))"
    )
  }

  func refund(_ request: String, _ account: Account, _ amount: String?, _ reason: String)
    async throws -> String
  {
    try await line(
      "SELECT * FROM credits.refund('\(request)', \(account), \(amount ?? "NULL"), '\(reason)')")
  }

  /// Cuts and tallies the open epoch, again while a spender holds the fence.
  func closeEpoch() async throws {
    for attempt in 1...50 {
      do {
        let closed = try await line("SELECT epoch FROM credits.epoch_close()")
        return try await run("SELECT credits.epoch_tally(\(closed))")
      } catch let error as Client.Refused where error.state == "55P03" && attempt < 50 {
        continue
      }
    }
  }

  // The chain

  /// The next block's number.
  var next: Int {
    get async throws {
      Int(try await line("SELECT scanned_to + 1 FROM credits.watermark WHERE vault = \(vault)"))
        ?? 0
    }
  }

  /// Scans one block with these events. A fork gives the same number another hash.
  @discardableResult
  func mine(_ events: [Event], transaction: String? = nil) async throws -> Int {
    let number = try await next
    let fork = try await line("SELECT reorgs FROM credits.watermark WHERE vault = \(vault)")
    try await scan(number, fork: fork, events, transaction: transaction ?? "t\(number)/\(fork)")
    return number
  }

  /// Scans a block that was orphaned by the first reorg again.
  func mineAgain(_ number: Int, _ events: [Event], transaction: String) async throws {
    try await scan(number, fork: "0", events, transaction: transaction)
  }

  private func scan(_ number: Int, fork: String, _ events: [Event], transaction: String)
    async throws
  {
    try await run(
      """
      BEGIN;
      SELECT credits.record_blocks(\(chain), ARRAY[\(number)]::bigint[], ARRAY[\(hash(number, fork))], ARRAY[\(hash(number - 1, fork))],
        ARRAY[now()], ARRAY['\\x01'::bytea]);
      \(recordCall(number, events, transaction: transaction, fork: fork));
      SELECT credits.cover(\(chain), \(vault), 'vault', 'scanned', \(number), \(number));
      COMMIT
      """)
  }

  func record(_ number: Int, _ events: [Event]) async throws -> String {
    try await line(recordCall(number, events, transaction: "t\(number)/0"))
  }

  func recordCall(
    _ number: Int, _ events: [Event], transaction: String, fork: String = "0",
    vault followed: Account = vault
  ) -> String {
    func array(_ type: String, _ items: [String]) -> String {
      "ARRAY[\(items.joined(separator: ", "))]::\(type)[]"
    }
    func same(_ value: String) -> [String] { events.map { _ in value } }
    return """
      SELECT credits.record_events(\(chain), \(followed), \(array("text", events.map { "'\($0.kind)'" })),
        \(array("bytea", events.map { "\($0.account)" })), \(array("numeric", events.map(\.amount))),
        \(array("numeric", events.map { $0.total ?? "NULL" })), \(array("bigint", same("\(number)"))),
        \(array("bytea", same(hash(number, fork)))), \(array("bytea", same("sha256('\(transaction)')"))),
        \(array("int", events.indices.map(String.init))), \(array("int", events.indices.map(String.init))))
      """
  }

  private func hash(_ number: Int, _ fork: String) -> String {
    "sha256('block \(number) of fork \(fork)')"
  }

  /// Proves a block and counts its withdrawals, as the indexer does near the head.
  func prove(_ number: Int) async throws {
    try await run(
      """
      SELECT credits.cover(\(chain), \(vault), 'vault', 'proven', \(number), \(number));
      SELECT credits.withdraw(\(chain), \(vault), \(number))
      """)
  }

  func finalize(_ number: Int) async throws {
    try await run("SELECT credits.finalize(\(chain), \(vault), \(number))")
  }

  func orphan(from number: Int) async throws -> String {
    try await line("SELECT credits.orphan(\(chain), \(vault), \(number))")
  }

  private func settled(_ event: Event) async throws {
    let block = try await mine([event])
    try await prove(block)
    try await finalize(block)
  }

  func deposit(_ account: Account, _ amount: Int) async throws {
    try await settled(.deposit(account, "\(amount)"))
  }
  func withdraw(_ account: Account, _ amount: Int) async throws {
    try await settled(.withdraw(account, "\(amount)"))
  }

  func charge(_ account: Account, _ amount: Int) async throws {
    let total = try await soFar("charged", account, plus: amount)
    try await settled(Event(kind: "charged", account: account, amount: "\(amount)", total: total))
  }

  func pay(_ payee: Account, _ amount: Int) async throws {
    let total = try await soFar("paid", payee, plus: amount)
    try await settled(Event(kind: "paid", account: payee, amount: "\(amount)", total: total))
  }

  private func soFar(_ kind: String, _ account: Account, plus amount: Int) async throws -> String {
    try await line(
      "SELECT coalesce(sum(amount::numeric), 0) + \(amount) FROM credits.chain_event WHERE kind = '\(kind)' AND account = \(account) AND status = 'final'"
    )
  }

  func setHead(ageSeconds: Int) async throws {
    try await run(
      "SELECT credits.set_head(\(chain), \(vault), 1, now() - interval '\(ageSeconds) seconds', '1 of 1')"
    )
  }

  func transfer(
    from sender: Account, to recipient: Account, _ amount: Int, in block: Int, transaction: String,
    log: Int
  ) async throws {
    try await run(
      """
      SELECT credits.record_transfers(\(chain), \(vault), ARRAY[\(sender)], ARRAY[\(recipient)], ARRAY[\(amount)]::numeric[],
        ARRAY[\(block)]::bigint[], ARRAY[\(hash(block, "0"))], ARRAY[sha256('\(transaction)')], ARRAY[\(log)])
      """)
  }
}

/// Something the vault logged.
struct Event {
  let kind: String
  let account: Account
  let amount: String
  var total: String?

  static func deposit(_ account: Account, _ amount: String) -> Event {
    Event(kind: "deposit", account: account, amount: amount)
  }
  static func deposit(_ account: Account, _ amount: Int) -> Event { .deposit(account, "\(amount)") }
  static func withdraw(_ account: Account, _ amount: String) -> Event {
    Event(kind: "withdraw", account: account, amount: amount)
  }
  static func withdraw(_ account: Account, _ amount: Int) -> Event {
    .withdraw(account, "\(amount)")
  }
}

/// An address; interpolated into SQL it is a bytea literal.
struct Account: Hashable, CustomStringConvertible {
  let digits: String
  init(_ number: Int) { digits = String(format: "%040x", number) }
  var text: String { "0x" + digits }
  var hex: String { "\\x" + digits }
  var description: String { "'\(hex)'::bytea" }
}

let alice = Account(0xa11ce)
let bob = Account(0xb0b)
let carol = Account(0xca201)
let operator1 = Account(0x0e1)
let operator2 = Account(0x0e2)
let treasury = Account(0x7e)
let infrastructure = Account(0x1f)
let vault = Account(0xff)
let token = Account(0xee)
