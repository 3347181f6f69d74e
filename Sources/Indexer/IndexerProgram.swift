import Ethereum
import JSON
import Ledger
import Postgres
import Service

/// The commands of `indexer`.
enum IndexerProgram {
  static let help = """
    indexer follows the vault's events into the ledger and proves that none is missing.

      indexer migrate                     make or update the schema
      indexer sync [--to BLOCK|latest|finalized] [--proof off|head|all] [--timeout 10m]
      indexer run [--listen 127.0.0.1:9100] [--poll 2s]
      indexer status [--json]             where the ledger stands; needs no endpoint
      indexer probe [--json]              what each endpoint offers
      indexer verify --from A --to B      prove blocks again and compare; changes nothing

    Variables, each also a flag (VAULT_ADDRESS is --vault-address): DATABASE_URL, RPC_URL (comma-separated),
    QUORUM (1 of 1, else 2), CHAIN_ID, VAULT_ADDRESS, TOKEN_ADDRESS, START_BLOCK,
    DEPOSIT_EVENT, WITHDRAW_EVENT. --start-unchecked follows a vault whose deployment nobody can check;
    --max-log-range N limits the blocks of one eth_getLogs.
    Exit codes: 0 done, 1 failed or a difference, 2 wrong usage, 3 not yet.
    """

  static func run(_ words: [String], _ environment: [String: String]) async throws -> ExitCode {
    let arguments = try Arguments(
      words, environment: environment, valued: IndexerOptions.valued,
      switches: IndexerOptions.switches)
    if arguments.has("help") {
      Program.say(help)
      return .done
    }
    let command = try arguments.word(at: 0, "a command")
    try arguments.expectWords(1)
    let migrations = Ledger.migrationsDirectory(environment)
    switch command {
    case "migrate": return try await migrate(arguments, migrations: migrations)
    case "sync": return try await sync(arguments, migrations: migrations)
    case "run": return try await follow(arguments, migrations: migrations)
    case "status": return try await status(arguments, migrations: migrations)
    case "probe": return try await probe(arguments)
    case "verify": return try await verify(arguments, migrations: migrations)
    default: throw UsageError("there is no command \"\(command)\"")
    }
  }

  private static func migrate(_ arguments: Arguments, migrations: String) async throws -> ExitCode {
    let ran = try await Ledger.migrate(
      try arguments.required("database-url"), migrations: migrations)
    if arguments.has("json") {
      let json: JSONValue = ["migrations": .array(ran.map { .number($0.version) })]
      Program.say(json.description)
    } else if ran.isEmpty {
      Program.note("the schema is up to date")
    } else {
      for migration in ran { Program.note("migrated to \(migration.version): \(migration.name)") }
    }
    return .done
  }

  private static func sync(_ arguments: Arguments, migrations: String) async throws -> ExitCode {
    let text = arguments.optional("to") ?? "latest"
    guard let target = SyncRun<ContinuousClock>.Target(text) else {
      throw UsageError("--to is \"\(text)\"; write a block's number, latest or finalized")
    }
    let timeout = try arguments.duration("timeout")
    let options = try IndexerOptions(arguments)
    let session = try await IndexerSession.open(options, migrations: migrations, metrics: nil)
    let log = IndexerLog(first: options.registration.startBlock)
    if options.pool.clients.count == 1 {
      log.line("quorum 1 of 1: finds omissions and mistakes, not an invented chain")
    }
    var chain = session.chainSync()
    let run = SyncRun(clock: ContinuousClock(), poll: options.poll) { log.event($0) }
    let end = try await run.sync(&chain, to: target, within: timeout)
    let status = try await session.status()
    if arguments.has("json") {
      Program.say(status.json.description)
    } else {
      Program.note(status.text)
    }
    switch end {
    case .done: return .done
    case .notYet(let why):
      Program.note("indexer: not yet: \(why); run it again to go on")
      return .notYet
    }
  }

  private static func follow(_ arguments: Arguments, migrations: String) async throws -> ExitCode {
    let options = try IndexerOptions(arguments)
    let service = IndexerService(options, migrations: migrations, log: IndexerLog())
    let listen = arguments.optional("listen") ?? "127.0.0.1:9100"
    let work = Task { try await service.run(listen: listen) }
    let signal = StopSignal { work.cancel() }
    defer { withExtendedLifetime(signal) {} }
    do {
      try await work.value
    } catch is CancellationError {
      // Asked to stop before it had begun.
    }
    return .done
  }

  private static func status(_ arguments: Arguments, migrations: String) async throws -> ExitCode {
    let chainID = try arguments.number("chain-id")
    let vault = try arguments.optional("vault-address").map {
      try IndexerOptions.address("vault-address", $0, arguments)
    }
    let connection = try await Ledger.open(
      try arguments.required("database-url"), as: .indexer, migrations: migrations)
    let status = try await connection.transaction(.repeatableRead, readOnly: true) { db in
      try IndexerSQL.status(chainID: chainID, vault: vault, db)
    }
    Program.say(arguments.has("json") ? status.json.description : status.text)
    return .done
  }

  private static func probe(_ arguments: Arguments) async throws -> ExitCode {
    let reports = await NodeChain(try IndexerOptions.pool(arguments)).reports()
    let wanted = try arguments.number("chain-id")
    if arguments.has("json") {
      let json: JSONValue = ["endpoints": .array(reports.map(\.json))]
      Program.say(json.description)
    } else {
      for line in EndpointReport.table(reports) { Program.say(line) }
    }
    let isFine = reports.allSatisfy { report in
      report.problem == nil && (wanted == nil || report.chainID == wanted)
    }
    return isFine ? .done : .failed
  }

  private static func verify(_ arguments: Arguments, migrations: String) async throws -> ExitCode {
    guard let from = try arguments.number("from"), let to = try arguments.number("to"), from <= to
    else { throw UsageError("verify needs --from A --to B, with A not above B") }
    let options = try IndexerOptions(arguments)
    let connection = try await Ledger.open(
      options.databaseURL, as: .indexer, migrations: migrations)
    let chain = NodeChain(options.pool)
    let reports = await chain.reports()
    let answered = reports.lazy.compactMap(\.chainID).first
    let chainID = options.chainID ?? answered ?? 0
    try StartCheck.chain(chainID, of: reports)
    let verification = Verification(
      prover: Prover(followed: options.followed, source: chain), connection: connection,
      sql: IndexerSQL(chainID: chainID, vault: options.followed.vault))
    let first = max(from, options.registration.startBlock)
    guard first <= to else { throw UsageError("--to is before the start block") }
    let isJSON = arguments.has("json")
    var differences: [String] = []
    try await verification.differences(first...to) {
      differences.append($0)
      if !isJSON { Program.say($0) }
    }
    if isJSON {
      let json: JSONValue = [
        "from": .number(first), "to": .number(to),
        "differences": .array(differences.map { .string($0) }),
      ]
      Program.say(json.description)
    }
    Program.note(
      differences.isEmpty
        ? "blocks \(first) to \(to): the ledger holds what the chain proves"
        : "blocks \(first) to \(to): \(differences.count) differences")
    return differences.isEmpty ? .done : .failed
  }
}
