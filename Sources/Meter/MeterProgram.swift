import Credits
import Ethereum
import Foundation
import JSON
import Ledger
import Postgres
import Service
import Synchronization

/// `meter`: usage records to debits, the price book, nodes, and account rules.
struct MeterProgram {
  let arguments: Arguments
  let environment: [String: String]

  static let help = """
    meter: usage records to debits, price book, nodes. The reference for metering services in any language.

      meter ingest [FILE] [--strict]           NDJSON records from FILE or stdin; one answer a record on stdout
      meter account ADDR
      meter quote MODEL --unit U=N …
      meter price set MODEL --unit U --prlx P [--per N=1] [--from T]
      meter price list
      meter node set ID WALLET [--from T]
      meter node list
      meter freeze ADDR --reason TEXT | unfreeze ADDR | limit ADDR PRLX|none
      meter refund REQUEST --account ADDR --reason TEXT

    A record: {"request_id","account","model","node","input_tokens","output_tokens","at","proof"} or with "units": {"image": 1}.
    --json prints one JSON object. DATABASE_URL (or --database-url) names the database.
    Exit codes: 0 done (ingest: every record got its answer), 1 failed (with --strict: a record was refused), 2 wrong usage.
    Example: meter price set atlas-8b --unit input_token --prlx 0.002 --per 1000
    """

  init(_ arguments: [String], _ environment: [String: String]) throws {
    self.arguments = try Arguments(
      arguments, environment: environment,
      valued: ["prlx", "per", "from", "reason", "account", "database-url"],
      repeated: ["unit"], switches: ["strict"])
    self.environment = environment
  }

  func run() async throws -> ExitCode {
    if arguments.has("help") {
      Program.say(Self.help)
      return .done
    }
    let second = arguments.words.dropFirst().first
    switch (try arguments.word(at: 0, "a command"), second) {
    case ("ingest", _): return try await ingest()
    case ("account", _): try await account()
    case ("quote", _): try await quote()
    case ("price", "set"): try await setPrice()
    case ("price", "list"): try await listPrices()
    case ("node", "set"): try await setNode()
    case ("node", "list"): try await listNodes()
    case ("freeze", _), ("unfreeze", _), ("limit", _): return try await rule()
    case ("refund", _): return try await refund()
    default:
      throw UsageError("there is no command \(arguments.words.prefix(2).joined(separator: " "))")
    }
    return .done
  }

  private func open() async throws -> MeterSQL {
    MeterSQL(
      connection: try await Ledger.open(
        try arguments.required("database-url"), as: .meter,
        migrations: Ledger.migrationsDirectory(environment)))
  }

  private func show(_ json: JSONValue, _ text: @autoclosure () -> String) {
    Program.say(arguments.has("json") ? json.description : text())
  }

  private func address(at place: Int, _ what: String) throws -> Address {
    try arguments.parsedWord(at: place, what) { try Address($0) }
  }

  private func ingest() async throws -> ExitCode {
    try arguments.expectWords(2)
    let input = try arguments.words.dropFirst().first.map { try IngestInput(path: $0) } ?? .standard
    let stopped = Atomic(false)
    let signals = StopSignal { stopped.store(true, ordering: .relaxed) }
    let ingest = Ingest(
      databaseURL: try arguments.required("database-url"),
      migrations: Ledger.migrationsDirectory(environment), batchSize: 500, say: Program.say,
      note: { Program.note("meter: \($0)") }, isStopped: { stopped.load(ordering: .relaxed) })
    let summary = try await ingest.run(input)
    withExtendedLifetime(signals) {}
    let counts = summary.counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
    Program.note("meter: " + (counts.isEmpty ? "no records" : counts.joined(separator: ", ")))
    return arguments.has("strict") && summary.refused > 0 ? .failed : .done
  }

  private func account() async throws {
    try arguments.expectWords(2)
    let address = try address(at: 1, "the account")
    guard let account = try await open().account(address) else {
      throw UsageError("account \(address) has never deposited")
    }
    let rows: [(String, UInt256)] = [
      ("spendable", account.spendable), ("held", account.held), ("pending", account.pending),
      ("withdrawing", account.withdrawing),
    ]
    let limit = account.exposureLimit
    var json: [(key: String, value: JSONValue)] = [("account", .string(address.checksummed))]
    json += rows.map { (key: $0.0, value: .string($0.1.description)) }
    json += [
      ("unsettled", .string(account.unsettled)), ("debt", .string(account.debt.description)),
      ("exposure_limit", limit.map { .string($0.description) } ?? .null),
      ("frozen", .bool(account.frozen)),
    ]
    let unsettled = SignedWei(account.unsettled).map { PRLX.text($0) } ?? account.unsettled
    let lines =
      ["account        \(address)"]
      + rows.map {
        $0.0.padding(toLength: 15, withPad: " ", startingAt: 0) + PRLX.text($0.1) + " PRLX"
      }
      + [
        "unsettled      \(unsettled) PRLX", "debt           \(PRLX.text(account.debt)) PRLX",
        "exposure limit \(limit.map { PRLX.text($0) + " PRLX" } ?? "none")",
        "frozen         \(account.frozen ? "yes" : "no")",
      ]
    show(.object(json), lines.joined(separator: "\n"))
  }

