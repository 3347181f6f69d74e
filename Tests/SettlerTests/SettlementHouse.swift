import Credits
import Ethereum
import Ledger
import Postgres
import Synchronization
import TestSupport

@testable import Settler

func account(_ byte: UInt8) -> Address { try! Address([UInt8](repeating: byte, count: 20)) }
func wei(_ value: UInt64) -> UInt256 { UInt256(value) }

/// Keys for tests only.
enum Keys {
  static func make(_ byte: UInt8) -> PrivateKey {
    try! PrivateKey([UInt8](repeating: byte, count: 32))
  }
  static let planner = make(1)
  static let settler = make(2)
  static let approvers = [make(3), make(4), make(5)]
  static let stranger = make(6)
}

/// A migrated ledger with a vault, an indexer played by hand and a settler: from usage to final, step by step.
final class SettlementHouse: Sendable {
  static let alice = account(0xa1)
  static let bob = account(0xb0)
  static let operator1 = account(0x11)
  static let operator2 = account(0x22)
  static let treasury = account(0x7e)
  static let infrastructure = account(0x1f)
  static let expires: UInt64 = 1_800_000_000

  let database: TestDatabase
  /// A superuser: the indexer, other teams, and the attacker.
  let db: PostgresConnection
  let chain: ScriptedVault
  let clock = WorldClock()
  private let indexed = Mutex<UInt64>(0)
  private let lines = Mutex<[String]>([])

  private init(_ database: TestDatabase) async throws {
    self.database = database
    // Durability is not what is tested here, and syncing it is most of the time.
    let admin = try await database.connect()
    try await admin.script("ALTER DATABASE \(database.name) SET synchronous_commit = off")
    db = try await database.connect()
    chain = ScriptedVault(settler: Keys.settler.address)
  }

  static func with<Value: Sendable>(
    _ body: @Sendable (SettlementHouse) async throws -> Value
  ) async throws -> Value {
    try await TestDatabase.with { database in
      let house = try await SettlementHouse(database)
      try await house.db.script(
        """
        SELECT credits.register_vault(\(ScriptedVault.chainID), \(sql(ScriptedVault.vault)), \(sql(ScriptedVault.token)), 1,
          'Deposit(address indexed user, uint256 amount)', 'Withdraw(address indexed user, uint256 amount)');
        SELECT credits.price_set('m', 'input_token', 1), credits.price_set('m', 'output_token', 1);
        SELECT credits.node_set('n1', \(sql(operator1))), credits.node_set('n2', \(sql(operator2)));
        SELECT credits.split_set(8500, 1000, 500, \(sql(treasury)), \(sql(infrastructure)));
        """)
      house.clock.tick.withLock { $0 = { [weak house] in try await house?.tick() } }
      return try await body(house)
    }
  }

  /// Alice spent 600 of 1,000, Bob 400 of 400; closed, planned, approved by two.
  static func approved<Value: Sendable>(
    perTransaction: Int = 10, maxTransactions: Int = 60,
    _ body: @Sendable (SettlementHouse) async throws -> Value
  ) async throws -> Value {
    try await with { house in
      house.chain.deposit(alice, 1_000)
      house.chain.deposit(bob, 400)
      try await house.settleBlocks()
      try await house.debit("r1", alice, 600, node: "n1")
      try await house.debit("r2", bob, 400, node: "n2")
      try await house.close()
      try await house.plan(
        1, perTransaction: perTransaction, maxTransactions: maxTransactions)
      try await house.approve(1)
      return try await body(house)
    }
  }

  static func sql(_ address: Address) -> String { "'\\x\(Hex.digits(address.bytes))'::bytea" }
  static func sql(_ hash: Hash32) -> String { "'\\x\(Hex.digits(hash.bytes))'::bytea" }
  var log: [String] { lines.withLock { $0 } }

  // MARK: Usage

