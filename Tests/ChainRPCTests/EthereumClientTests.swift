import ChainRPC
import Ethereum
import Foundation
import JSON
import RLP
import TestSupport
import Testing

@Suite struct EthereumClientTests {
  private static let word: JSONValue = .string("0x" + String(repeating: "1", count: 64))
  private static let address: JSONValue = .string("0x" + String(repeating: "2", count: 40))

  @discardableResult
  private func with<Value>(
    _ answer: ScriptedEndpoint.Answer, _ body: (EthereumClient) async throws -> Value
  ) async throws -> Value {
    try await ScriptedEndpoint.with(answer) { endpoint in
      try await body(EthereumClient(JSONRPCClient(try Endpoint(endpoint.url()))))
    }
  }

  /// Every answer that is like a good one but for one member must be malformed, or hash to something else; none may trap.
  private func expectMalformed(
    _ answers: [(what: String, value: JSONValue)],
    _ question: @escaping @Sendable (EthereumClient) async throws -> Void
  ) async throws {
    let values = answers.map(\.value)
    let endpoint = try ScriptedEndpoint { request in
      // The call's one parameter that tests choose is which answer they want.
      let index = request.target.dropFirst().split(separator: "/").last.flatMap { Int($0) } ?? 0
      return .result(values[index])
    }
    defer { endpoint.stop() }
    for (index, answer) in answers.enumerated() {
      let client = EthereumClient(JSONRPCClient(try Endpoint(endpoint.url(path: "/\(index)"))))
      let error = await #expect(throws: RPCError.self, "\(answer.what)") {
        try await question(client)
      }
      switch error {
      case .malformed?, .disproved?: break
      default: Issue.record("\(answer.what): \(error as Any)")
      }
    }
  }

  /// Values that are of no type that any member has, or too long for it.
  private static let hostile: [JSONValue] = [
    nil, true, 1, -1, .number("1e999"), "", "0x", "0xzz", "x", [], ["0x1"], ["a": 1],
    .string("0x" + String(repeating: "f", count: 66)),
    .string("0x" + String(repeating: "f", count: 1000)),
    .string(String(repeating: "9", count: 500)),
  ]

  private static func replacing(
    _ key: String, in object: JSONValue, with value: JSONValue?
  ) -> JSONValue {
    guard case .object(let members) = object else { return object }
    return .object(
      members.compactMap { member in
        member.key == key ? value.map { (key: key, value: $0) } : member
      })
  }

  // MARK: Blocks

  /// A mainnet header as a node shows it in JSON, made from its RLP.
  private func block(_ fork: String) throws -> (json: JSONValue, hash: Hash32, number: UInt64) {
    let line = try #require(
      Fixtures.lines("mainnet_headers.txt").first { $0.hasPrefix(fork + " ") })
    let part = line.split(separator: " ").map(String.init)
    guard case .list(let items) = try RLP.decode(Hex.decode(part[3])) else {
      throw RPCError.noQuorum(what: "", needed: 0, answers: [])
    }
    let names = [
      "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot",
      "logsBloom", "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData",
      "mixHash",
      "nonce", "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas",
      "parentBeaconBlockRoot", "requestsHash",
    ]
    let quantities: Set = [
      "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed",
      "excessBlobGas",
    ]
    var members: [(key: String, value: JSONValue)] = []
    for (name, item) in zip(names, items) {
      guard case .bytes(let bytes) = item else { continue }
      let text =
        quantities.contains(name) ? try UInt256(bigEndian: bytes).quantity : Hex.encode(bytes)
      members.append((name, .string(text)))
    }
    members.append(("hash", .string(part[2])))
    members.append(("transactions", [Self.word]))
    members.append(("uncles", []))
    members.append(("size", "0x220"))
    return (
      .object(members), try Hash32(hex: part[2]), try #require(UInt64(part[1]))
    )
  }

  @Test(arguments: ["Frontier", "London", "Paris", "Shanghai", "Cancun", "Prague"])
  func `mainnet blocks are read`(fork: String) async throws {
    let (json, hash, number) = try block(fork)
    try await with(.result(json)) { client in
      let found = try #require(try await client.block(.hash(hash)))
      #expect(found.hash == hash && found.header.hash == hash)
      #expect(found.header.number == number)
      #expect(found.transactions.count == 1)
      #expect(try await client.block(.number(number)) == found)
      #expect(try await client.block(.latest) == found)
    }
  }

  @Test func `a block that is not known is nil`() async throws {
    try await with(.result(nil)) { client in
      let found = try await client.block(.finalized)
      #expect(found == nil)
    }
  }

  @Test func `a block that is not the one asked for is malformed`() async throws {
    let (json, _, number) = try block("London")
    try await with(.result(json)) { client in
      await #expect(throws: RPCError.self) { try await client.block(.hash(.zero)) }
      await #expect(throws: RPCError.self) { try await client.block(.number(number + 1)) }
    }
  }

  @Test func `a block with any member missing, of another type or too long is malformed`()
    async throws
  {
    let (json, _, _) = try block("Prague")
    guard case .object(let members) = json else { return }
    var answers = Self.hostile.filter { $0 != .null }.map {
      (what: "the block is \($0)", value: $0)
    }
    for member in members where !["uncles", "size"].contains(member.key) {
      answers.append(
        ("no \(member.key)", Self.replacing(member.key, in: json, with: nil)))
      for value in Self.hostile {
        // Other forms of the same that are no lie: any extra data, no transactions.
        if member.key == "extraData", (try? Hex.decode(value.string ?? "")) != nil { continue }
        if member.key == "transactions", value == [] { continue }
        answers.append(
          ("\(member.key) is \(value)", Self.replacing(member.key, in: json, with: value)))
      }
    }
    // Extra data may be anything, but then the hash is another.
    answers.append(("extraData is 0x", Self.replacing("extraData", in: json, with: "0x")))
    answers.append(
      ("a transaction", Self.replacing("transactions", in: json, with: [Self.address])))
    try await expectMalformed(answers) { _ = try await $0.block(.latest) }
  }

  @Test func `a header that does not hash to its block's hash says so`() async throws {
    let (json, hash, _) = try block("Cancun")
    let forged = Self.replacing("receiptsRoot", in: json, with: Self.word)
    try await with(.result(forged)) { client in
      let error = await #expect(throws: RPCError.self) { try await client.block(.hash(hash)) }
      #expect("\(error as Any)".contains("does not hash to \(hash)"))
    }
  }

  /// A field that this program does not know makes the hash another: it fails closed.
  @Test func `a header with a field that is not known here is malformed`() async throws {
    let line = try #require(
      Fixtures.lines("mainnet_headers.txt").first { $0.hasPrefix("Prague ") })
    guard
      case .list(let items) = try RLP.decode(Hex.decode(String(line.split(separator: " ")[3])))
    else { return }
    let extended = items + [.bytes(Hash32.zero.bytes), .integer(9)]
    let (json, _, _) = try block("Prague")
    guard case .object(var members) = json else { return }
    func answer(_ hash: Hash32) -> JSONValue {
      Self.replacing("hash", in: .object(members), with: .string(hash.hex))
    }
    members.append(("blockAccessListHash", .string(Hash32.zero.hex)))
    members.append(("slotNumber", "0x9"))
    // The announced fields are known.
    let announced = Hash32.keccak(RLP.encode(.list(extended)))
    try await with(.result(answer(announced))) { client in
      let found = try await client.block(.latest)
      #expect(found?.header[.slotNumber] == [9])
    }
    members.append(("somethingNew", "0x1"))
    let unknown = Hash32.keccak(RLP.encode(.list(extended + [.integer(1)])))
    try await with(.result(answer(unknown))) { client in
      await #expect(throws: RPCError.self) { try await client.block(.latest) }
    }
    // A later field without an earlier one.
    let gap = Self.replacing("withdrawalsRoot", in: json, with: nil)
    try await with(.result(gap)) { client in
      let error = await #expect(throws: RPCError.self) { try await client.block(.latest) }
      #expect("\(error as Any)".contains("without what comes before it"))
    }
  }

  @Test func `a range of blocks comes whole and in order, or not at all`() async throws {
    let (json, hash, number) = try block("Prague")
    let ask = number...number
    let answer = { (results: JSONValue...) in
      ScriptedEndpoint.Answer.json(
        .array(results.enumerated().map { ["id": .number($0 + 1), "result": $1] }))
    }
    try await with(answer(json)) { client in
      let blocks = try await client.blocks(ask)
      #expect(blocks.map(\.hash) == [hash])
    }
    try await with(answer(nil)) { client in
      await #expect(throws: RPCError.self) { try await client.blocks(ask) }
    }
    try await with(answer(json, json)) { client in
      await #expect(throws: RPCError.self) { try await client.blocks(number...number + 1) }
    }
  }

  // MARK: Receipts and logs

  private static let log: JSONValue = [
    "address": address, "topics": [word], "data": "0x01", "blockNumber": "0x5", "blockHash": word,
    "transactionHash": word, "transactionIndex": "0x0", "logIndex": "0x0", "removed": false,
  ]

  private static let receipt: JSONValue = [
    "type": "0x2", "status": "0x1", "cumulativeGasUsed": "0x5208", "gasUsed": "0x5208",
    "logs": [log], "transactionHash": word, "blockNumber": "0x5", "blockHash": word,
    "effectiveGasPrice": "0x7", "logsBloom": "0x", "contractAddress": nil,
  ]

  private static let hash = Hash32.repeating(0x11)

  @Test func `receipts are read`() async throws {
    try await with(.result(Self.receipt)) { client in
      let placed = try #require(try await client.receipt(Self.hash))
      #expect(placed.receipt.type == 2 && placed.receipt.succeeded)
      #expect(placed.receipt.cumulativeGasUsed == 21000 && placed.effectiveGasPrice == 7)
      #expect(placed.receipt.logs.first?.data == [1])
    }
    try await with(.result([Self.receipt])) { client in
      let receipts = try await client.receipts(Self.hash)
      #expect(receipts.count == 1)
    }
    try await with(.result(nil)) { client in
      let receipt = try await client.receipt(Self.hash)
      #expect(receipt == nil)
      await #expect(throws: RPCError.self) { try await client.receipts(Self.hash) }
    }
    // Before Byzantium: a state root, no status; before EIP-2718: no type.
    let old = Self.replacing(
      "type", in: Self.replacing("status", in: Self.receipt, with: nil), with: nil)
    guard case .object(let members) = old else { return }
    try await with(.result(.object(members + [(key: "root", value: Self.word)]))) { client in
      let placed = try #require(try await client.receipt(Self.hash))
      #expect(placed.receipt.outcome == .stateRoot(Self.hash) && placed.receipt.type == 0)
    }
  }

  @Test func `a receipt with any member missing, of another type or too long is malformed`()
    async throws
  {
    var answers: [(what: String, value: JSONValue)] = []
    let keys = [
      "status", "cumulativeGasUsed", "gasUsed", "logs", "transactionHash", "blockNumber",
      "blockHash",
      "effectiveGasPrice", "type",
    ]
    for key in keys {
      if !["effectiveGasPrice", "type"].contains(key) {
        answers.append(("no \(key)", Self.replacing(key, in: Self.receipt, with: nil)))
      }
      for value in Self.hostile {
        if key == "logs", value == [] { continue }
        answers.append(("\(key) is \(value)", Self.replacing(key, in: Self.receipt, with: value)))
      }
    }
    for (key, value) in [("status", "0x2"), ("type", "0x80"), ("type", "0xff"), ("type", "0x100")] {
      answers.append(
        ("\(key) is \(value)", Self.replacing(key, in: Self.receipt, with: .string(value))))
    }
    // Of another transaction than was asked for.
    let another: JSONValue = .string(Hash32.zero.hex)
    answers.append(
      ("another transaction", Self.replacing("transactionHash", in: Self.receipt, with: another)))
    try await expectMalformed(answers) { _ = try await $0.receipt(Self.hash) }
    // Of another block, for a block's.
    let moved = Self.replacing("blockHash", in: Self.receipt, with: another)
    try await expectMalformed([("another block", [Self.receipt, moved])]) {
      _ = try await $0.receipts(Self.hash)
    }
  }

  @Test func `a log with any member missing, of another type or too long is malformed`()
    async throws
  {
    var answers = Self.hostile.filter { $0 != [] }.map { (what: "logs are \($0)", value: $0) }
    for value in Self.hostile { answers.append(("a log is \(value)", [value])) }
    let keys = [
      "address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "logIndex",
    ]
    for key in keys {
      answers.append(("no \(key)", [Self.replacing(key, in: Self.log, with: nil)]))
      for value in Self.hostile {
        // Data of any length is data, and no topics are topics.
        if key == "data", (try? Hex.decode(value.string ?? "")) != nil { continue }
        if key == "topics", value == [] { continue }
        answers.append(("\(key) is \(value)", [Self.replacing(key, in: Self.log, with: value)]))
      }
    }
    let five: JSONValue = .array([JSONValue](repeating: Self.word, count: 5))
    answers.append(("five topics", [Self.replacing("topics", in: Self.log, with: five)]))
    try await expectMalformed(answers) {
      _ = try await $0.logs(1...5, addresses: [.zero], topics: [[Self.hash]])
    }
  }

  @Test func `a filter asks for a range, addresses and first topics`() async throws {
    try await ScriptedEndpoint.with(.result([Self.log])) { endpoint in
      let client = EthereumClient(JSONRPCClient(try Endpoint(endpoint.url())))
      let logs = try await client.logs(16...32, addresses: [.zero], topics: [[Self.hash], nil])
      #expect(logs.first?.index == 0 && logs.first?.blockNumber == 5)
      let sent = try #require(endpoint.requests.first?.json)
      #expect(sent["method"] == "eth_getLogs")
      #expect(
        sent["params"] == [
          [
            "fromBlock": "0x10", "toBlock": "0x20", "address": [.string(Address.zero.checksummed)],
            "topics": [[.string(Self.hash.hex)], nil],
          ]
        ])
    }
  }

  // MARK: Quantities

  @Test(
    arguments: [
      nil, true, 1, "", "0x", "1", "0x01", "0X1", "0x-1", "0x1 ", "0xg", "0x10000000000000000", [],
      ["a": 1],
      .string("0x" + String(repeating: "f", count: 10_000)),
    ] as [JSONValue])
  func `a number that is no quantity, or too large, is malformed`(value: JSONValue) async throws {
    try await with(.result(value)) { client in
      await #expect(throws: RPCError.self) { try await client.chainID() }
      await #expect(throws: RPCError.self) { try await client.transactionCount(.zero, at: .latest) }
      await #expect(throws: RPCError.self) {
        try await client.estimateGas(from: .zero, to: .zero, data: [])
      }
    }
  }

  @Test func `fees are the next base fee and the median tip`() async throws {
    let answer: JSONValue = [
      "oldestBlock": "0x1", "baseFeePerGas": ["0x1", "0x2", "0x9"],
      "reward": [["0x5"], ["0x1"], ["0x3"]],
    ]
    try await with(.result(answer)) { client in
      let fees = try await client.fees()
      #expect(fees.baseFee == 9 && fees.tip == 3)
    }
    for broken: JSONValue in [
      nil, [:], ["baseFeePerGas": []], ["baseFeePerGas": "0x1"], ["baseFeePerGas": [nil]],
      ["baseFeePerGas": ["0x1"], "reward": [["x"]]], ["baseFeePerGas": ["0x1"], "reward": [[1]]],
    ] {
      try await with(.result(broken)) { client in
        await #expect(throws: RPCError.self, "\(broken)") { try await client.fees() }
      }
    }
  }

  @Test func `each block identifier goes out as its method wants it`() async throws {
    try await ScriptedEndpoint.with(.result("0x")) { endpoint in
      let client = EthereumClient(JSONRPCClient(try Endpoint(endpoint.url())))
      for id: EthereumClient.BlockID in [
        .number(0), .number(255), .hash(Self.hash), .latest, .finalized, .pending,
      ] {
        _ = try await client.code(.zero, at: id)
      }
      let asked = endpoint.requests.map { $0.json?["params"]?.array?.last }
      #expect(
        asked == [
          "0x0", "0xff", ["blockHash": .string(Self.hash.hex)], "latest", "finalized", "pending",
        ])
    }
  }
}

extension Hash32 {
  fileprivate static func repeating(_ byte: UInt8) -> Hash32 {
    (try? Hash32([UInt8](repeating: byte, count: 32))) ?? .zero
  }
}
