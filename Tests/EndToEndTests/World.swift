import Ethereum
import Foundation
import JSON
import Postgres
import Synchronization
import TestSupport

/// A whole product of its own: a PostgreSQL database, a dev chain, key files, and the four programs as processes.
final class World: Sendable {
  let database: TestDatabase
  let devnet: Devnet
  let folder: URL
  let environment: [String: String]
  private let started = Mutex<[RunningProgram]>([])

  /// Makes one, gives it to `body`, and takes it down.
  static func with<Value>(
    _ devnetOptions: [String], _ body: (World) async throws -> Value
  ) async throws -> Value {
    try await TestDatabase.with(migrated: false) { database in
      let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("world-" + UUID().uuidString)
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: folder) }
      let devnet = try await Devnet(devnetOptions, in: folder)
      var world: World?
      let result: Result<Value, any Error>
      do {
        let made = try World(database, devnet, folder)
        world = made
        result = .success(try await body(made))
      } catch {
        result = .failure(error)
      }
      for program in world?.started.withLock({ $0 }) ?? [] { await program.end(SIGKILL) }
      await devnet.stop()
      return try result.get()
    }
  }

  private init(_ database: TestDatabase, _ devnet: Devnet, _ folder: URL) throws {
    self.database = database
    self.devnet = devnet
    self.folder = folder
    for role in ["planner", "settler", "approver1", "approver2"] {
      let path = folder.appendingPathComponent(role + ".key").path
      let made = FileManager.default.createFile(
        atPath: path, contents: Data(try devnet.only(role).keyHex.utf8),
        attributes: [.posixPermissions: 0o600])
      guard made else { throw TestFailure("cannot write \(path)") }
    }
    let approvers = try ["approver1", "approver2"].map { try devnet.only($0).address.checksummed }
    environment = [
      "DATABASE_URL": database.url, "MIGRATIONS_DIR": TestDatabase.migrations,
      "RPC_URL": devnet.rpcURL, "CHAIN_ID": String(devnet.chainID),
      "VAULT_ADDRESS": devnet.vault.checksummed, "TOKEN_ADDRESS": devnet.token.checksummed,
      "START_BLOCK": String(devnet.startBlock),
      "SETTLER_ADDRESS": try devnet.only("settler").address.checksummed,
      "APPROVERS": approvers.joined(separator: ","), "APPROVALS_REQUIRED": "2",
    ]
  }

  func key(_ role: String) -> String { folder.appendingPathComponent(role + ".key").path }

  // MARK: Programs

  /// Runs a command line to its end, whatever that is. `KEY:role` stands for a key file's path.
  func run(
    _ line: String, _ changes: [String: String] = [:], stdin: String = ""
  ) async throws -> Products.Output {
    let words = words(of: line)
    note("$ \(line)")
    let output = try await Products.run(
      words[0], Array(words.dropFirst()), environment: environment.merging(changes) { $1 },
      stdin: stdin)
    note("exit \(output.code) \(output.stderr)")
    return output
  }

  /// The same, when it must succeed.
  @discardableResult
  func ok(
    _ line: String, _ changes: [String: String] = [:], stdin: String = ""
  ) async throws -> String {
    let output = try await run(line, changes, stdin: stdin)
    guard output.code == 0 else {
      throw TestFailure("\(line) exited \(output.code): \(output.stderr)")
    }
    return output.stdout
  }

  /// What `--json` prints: one line, and nothing beside it.
  func json(_ line: String) async throws -> JSONValue {
    let output = try await ok(line + " --json")
    guard output.hasSuffix("\n"), output.dropLast().allSatisfy({ $0 != "\n" }) else {
      throw TestFailure("\(line) --json printed more than one line: \(output.prefix(300))")
    }
    return try JSONValue(parsing: String(output.dropLast()))
  }

  func start(_ line: String) async throws -> RunningProgram {
    let words = words(of: line)
    let program = try await RunningProgram.start(
      Products.path(words[0]), Array(words.dropFirst()), environment: environment,
      output: folder.appendingPathComponent(words[0] + ".log"))
    started.withLock { $0.append(program) }
    return program
  }

  private func words(of line: String) -> [String] {
    line.split(separator: " ").map { word in
      word.hasPrefix("KEY:") ? key(String(word.dropFirst(4))) : String(word)
    }
  }

  private func note(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
  }

  // MARK: The ledger

  /// Rows as text, columns parted by a blank.
  func rows(_ sql: String) async throws -> [String] {
    let db = try await database.connect()
    return try await db.query(
      "SELECT concat_ws(' ', VARIADIC array_agg(v ORDER BY n)) AS line FROM (\(sql)) AS q,"
        + " LATERAL (SELECT row_number() OVER () AS n, value AS v FROM json_each_text(row_to_json(q))) AS c"
        + " GROUP BY q.*::text ORDER BY 1"
    ).map { try $0.text("line") }
  }

  func isTrue(_ condition: String) async throws -> Bool {
    try await database.connect().one("SELECT (\(condition)) AS yes").bool("yes")
  }
}
