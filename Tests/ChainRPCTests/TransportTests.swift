import ChainRPC
import Foundation
import JSON
import TestSupport
import Testing

/// What a node does to a connection, and what the caller is told of it.
@Suite struct TransportTests {
  private func client(
    _ endpoint: ScriptedEndpoint, timeout: Double = 20, deadline: Double = 80, cap: Int = 1 << 20
  ) throws -> JSONRPCClient {
    JSONRPCClient(
      try Endpoint(endpoint.url()), timeoutSeconds: timeout, deadlineSeconds: deadline, bodyCap: cap
    )
  }

  /// The error of a call that a planned answer must make fail.
  private func failure(
    of answer: ScriptedEndpoint.Answer, timeout: Double = 20, deadline: Double = 80,
    cap: Int = 1 << 20
  ) async throws -> RPCError? {
    try await ScriptedEndpoint.with(answer) { endpoint in
      let client = try client(endpoint, timeout: timeout, deadline: deadline, cap: cap)
      return await #expect(throws: RPCError.self) { try await client.call("eth_chainId") }
    }
  }

  private func reason(_ error: RPCError?) -> String? {
    if case .transport(_, let why)? = error { why } else { nil }
  }

  @Test func `a call is a POST of one JSON-RPC object, its answer the result`() async throws {
    try await ScriptedEndpoint.with(.result("0x1")) { endpoint in
      let answer = try await client(endpoint).call("eth_getBlockByNumber", ["0x5", false])
      #expect(answer == "0x1")
      let request = try #require(endpoint.requests.first)
      #expect(request.headers["content-type"] == "application/json")
      #expect(
        request.json == [
          "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x5", false],
        ])
    }
  }

  @Test func `a chunked body is put together`() async throws {
    let text = Array(#"{"jsonrpc":"2.0","id":1,"result":"0xabc"}"#.utf8)
    let parts = [Array(text.prefix(1)), Array(text[1..<30]), Array(text[30...])]
    try await ScriptedEndpoint.with(.chunked(parts)) { endpoint in
      let answer = try await client(endpoint).call("eth_chainId")
      #expect(answer == "0xabc")
    }
  }

  @Test func `half a body is no answer, whatever half`() async throws {
    let whole = Array(#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#.utf8)
    for answer in [
      ScriptedEndpoint.Answer.half(whole, announced: whole.count + 1),
      .half(Array(whole.prefix(7)), announced: whole.count),
      // Complete as JSON, but the closing chunk is missing.
      .halfChunked([whole]), .halfChunked([Array(whole.prefix(7))]), .dropped,
    ] {
      #expect(reason(try await failure(of: answer)) == "connection lost", "\(answer)")
    }
  }

  @Test func `what is not HTTP is an error and no trap`() async throws {
    for text in [
      "garbage\r\n\r\n", "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n",
      "HTTP/1.1 99999 X\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}", "HTTP/1.1 200 OK\r\n: no name\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip",
      "HTTP/1.1 200 OK\r\n folded first\r\n\r\n{}", "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 200 OK\r\n",
    ] {
      _ = try await failure(of: .raw(text))
    }
  }

  @Test func `one connection carries call after call`() async throws {
    try await ScriptedEndpoint.with(.result("0x1")) { endpoint in
      let client = try client(endpoint)
      for _ in 0..<20 { _ = try await client.call("eth_chainId") }
      #expect(endpoint.requests.count == 20)
      #expect(endpoint.connectionCount == 1)
    }
  }

  /// Servers close idle connections without a word; the next call must not suffer for it.
  @Test func `a connection closed between two calls is opened again`() async throws {
    let body = Array(#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#.utf8)
    try await ScriptedEndpoint.with(.thenClosed(body)) { endpoint in
      let client = try client(endpoint)
      for _ in 0..<20 { _ = try await client.call("eth_chainId") }
      #expect(endpoint.requests.count == 20)
    }
    // The request was read, and not a byte of an answer came: asked once more, on a new connection.
    try await ScriptedEndpoint.with(.result("0x1"), .dropped, .result("0x2")) { endpoint in
      let client = try client(endpoint)
      #expect(try await client.call("eth_chainId") == "0x1")
      #expect(try await client.call("eth_chainId") == "0x2")
    }
    // Once, not for ever; and not when an answer had begun.
    for broken in [ScriptedEndpoint.Answer.dropped, .half([0x7b], announced: 40)] {
      try await ScriptedEndpoint.with(.result("0x1"), broken, .dropped) { endpoint in
        let client = try client(endpoint)
        #expect(try await client.call("eth_chainId") == "0x1")
        await #expect(throws: RPCError.transport(endpoint: endpoint.url(), why: "connection lost"))
        {
          try await client.call("eth_chainId")
        }
      }
    }
  }

  @Test func `more calls than connections wait in line`() async throws {
    let endpoint = try ScriptedEndpoint { request in
      .result(request.json?["params"]?.array?.first ?? nil)
    }
    defer { endpoint.stop() }
    let client = try client(endpoint)
    try await withThrowingTaskGroup(of: (Int, JSONValue).self) { group in
      for index in 0..<200 {
        group.addTask { (index, try await client.call("echo", [.number(index)])) }
      }
      for try await (index, answer) in group { #expect(answer == .number(index)) }
    }
    #expect(endpoint.connectionCount <= 16)
  }

  @Test func `each address of a name is tried`() async throws {
    try await ScriptedEndpoint.with(.result("0x1")) { endpoint in
      let client = JSONRPCClient(try Endpoint("http://localhost:\(endpoint.port)"))
      #expect(try await client.call("eth_chainId") == "0x1")
    }
    let client = JSONRPCClient(try Endpoint("http://no-such-host.invalid"))
    let error = await #expect(throws: RPCError.self) { try await client.call("eth_chainId") }
    #expect(reason(error) == "unknown host")
  }

  @Test func `path, query and password go to the endpoint as written`() async throws {
    try await ScriptedEndpoint.with(.result("0x1")) { endpoint in
      let url = endpoint.url(user: "al%40ice:p%3Aw", path: "/v2/k%2Fey?apikey=a%20b&x")
      _ = try await JSONRPCClient(try Endpoint(url)).call("eth_chainId")
      let request = try #require(endpoint.requests.first)
      #expect(request.target == "/v2/k%2Fey?apikey=a%20b&x")
      #expect(request.headers["host"] == "127.0.0.1:\(endpoint.port)")
      // RFC 7617.
      let credentials = Data("al@ice:p:w".utf8).base64EncodedString()
      #expect(request.headers["authorization"] == "Basic \(credentials)")
    }
  }

  @Test func `silence ends with a time-out`() async throws {
    #expect(reason(try await failure(of: .silent, timeout: 0.2)) == "timed out")
  }

  @Test func `a body that trickles for ever ends with the deadline`() async throws {
    #expect(reason(try await failure(of: .trickle, deadline: 0.3)) == "timed out")
  }

  @Test func `nothing listens`() async throws {
    let endpoint = try ScriptedEndpoint(.dropped)
    endpoint.stop()
    let client = try client(endpoint)
    let error = await #expect(throws: RPCError.self) { try await client.call("eth_chainId") }
    #expect(reason(error) == "cannot connect: Connection refused")
  }

  @Test func `an endless body is cut at the cap, and the rest is never read`() async throws {
    try await ScriptedEndpoint.with(.endless()) { endpoint in
      let client = try client(endpoint, cap: 1 << 20)
      let error = await #expect(throws: RPCError.self) { try await client.call("eth_chainId") }
      #expect(error == .bodyTooLarge(endpoint: endpoint.url(), cap: 1 << 20))
      // It hangs up. What was under way in the buffers of two sockets is all that was sent above the cap.
      await endpoint.untilHungUp()
      #expect(endpoint.bytesTaken < 64 << 20)
    }
  }

  @Test func `a length above the cap is refused before the body`() async throws {
    let answer = ScriptedEndpoint.Answer.half([1, 2, 3], announced: 1_000_001)
    let error = try await failure(of: answer, cap: 1_000_000)
    if case .bodyTooLarge(_, 1_000_000)? = error {} else { Issue.record("\(error as Any)") }
  }

  @Test func `a body of exactly the cap is taken, one byte more is not`() async throws {
    let body = Array(#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#.utf8)
    for answer in [ScriptedEndpoint.Answer.whole(body: body), .chunked([body])] {
      try await ScriptedEndpoint.with(answer) { endpoint in
        let answer = try await client(endpoint, cap: body.count).call("eth_chainId")
        #expect(answer == "0x1")
        await #expect(throws: RPCError.bodyTooLarge(endpoint: endpoint.url(), cap: body.count - 1))
        {
          try await client(endpoint, cap: body.count - 1).call("eth_chainId")
        }
      }
    }
  }

  @Test(arguments: [400, 401, 403, 404, 413, 429, 500, 502, 503])
  func `a status is an error, even with a good body`(status: Int) async throws {
    let body: JSONValue = ["jsonrpc": "2.0", "id": 1, "result": "0x1"]
    try await ScriptedEndpoint.with(.json(body, status: status)) { endpoint in
      await #expect(
        throws: RPCError.http(endpoint: endpoint.url(), status: status, retryAfterSeconds: nil)
      ) { try await client(endpoint).call("eth_chainId") }
    }
  }

  @Test(
    arguments: [
      ("7", 7), ("0", 0), ("-5", nil), ("+5", nil), ("1.5", nil), ("", nil), ("soon", nil),
      ("Wed, 21 Oct 2015 07:28:00 GMT", nil), ("99999999999999999999999", nil),
    ] as [(String, Int?)])
  func `Retry-After is kept when it is seconds`(header: String, wanted: Int?) async throws {
    let answer = ScriptedEndpoint.Answer.text(
      "slow down", status: 429, headers: ["Retry-After: \(header)"])
    try await ScriptedEndpoint.with(answer) { endpoint in
      await #expect(
        throws: RPCError.http(endpoint: endpoint.url(), status: 429, retryAfterSeconds: wanted)
      ) { try await client(endpoint).call("eth_chainId") }
    }
  }

  @Test(arguments: [
    "Basic realm=\"x\"", "Digest realm=\"x\", nonce=\"y\"", "Basic", "?", "Basic realm=",
  ])
  func `a demand for a password is an error at once`(challenge: String) async throws {
    let answer = ScriptedEndpoint.Answer.text(
      "", status: 401, headers: ["WWW-Authenticate: \(challenge)"])
    try await ScriptedEndpoint.with(answer) { endpoint in
      await #expect(
        throws: RPCError.http(endpoint: endpoint.url(), status: 401, retryAfterSeconds: nil)
      ) { try await client(endpoint).call("eth_chainId") }
      #expect(endpoint.requests.count == 1)
    }
  }

  /// A body may be a signed transaction: it must not go where a node sends it.
  @Test(arguments: [301, 302, 303, 307, 308])
  func `a redirect is an error and is not followed`(status: Int) async throws {
    try await ScriptedEndpoint.with(.result("0x1")) { other in
      for location in [other.url(), "/elsewhere", "elsewhere?a=%zz", "//127.0.0.1:\(other.port)/"] {
        let answer = ScriptedEndpoint.Answer.text(
          "moved", status: status, headers: ["Location: \(location)"])
        try await ScriptedEndpoint.with(answer) { endpoint in
          let client = try client(endpoint)
          let error = await #expect(throws: RPCError.self) {
            try await client.call("eth_sendRawTransaction", ["0x02"])
          }
          #expect(
            error == .http(endpoint: endpoint.url(), status: status, retryAfterSeconds: nil))
          #expect("\(error as Any)".contains("redirects"))
          #expect(endpoint.requests.count == 1)
        }
      }
      #expect(other.requests.isEmpty)
    }
  }

  // MARK: Cancellation

  @Test func `cancelling the task ends the request`() async throws {
    try await ScriptedEndpoint.with(.silent) { endpoint in
      let client = try client(endpoint)
      let task = Task { try await client.call("eth_chainId") }
      await endpoint.untilAsked()
      task.cancel()
      await #expect(throws: RPCError.transport(endpoint: endpoint.url(), why: "cancelled")) {
        try await task.value
      }
      await endpoint.untilHungUp()
    }
  }

  @Test func `a task that is cancelled already asks nothing`() async throws {
    try await ScriptedEndpoint.with(.result("0x1")) { endpoint in
      let client = try client(endpoint)
      let task = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        return try await client.call("eth_chainId")
      }
      await #expect(throws: RPCError.transport(endpoint: endpoint.url(), why: "cancelled")) {
        try await task.value
      }
      #expect(endpoint.requests.isEmpty)
    }
  }

  /// Cancellation races with the start and with the answer; every call ends all the same.
  @Test func `every one of many cancelled calls ends`() async throws {
    try await ScriptedEndpoint.with(.result("0x1")) { endpoint in
      let client = try client(endpoint)
      await withTaskGroup(of: Void.self) { group in
        for index in 0..<300 {
          group.addTask {
            let call = Task { try await client.call("eth_chainId") }
            for _ in 0..<(index % 30) { await Task.yield() }
            call.cancel()
            switch await call.result {
            case .success(let answer): #expect(answer == "0x1")
            case .failure(let error):
              #expect(
                error as? RPCError == .transport(endpoint: endpoint.url(), why: "cancelled"))
            }
          }
        }
      }
      #expect(try await client.call("eth_chainId") == "0x1")
    }
  }

  @Test func `a client that goes leaves calls under way to their end`() async throws {
    try await ScriptedEndpoint.with(.result("0x1")) { endpoint in
      for _ in 0..<20 {
        let answer = try await client(endpoint).call("eth_chainId")
        #expect(answer == "0x1")
      }
    }
  }
}
