import ChainRPC
import Foundation
import JSON
import TestSupport
import Testing

@Suite struct EndpointPoolTests {
  /// A pool over endpoints of which each gives one answer.
  private func pool(
    _ answers: [ScriptedEndpoint.Answer], quorum: Int? = nil,
    _ body: (EndpointPool, [ScriptedEndpoint]) async throws -> Void
  ) async throws {
    let endpoints = try answers.map { answer in try ScriptedEndpoint { _ in answer } }
    defer { for endpoint in endpoints { endpoint.stop() } }
    try await body(
      EndpointPool(endpoints.map { try Endpoint($0.url()) }, quorum: quorum), endpoints)
  }

  private func agreed(_ pool: EndpointPool) async throws -> UInt64 {
    try await pool.agreed(on: "the chain id") { try await $0.chainID() }
  }

  private let one = ScriptedEndpoint.Answer.result("0x1")
  private let two = ScriptedEndpoint.Answer.result("0x2")
  private let dead = ScriptedEndpoint.Answer.dropped

  @Test func `a quorum is 1 of 1, else 2, else what is said`() throws {
    let three = try ["http://a", "http://b", "http://c"].map { try Endpoint($0) }
    #expect(try EndpointPool([three[0]]).quorumText == "1 of 1")
    #expect(try EndpointPool(Array(three.prefix(2))).quorumText == "2 of 2")
    #expect(try EndpointPool(three).quorumText == "2 of 3")
    #expect(try EndpointPool(three, quorum: 3).quorumText == "3 of 3")
    #expect(throws: EndpointPool.PoolError.quorumTooLarge(quorum: 4, endpoints: 3)) {
      try EndpointPool(three, quorum: 4)
    }
    for quorum in [0, -1] {
      #expect(throws: EndpointPool.PoolError.quorumTooSmall(quorum: quorum)) {
        try EndpointPool(three, quorum: quorum)
      }
    }
    #expect(throws: EndpointPool.PoolError.self) { try EndpointPool([]) }
  }

  @Test func `an endpoint named twice has no two voices`() throws {
    #expect(throws: EndpointPool.PoolError.sameEndpointTwice(endpoint: "http://a")) {
      try EndpointPool(Endpoint.list("http://a/k,http://b,http://a/k"))
    }
  }

  @Test func `two of three agree, whoever the third is`() async throws {
    for answers in [[one, one, two], [two, one, one], [one, dead, one], [one, one, one]] {
      try await pool(answers) { pool, _ in
        let answer = try await agreed(pool)
        #expect(answer == 1)
      }
    }
  }

  @Test func `without a quorum every answer is listed`() async throws {
    for answers in [[one, two, dead], [one, dead, dead], [dead, dead, dead]] {
      try await pool(answers) { pool, endpoints in
        let error = await #expect(throws: RPCError.self) { try await agreed(pool) }
        guard case .noQuorum("the chain id", 2, let said)? = error else {
          Issue.record("\(error as Any)")
          return
        }
        #expect(said.count == 3)
        for (endpoint, text) in zip(endpoints, said) { #expect(text.hasPrefix(endpoint.url())) }
      }
    }
  }

  @Test func `a tie is no agreement`() async throws {
    try await pool([one, one, two, two]) { pool, _ in
      await #expect(throws: RPCError.self) { try await agreed(pool) }
    }
    try await pool([one, two], quorum: 1) { pool, _ in
      await #expect(throws: RPCError.self) { try await agreed(pool) }
    }
    try await pool([one, one, two, two, two]) { pool, _ in
      let answer = try await agreed(pool)
      #expect(answer == 2)
    }
  }

  @Test func `the only endpoint's own error comes through`() async throws {
    try await pool([one]) { pool, _ in
      let answer = try await agreed(pool)
      #expect(answer == 1)
    }
    try await pool([dead]) { pool, endpoints in
      await #expect(
        throws: RPCError.transport(endpoint: endpoints[0].url(), why: "connection lost")
      ) {
        try await agreed(pool)
      }
    }
  }

  @Test func `first asks the next only after a failure, and reports the first`() async throws {
    try await pool([dead, two, one]) { pool, endpoints in
      let answer = try await pool.first { try await $0.chainID() }
      #expect(answer == 2)
      #expect(endpoints.map(\.requests.count) == [1, 1, 0])
    }
    try await pool([.text("", status: 500), dead]) { pool, endpoints in
      await #expect(
        throws: RPCError.http(endpoint: endpoints[0].url(), status: 500, retryAfterSeconds: nil)
      ) { try await pool.first { try await $0.chainID() } }
    }
  }

  @Test func `first asks nobody more once it is cancelled`() async throws {
    try await pool([.silent, one]) { pool, endpoints in
      let task = Task { try await pool.first { try await $0.chainID() } }
      await endpoints[0].untilAsked()
      task.cancel()
      await #expect(throws: RPCError.self) { try await task.value }
      #expect(endpoints[1].requests.isEmpty)
    }
  }

  @Test func `every endpoint that answers must serve the chain, and one must answer`() async throws
  {
    try await pool([one, dead, one]) { pool, _ in try await pool.checkChain(1) }
    try await pool([one, two]) { pool, endpoints in
      await #expect(
        throws: EndpointPool.PoolError.wrongChain(endpoint: endpoints[1].url(), wanted: 1, found: 2)
      ) { try await pool.checkChain(1) }
    }
    try await pool([dead, dead]) { pool, _ in
      await #expect(throws: RPCError.self) { try await pool.checkChain(1) }
    }
  }

  @Test func `all keeps the order of the endpoints`() async throws {
    try await pool([two, dead, one]) { pool, endpoints in
      let all = await pool.all { try await $0.chainID() }
      #expect(all.map(\.endpoint) == endpoints.map { $0.url() })
      #expect(all.map { try? $0.result.get() } == [2, nil, 1])
    }
  }
}
