import JSON
import Postgres
import Service
import Synchronization

/// `indexer run`: follows the chain for months, shows itself over HTTP, and gets over endpoints and databases that go away.
final class IndexerService: Sendable {
  private let options: IndexerOptions
  private let migrations: String
  private let log: IndexerLog
  private let metrics = Metrics.indexer()
  private let shown = Mutex(Shown())

  private struct Shown {
    var status: IndexerStatus?
    /// Why it is not caught up; nil when it is.
    var obstacle: String? = "starting" {
      didSet { if obstacle == nil { stoodAtHead = true } }
    }
    /// Since this was asked last.
    private var stoodAtHead = false
    var refreshAt = ContinuousClock.now

    mutating func takeStoodAtHead() -> Bool {
      defer { stoodAtHead = false }
      return stoodAtHead
    }
  }

  private static let longestReconnect = Duration.seconds(30)

  init(_ options: IndexerOptions, migrations: String, log: IndexerLog) {
    self.options = options
    self.migrations = migrations
    self.log = log
  }

  /// Ends with cancellation, or throws what a person must decide.
  func run(listen: String) async throws {
    // A first session that cannot be opened is a mistake in the configuration: it ends the program with a clear line.
    let first = try await IndexerSession.open(options, migrations: migrations, metrics: metrics)
    let server = try HTTPServer(listen) { [self] path in answer(path) }
    defer { server.stop() }
    log.line(
      "following the chain",
      [
        ("chain", String(first.chainID)), ("vault", options.followed.vault.checksummed),
        ("quorum", quorumNote),
        ("listen", "\(listen.prefix { $0 != ":" }):\(server.port)"),
      ])
    try await followForEver(consume first)
  }

  private func followForEver(_ first: consuming IndexerSession) async throws {
    var session: IndexerSession? = consume first
    var wait = options.poll
    while true {
      do {
        if let session {
          try await follow(session)
          return
        }
        session = try await IndexerSession.open(options, migrations: migrations, metrics: metrics)
        log.line("database is back")
        continue
      } catch let error as PostgresError where Self.isLost(error) {
        stands("database failed: \(error)")
        log.line("database failed", [("reason", "\(error)")], level: "error")
      } catch let fault as ChainFault {
        stands(fault.description)
        log.line("endpoints lost", [("reason", fault.description)], level: "error")
      } catch let halt as IndexerHalt {
        // The server may not have noticed yet that the session that was lost is gone.
        guard case .secondIndexer = halt else { throw halt }
        stands(halt.description)
        log.line("waiting for the single writer's lock", level: "error")
      }
      // Closed before another is opened: a connection that is left of it may hold the lock.
      session = nil
      if shown.withLock({ $0.takeStoodAtHead() }) { wait = options.poll }
      guard (try? await Task.sleep(for: wait)) != nil else { return }
      wait = min(wait * 2, Self.longestReconnect)
    }
  }

  private func follow(_ session: IndexerSession) async throws {
    var chain = session.chainSync()
    let log = log
    let run = SyncRun(clock: ContinuousClock(), poll: options.poll) { log.event($0) }
    stands("catching up")
    try await refresh(session, atOnce: true)
    do {
      try await run.run(&chain) { obstacle in
        self.stands(obstacle)
        try await session.checkWriter()
        try await self.refresh(session)
      }
    } catch is CancellationError {
      log.line("stopping")
    }
  }

  /// Says whether it is caught up, also where nothing can be read any more.
  private func stands(_ obstacle: String?) {
    shown.withLock { $0.obstacle = obstacle }
    metrics.set("indexer_ready", obstacle == nil ? 1 : 0)
  }

  /// Reads the status again, but never more than a small part of the time: its sums grow with the history.
  private func refresh(_ session: IndexerSession, atOnce: Bool = false) async throws {
    guard atOnce || shown.withLock({ ContinuousClock.now >= $0.refreshAt }) else { return }
    let start = ContinuousClock.now
    let status = try await session.status()
    let took = ContinuousClock.now - start
    metrics.follow(status)
    shown.withLock {
      $0.status = status
      $0.refreshAt = .now + took * 20
    }
  }

  private var quorumNote: String {
    options.pool.clients.count == 1
      ? "1 of 1: finds omissions and mistakes, not an invented chain" : options.pool.quorumText
  }

  private func answer(_ path: String) -> HTTPServer.Response {
    let (status, obstacle) = shown.withLock { ($0.status, $0.obstacle) }
    switch path {
    case "/health": return HTTPServer.Response(body: "{\"ok\":true}\n")
    case "/ready":
      let json: JSONValue = [
        "ready": .bool(obstacle == nil), "reason": obstacle.map { .string($0) } ?? .null,
      ]
      return HTTPServer.Response(
        status: obstacle == nil ? 200 : 503, body: json.description + "\n")
    case "/status":
      guard let status else { return HTTPServer.Response(status: 503, body: "{}\n") }
      return HTTPServer.Response(body: status.json.description + "\n")
    case "/metrics":
      return HTTPServer.Response(
        contentType: "text/plain; version=0.0.4", body: metrics.exposition)
    default:
      return HTTPServer.Response(
        status: 404, contentType: "text/plain",
        body: "/health, /ready, /status and /metrics are here\n")
    }
  }

  /// What goes by without a change to the program or its configuration (PostgreSQL, appendix A).
  static func isLost(_ error: PostgresError) -> Bool {
    switch error {
    case .connection, .commitUnknown: true
    case .server(let server):
      // Class 53: disk full, out of memory or connections; 57: shut down, starting up, cancelled by an administrator; 58: I/O
      // errors. 25006: a standby, as after a failover; 40P01, 40001 and 55P03: deadlock, serialization, lock time-out.
      ["53", "57", "58"].contains { server.sqlState.hasPrefix($0) }
        || ["25006", "40P01", "40001", "55P03"].contains(server.sqlState)
    default: false
    }
  }
}
