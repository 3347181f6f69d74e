import Ethereum
import Ledger
import Postgres
import Service

/// The indexer at work on one database: the schema is right, the vault is registered, and no other indexer follows its chain.
struct IndexerSession {
  let chainID: UInt64
  let chain: NodeChain
  let connection: PostgresConnection
  /// Holds the single writer's lock in an open transaction; kept for as long as the session.
  private let writer: PostgresConnection
  private let options: IndexerOptions

  /// Migrates if it may, checks endpoints and vault, and takes the lock.
  static func open(
    _ options: IndexerOptions, migrations: String, metrics: Metrics?
  ) async throws -> IndexerSession {
    if try await Ledger.mayMigrate(options.databaseURL) {
      _ = try await Ledger.migrate(options.databaseURL, migrations: migrations)
    }
    let connection = try await Ledger.open(
      options.databaseURL, as: .indexer, migrations: migrations)
    let chain = NodeChain(options.pool, metrics: metrics)
    let reports = await chain.reports()
    let answered = reports.lazy.compactMap(\.chainID).first
    let chainID = options.chainID ?? answered ?? 0
    try StartCheck.chain(chainID, of: reports)

    let sql = IndexerSQL(chainID: chainID, vault: options.followed.vault)
    let isKnown = try await connection.transaction { db in try sql.isRegistered(db) }
    try await StartCheck.vault(
      options.followed.vault, startBlock: options.registration.startBlock,
      // What was checked once needs no archive endpoint again.
      unchecked: options.registration.startUnchecked || isKnown
    ) { try await chain.hasCode($0, at: $1) }
    let registration = options.registration
    try await connection.transaction { db in try sql.registerVault(registration, db) }

    let writer = try await Ledger.connect(options.databaseURL, as: .indexer)
    try await writer.script("SET idle_in_transaction_session_timeout = 0; BEGIN")
    do {
      try await writer.script(IndexerSQL.lockSingleWriter(chainID: chainID))
    } catch {
      // A typed catch with a condition crashes the compiler of Swift 6.3.1.
      if error.sqlState == "55P03" { throw IndexerHalt.secondIndexer(chainID: chainID) }
      throw error
    }
    return IndexerSession(
      chainID: chainID, chain: chain, connection: connection, writer: writer, options: options)
  }

  func chainSync() -> ChainSync {
    ChainSync(
      followed: options.followed, source: chain, connection: connection, chainID: chainID,
      mode: options.mode, chooser: options.chooser)
  }

  /// Throws when the connection that holds the lock is lost: then another indexer may be writing.
  func checkWriter() async throws { try await writer.script("SELECT") }

  func status() async throws -> IndexerStatus {
    let (chainID, vault) = (chainID, options.followed.vault)
    return try await connection.transaction(.repeatableRead, readOnly: true) { db in
      try IndexerSQL.status(chainID: chainID, vault: vault, db)
    }
  }
}
