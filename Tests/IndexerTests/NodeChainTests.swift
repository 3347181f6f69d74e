import ChainRPC
import Ethereum
import JSON
import TestSupport
import Testing

@testable import Indexer

/// What a quorum makes of endpoints that disagree, over HTTP.
@Suite struct NodeChainTests {
  /// An endpoint's claims: a fork's name, its head and what it calls final.
  struct Claim: Sendable {
    let fork: String
    let head: UInt64
    let final: UInt64?
  }

  /// Blocks below 10 are everybody's; from there on each fork has its own.
  private static func header(_ number: UInt64, fork: String) -> Header {
    Header(
      parentHash: .zero, ommersHash: .zero, beneficiary: .zero, stateRoot: .zero,
      transactionsRoot: OrderedTrie.emptyRoot, receiptsRoot: .zero, logsBloom: Bloom(),
      difficulty: .zero, number: number, gasLimit: 0, gasUsed: 0, timestamp: number,
      extraData: number < 10 ? [] : Array(fork.utf8), mixHash: .zero,
      nonce: [UInt8](repeating: 0, count: 8), tail: [])
  }

  private static func block(_ number: UInt64, fork: String) -> JSONValue {
    let header = header(number, fork: fork)
    let zero = JSONValue.string(Hash32.zero.hex)
    let quantity = JSONValue.string("0x" + String(number, radix: 16))
    return [
      "hash": .string(header.hash.hex), "parentHash": zero, "sha3Uncles": zero,
      "miner": .string(Hex.encode(header.beneficiary.bytes)), "stateRoot": zero,
      "transactionsRoot": .string(header.transactionsRoot.hex), "receiptsRoot": zero,
      "logsBloom": .string(Hex.encode(header.logsBloom.bytes)), "difficulty": "0x0",
      "number": quantity, "gasLimit": "0x0", "gasUsed": "0x0", "timestamp": quantity,
      "extraData": .string(Hex.encode(header.extraData)), "mixHash": zero,
      "nonce": "0x0000000000000000", "transactions": [],
    ]
  }

  private func tip(_ claims: [Claim], quorum: Int? = nil) async throws -> ChainTip {
    let endpoints = try claims.map { claim in
      try ScriptedEndpoint { request in
        let wanted = request.json?["params"]?.array?.first?.string ?? ""
        let number =
          switch wanted {
          case "latest": claim.head
          case "finalized": claim.final
          default: UInt64(wanted.dropFirst(2), radix: 16)
          }
        guard let number, number <= max(claim.head, claim.final ?? 0) else {
          return .json(["jsonrpc": "2.0", "id": request.json?["id"] ?? .null, "result": .null])
        }
        return .json([
          "jsonrpc": "2.0", "id": request.json?["id"] ?? .null,
          "result": Self.block(number, fork: claim.fork),
        ])
      }
    }
    defer { for endpoint in endpoints { endpoint.stop() } }
    return try await NodeChain(
      EndpointPool(endpoints.map { try Endpoint($0.url()) }, quorum: quorum)
    ).tip()
  }

  private func reference(_ number: UInt64, _ fork: String) -> BlockReference {
    BlockReference(number: number, hash: Self.header(number, fork: fork).hash)
  }

  @Test func `two of three decide, whatever the third says`() async throws {
    for liar in [
      Claim(fork: "b", head: 20, final: 15), Claim(fork: "b", head: 1_000, final: 900),
      Claim(fork: "b", head: 3, final: nil), Claim(fork: "a", head: 12, final: 0),
    ] {
      let tip = try await tip([
        Claim(fork: "a", head: 20, final: 15), liar, Claim(fork: "a", head: 20, final: 15),
      ])
      #expect(tip.head == reference(20, "a"))
      #expect(tip.finalized == reference(15, "a"))
    }
  }

  /// Where each of two forks has a quorum there is none: to pick one would credit what may not be final.
  @Test func `a tie of two forks is no agreement`() async throws {
    let claims = ["a", "b", "a", "b"].map { Claim(fork: $0, head: 20, final: 15) }
    for _ in 0..<8 {
      let tip = try await tip(claims, quorum: 2)
      #expect(tip.head == nil && tip.finalized == nil)
    }
  }

  @Test func `an endpoint that is behind lowers what is agreed, not what is true`() async throws {
    let tip = try await tip([
      Claim(fork: "a", head: 20, final: 15), Claim(fork: "a", head: 11, final: 8),
    ])
    #expect(tip.head == reference(11, "a"))
    #expect(tip.finalized == reference(8, "a"))
  }
}
