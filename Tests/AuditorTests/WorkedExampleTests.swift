import Credits
import Ethereum
import Postgres
import TestSupport
import Testing

@testable import Auditor

/// The worked example of DESIGN, section 7, on a real ledger, beside a vault whose figures are written down by hand.
@Suite struct WorkedExampleTests {
  private static let chainID: UInt64 = 1
  private static let vault = account(0xff)
  private static let user = Books.alice
  private static let infrastructure = account(0x1f)

  /// What the vault has after a step.
  private struct Vault {
    var tokens: Int64 = 0
    var user: Int64 = 0
    var charged: Int64 = 0
    var pool: Int64 = 0
    var paid: [Address: Int64] = [:]
  }

  private static func sql(_ address: Address) -> String {
    "'\\x\(Hex.digits(address.bytes))'::bytea"
  }

  /// A final block with these events and the token's transfers that belong to them.
  private static func block(
    _ db: PostgresConnection, _ number: Int, _ kind: String,
    _ events: [(account: Address, amount: Int64, total: Int64?)]
  ) async throws {
    func array(_ type: String, _ items: [String]) -> String {
      "ARRAY[\(items.joined(separator: ", "))]::\(type)[]"
    }
    func same(_ text: String) -> [String] { events.map { _ in text } }
    let place = "\(chainID), \(sql(vault))"
    let hash = "sha256('block \(number)')"
    let users = events.map { sql($0.account) }
    let vaults = same(sql(vault))
    let amounts = array("numeric", events.map { "\($0.amount)" })
    let numbers = array("bigint", same("\(number)"))
    let hashes = array("bytea", same(hash))
    let transactions = array("bytea", same("sha256('transaction \(number)')"))
    let indexes = events.indices.map(String.init)
    try await db.script(
      """
      BEGIN;
      SELECT credits.record_blocks(\(chainID), ARRAY[\(number)]::bigint[], ARRAY[\(hash)],
        ARRAY[sha256('block \(number - 1)')], ARRAY[now()], ARRAY['\\x01'::bytea]);
      SELECT credits.record_events(\(place), \(array("text", same("'\(kind)'"))), \(array("bytea", users)), \(amounts),
        \(array("numeric", events.map { $0.total.map { "\($0)" } ?? "NULL" })), \(numbers), \(hashes), \(transactions),
        \(array("int", indexes)), \(array("int", indexes)));
      \(kind == "charged" ? "" : """
      SELECT credits.record_transfers(\(place), \(array("bytea", kind == "deposit" ? users : vaults)),
        \(array("bytea", kind == "deposit" ? vaults : users)), \(amounts), \(numbers), \(hashes), \(transactions),
        \(array("int", indexes.map { "100 + \($0)" })));
      """)
      SELECT credits.cover(\(place), 'vault', 'scanned', \(number), \(number)), credits.cover(\(place), 'vault', 'proven', \(number), \(number)),
        credits.cover(\(place), 'token', 'scanned', \(number), \(number)), credits.cover(\(place), 'token', 'proven', \(number), \(number));
      SELECT credits.withdraw(\(place), \(number));
      SELECT credits.finalize(\(place), \(number));
      COMMIT
      """)
  }

  private static func expect(
    _ db: PostgresConnection, _ balance: String, _ vault: Vault,
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let found = try await db.one(
      "SELECT format('S %s U %s D %s', spendable, unsettled, debt) AS text FROM credits.balance WHERE account = \(sql(user))"
    ).text("text")
    #expect(found == balance, sourceLocation: sourceLocation)
    let ledger = try await LedgerFacts.read(db, chainID: chainID, vault: Self.vault)
    let result = try Reconciliation(
      ledger,
      ChainFacts(
        vaultTokens: amount(vault.tokens), pool: amount(vault.pool),
        balances: [user: amount(vault.user)], charged: [user: amount(vault.charged)],
        paid: vault.paid.mapValues(amount)))
    #expect(result.difference == .zero, "\(result.breaks)", sourceLocation: sourceLocation)
  }

  @Test func `every identity holds after every step of the worked example`() async throws {
    try await TestDatabase.with { database in
      let db = try await database.connect()
      try await db.script(
        """
        SELECT credits.register_vault(\(Self.chainID), \(Self.sql(Self.vault)), \(Self.sql(account(0xee))), 1,
          'Deposit(address indexed user, uint256 amount)', 'Withdraw(address indexed user, uint256 amount)');
        SELECT credits.price_set('m', 'input_token', 1), credits.price_set('m', 'output_token', 1);
        SELECT credits.node_set('n', \(Self.sql(Books.operator1)));
        SELECT credits.split_set(8500, 1000, 500, \(Self.sql(Books.treasury)), \(Self.sql(Self.infrastructure)));
        """)
      var vault = Vault()

      try await Self.block(db, 1, "deposit", [(Self.user, 100, nil)])
      vault.tokens = 100
      vault.user = 100
      try await Self.expect(db, "S 100 U 0 D 0", vault)

      try await db.script(
        "SELECT credits.debit('r', \(Self.sql(Self.user)), 'm', 60, 0, 'n')")
      try await Self.expect(db, "S 40 U 60 D 0", vault)

      try await Self.block(db, 2, "withdraw", [(Self.user, 80, nil)])
      vault.tokens = 20
      vault.user = 20
      try await Self.expect(db, "S 0 U 60 D 40", vault)

      try await db.script(
        "DO $$ BEGIN PERFORM credits.epoch_tally((SELECT epoch FROM credits.epoch_close())); END $$"
      )
      try await Self.expect(db, "S 0 U 60 D 40", vault)

      // charge(60) takes the 20 that are there.
      try await Self.block(db, 3, "charged", [(Self.user, 20, 20)])
      vault.user = 0
      vault.charged = 20
      vault.pool = 20
      try await Self.expect(db, "S 0 U 40 D 40", vault)

      try await Self.block(db, 4, "paid", [(Books.operator1, 20, 20)])
      vault.tokens = 0
      vault.pool = 0
      vault.paid = [Books.operator1: 20]
      try await Self.expect(db, "S 0 U 40 D 40", vault)

      try await Self.block(db, 5, "deposit", [(Self.user, 50, nil)])
      vault.tokens = 50
      vault.user = 50
      try await Self.expect(db, "S 10 U 40 D 0", vault)

      try await Self.block(db, 6, "charged", [(Self.user, 40, 60)])
      vault.user = 10
      vault.charged = 60
      vault.pool = 40
      try await Self.expect(db, "S 10 U 0 D 0", vault)

      // 60 are 51 to the operator, 6 to the treasury, 3 to infrastructure.
      try await Self.block(
        db, 7, "paid",
        [(Books.operator1, 31, 51), (Books.treasury, 6, 6), (Self.infrastructure, 3, 3)])
      vault.tokens = 10
      vault.pool = 0
      vault.paid = [Books.operator1: 51, Books.treasury: 6, Self.infrastructure: 3]
      try await Self.expect(db, "S 10 U 0 D 0", vault)
    }
  }
}