  func debit(_ request: String, _ user: Address, _ tokens: Int, node: String) async throws {
    let status = try await db.one(
      "SELECT status FROM credits.debit('\(request)', \(Self.sql(user)), 'm', \(tokens), 0, '\(node)')"
    ).text("status")
    guard status == "ok" else { throw ScriptedVault.Killed() }
  }

  func close() async throws {
    try await db.script(
      "DO $$ BEGIN PERFORM credits.epoch_tally((SELECT epoch FROM credits.epoch_close())); END $$")
  }

  // MARK: The indexer

  /// Gives the ledger every block it does not have; those up to `finalized` are final.
  func index(finalized: UInt64) async throws {
    let place = "\(ScriptedVault.chainID), \(Self.sql(ScriptedVault.vault))"
    let from = indexed.withLock { $0 } + 1
    guard from <= chain.head else { return }
    var script = "BEGIN;"
    for number in from...chain.head {
      let block = chain.block(number)
      script += """
        SELECT credits.record_blocks(\(ScriptedVault.chainID), ARRAY[\(number)]::bigint[], ARRAY[\(Self.sql(block.hash))],
          ARRAY[\(Self.sql(block.header.parentHash))], ARRAY[to_timestamp(\(block.header.timestamp))],
          ARRAY['\\x\(Hex.digits(block.header.encoded))'::bytea]);
        """
      var ordinals: [Hash32: Int] = [:]
      for (index, event) in block.events.enumerated() {
        let ordinal = ordinals[event.transaction, default: 0]
        ordinals[event.transaction] = ordinal + 1
        let total = ["charged", "paid"].contains(event.kind) ? "\(event.total)" : "NULL"
        script += """
          SELECT credits.record_events(\(place), ARRAY['\(event.kind)'], ARRAY[\(Self.sql(event.account))],
            ARRAY[\(event.amount)]::numeric[], ARRAY[\(total)]::numeric[], ARRAY[\(number)]::bigint[],
            ARRAY[\(Self.sql(block.hash))], ARRAY[\(Self.sql(event.transaction))], ARRAY[\(index)], ARRAY[\(ordinal)]);
          """
      }
      script += """
        SELECT credits.cover(\(place), 'vault', 'scanned', \(number), \(number));
        SELECT credits.cover(\(place), 'vault', 'proven', \(number), \(number));
        """
    }
    script += "SELECT credits.finalize(\(place), \(min(finalized, chain.head))); COMMIT"
    try await db.script(script)
    let head = chain.head
    indexed.withLock { $0 = head }
  }

  /// Mines a block in which all that waits happens, and makes it final.
  func settleBlocks() async throws {
    chain.mine()
    try await index(finalized: chain.head)
  }

  /// A reorg of the top blocks, seen by the indexer.
  func reorg(_ count: Int) async throws {
    chain.drop(count)
    let head = chain.head
    let known = indexed.withLock { $0 }
    if known > head {
      try await db.script(
        "SELECT credits.orphan(\(ScriptedVault.chainID), \(Self.sql(ScriptedVault.vault)), \(head + 1))"
      )
      indexed.withLock { $0 = head }
    }
  }

  /// What happens while the settler waits: two more blocks, all but the last final.
  func tick() async throws {
    chain.mine()
    chain.mine()
    try await index(finalized: chain.head - 1)
  }

  // MARK: Plans

  func reader(_ connection: PostgresConnection) -> LedgerReader {
    LedgerReader(
      connection: connection, chainID: ScriptedVault.chainID, vault: ScriptedVault.vault)
  }

  func manifest(
    _ epoch: UInt64, perTransaction: Int = 10, maxTransactions: Int = 60,
    minimums: Manifest.Options = .init()
  ) async throws -> Manifest {
    let facts = try await reader(db).facts(epoch: epoch)
    return try ManifestBuilder.build(
      facts,
      ManifestBuilder.Options(
        settler: Keys.settler.address,
        limits: Manifest.Limits(
          maxTransactions: maxTransactions, gasPerTransaction: 2_000_000,
          maxFeePerGasWei: wei(10_000_000_000), chargesPerTransaction: perTransaction,
          paymentsPerTransaction: perTransaction, expires: Self.expires),
        minimums: minimums))
  }