  private func quote() async throws {
    try arguments.expectWords(2)
    let model = try arguments.word(at: 1, "the model")
    var units: [(key: String, value: JSONValue)] = []
    for pair in arguments.all("unit") {
      let parts = pair.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, let count = UInt64(parts[1]) else {
        throw UsageError("--unit is \"\(pair)\"; write input_token=1000")
      }
      let unit = String(parts[0])
      guard !units.contains(where: { $0.key == unit }) else {
        throw UsageError("--unit \(unit) is given twice")
      }
      units.append((unit, .number(count)))
    }
    guard !units.isEmpty else {
      throw UsageError("--unit is missing; write --unit input_token=1000")
    }
    guard let cost = try await open().quote(model, unitsJSON: JSONValue.object(units).description)
    else {
      throw UsageError("model \(model) has no price for one of these units; see meter price list")
    }
    show(["model": .string(model), "cost": .string(cost.description)], "\(PRLX.text(cost)) PRLX")
  }

  private func setPrice() async throws {
    try arguments.expectWords(3)
    let model = try arguments.word(at: 2, "the model")
    guard let unit = arguments.all("unit").first, arguments.all("unit").count == 1, !unit.isEmpty
    else { throw UsageError("--unit is to be given once; write --unit input_token") }
    let prlx = try arguments.required("prlx")
    let per = arguments.optional("per") ?? "1"
    guard let units = UInt256(decimal: per), units > 0 else {
      throw UsageError("--per is \"\(per)\", not a whole number above 0")
    }
    let wei = try arguments.parsed("prlx", prlx) { try Price.weiPerUnit(prlx: $0, per: units) }
    try await open().setPrice(model, unit: unit, wei: wei, from: try arguments.time("from"))
    show(
      ["model": .string(model), "unit": .string(unit), "wei": .string(wei.description)],
      "\(model): \(PRLX.text(wei)) PRLX a \(unit)")
  }

  private func listPrices() async throws {
    try arguments.expectWords(2)
    let prices = try await open().prices()
    show(
      [
        "prices": .array(
          prices.map {
            [
              "model": .string($0.model), "unit": .string($0.unit),
              "wei": .string($0.wei.description),
              "from": $0.from.map { .string($0) } ?? .null,
              "to": $0.to.map { .string($0) } ?? .null,
            ]
          })
      ],
      prices.isEmpty
        ? "no price is set; see meter price set"
        : prices.map {
          "\($0.model)  \($0.unit)  \(PRLX.text($0.wei)) PRLX  from \($0.from ?? "always")  to \($0.to ?? "-")"
        }.joined(separator: "\n"))
  }

  private func setNode() async throws {
    try arguments.expectWords(4)
    let node = try arguments.word(at: 2, "the node's id")
    let wallet = try address(at: 3, "the wallet")
    try await open().setNode(node, wallet: wallet, from: try arguments.time("from"))
    show(
      ["node": .string(node), "wallet": .string(wallet.checksummed)],
      "\(node) belongs to \(wallet)")
  }

  private func listNodes() async throws {
    try arguments.expectWords(2)
    let nodes = try await open().nodes()
    show(
      [
        "nodes": .array(
          nodes.map {
            [
              "node": .string($0.node), "wallet": .string($0.wallet.checksummed),
              "from": $0.from.map { .string($0) } ?? .null,
              "to": $0.to.map { .string($0) } ?? .null,
            ]
          })
      ],
      nodes.isEmpty
        ? "no node is set; see meter node set"
        : nodes.map { "\($0.node)  \($0.wallet)  from \($0.from ?? "always")  to \($0.to ?? "-")" }
          .joined(separator: "\n"))
  }

  private func rule() async throws -> ExitCode {
    let rule = try arguments.word(at: 0, "a command")
    let account = try address(at: 1, "the account")
    try arguments.expectWords(rule == "limit" ? 3 : 2)
    var limit: UInt256?
    if rule == "limit" {
      limit = try arguments.parsedWord(at: 2, "the limit") { text in
        text == "none" ? nil : try PRLX.wei(text)
      }
    }
    if rule == "freeze" { _ = try arguments.required("reason") }
    let status = try await open().setRule(
      account, rule: rule, reason: arguments.optional("reason"), limit: limit)
    show(
      ["account": .string(account.checksummed), "status": .string(status)], "\(account): \(status)")
    return status == "ok" ? .done : .failed
  }

  private func refund() async throws -> ExitCode {
    try arguments.expectWords(2)
    let request = try arguments.word(at: 1, "the request's id")
    let address = try arguments.parsed("account", arguments.required("account")) {
      try Address($0)
    }
    let reason = try arguments.required("reason")
    let answer = try await open().refund(request, account: address, reason: reason)
    show(
      [
        "request_id": .string(request), "status": .string(answer.status),
        "amount": answer.amount.map { .string($0) } ?? .null,
      ],
      "\(request): \(answer.status)"
        + (answer.amount.flatMap { UInt256(decimal: $0) }.map { ", \(PRLX.text($0)) PRLX" } ?? ""))
    return ["ok", "replay"].contains(answer.status) ? .done : .failed
  }
}