  @discardableResult
  func plan(
    _ epoch: UInt64, perTransaction: Int = 10, maxTransactions: Int = 60,
    minimums: Manifest.Options = .init(), planner: PrivateKey = Keys.planner, again: Bool = false
  ) async throws -> Manifest {
    let manifest = try await manifest(
      epoch, perTransaction: perTransaction, maxTransactions: maxTransactions, minimums: minimums)
    try await SettlerSQL(connection: db).storePlan(
      manifest, planner: planner.address, signature: Plan(manifest).signed(by: planner).bytes,
      again: again)
    return manifest
  }

  func approve(_ epoch: UInt64, by keys: [PrivateKey] = Array(Keys.approvers.prefix(2)))
    async throws
  {
    guard let stored = try await reader(db).manifest(of: epoch) else {
      throw ScriptedVault.Killed()
    }
    let manifest = try stored.decoded()
    for (index, key) in keys.enumerated() {
      try await SettlerSQL(connection: db).storeApproval(
        manifest.hash, approver: key.address,
        signature: Approval(manifest).signed(by: key).bytes, complete: index == keys.count - 1)
    }
  }

  static func policy(required: Int = 2) throws -> ApprovalPolicy {
    try ApprovalPolicy(
      settler: Keys.settler.address, approvers: Keys.approvers.map(\.address), required: required)
  }

  // MARK: The settler

  /// A settler that was just started: as the program's `run`, on connections and with rights of its own.
  func start(
    _ epoch: UInt64 = 1, policy: ApprovalPolicy? = nil, key: PrivateKey = Keys.settler
  ) async throws -> SettlementRun {
    let connection = try await Ledger.connect(database.url, as: .settler)
    let reader = reader(connection)
    let run = SettlementRun(
      epoch: epoch, plan: try await PlanVerifier(reader: reader).read(epoch), key: key,
      reader: reader, sql: SettlerSQL(connection: connection), chain: chain, clock: clock,
      log: { [self] line in lines.withLock { $0.append(line) } })
    try await run.verify(policy ?? Self.policy())
    return run
  }

  /// - Parameter waits: how often it may wait for the world before time is up.
  @discardableResult
  func settle(_ epoch: UInt64 = 1, waits: Int = 40) async throws -> SettlementRun.Outcome {
    try await start(epoch).run(
      until: .final, deadlineMs: clock.nowMs() + Int64(waits) * 500, pollMs: 500)
  }

  func transactions(_ epoch: UInt64 = 1) async throws -> [TransactionRow] {
    try await reader(db).transactions(of: epoch)
  }

  func state(_ epoch: UInt64 = 1) async throws -> EpochRow.State {
    try await reader(db).epoch(epoch).state
  }

  func count(_ table: String) async throws -> Int64 {
    try await db.one("SELECT count(*) AS n FROM credits.\(table)").int64("n")
  }

  /// Changes rows that nobody may change, as a superuser can.
  func tamper(_ sql: String) async throws {
    try await db.script("SET session_replication_role = replica")
    try await db.script(sql)
    try await db.script("SET session_replication_role = DEFAULT")
  }
}

/// Time that passes only while somebody waits, and the world with it.
final class WorldClock: SettlerClock {
  let tick = Mutex<(@Sendable () async throws -> Void)?>(nil)
  private let now = Mutex<Int64>(1_700_000_000_000)

  func nowMs() -> Int64 { now.withLock { $0 } }
  func set(ms: Int64) { now.withLock { $0 = ms } }
  func sleep(ms: Int64) async throws {
    now.withLock { $0 += ms }
    try await tick.withLock { $0 }?()
  }
}
