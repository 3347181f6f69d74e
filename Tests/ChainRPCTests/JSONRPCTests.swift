import ChainRPC
import Foundation
import JSON
import TestSupport
import Testing

/// What a node says in a whole HTTP answer: single calls, batches, errors, and what must not be shown of them.
@Suite struct JSONRPCTests {
  private func answered(
    _ text: String, _ body: (JSONRPCClient, String) async throws -> Void
  ) async throws {
    try await ScriptedEndpoint.with(.text(text)) { endpoint in
      try await body(JSONRPCClient(try Endpoint(endpoint.url())), endpoint.url())
    }
  }

  private let calls = [
    JSONRPCClient.Call("a"), JSONRPCClient.Call("b", ["x"]), JSONRPCClient.Call("c"),
  ]

  @Test func `a null result is a result`() async throws {
    try await answered(#"{"jsonrpc":"2.0","id":1,"result":null}"#) { client, _ in
      let answer = try await client.call("eth_getBlockByHash")
      #expect(answer == .null)
    }
  }

  @Test(arguments: [
    "", "null", "true", "1", "\"x\"", "[]", "{}", "<html>no</html>", #"{"jsonrpc":"2.0","id":1}"#,
    #"{"jsonrpc":"2.0","id":2,"result":"0x1"}"#, #"{"jsonrpc":"2.0","id":"1","result":"0x1"}"#,
    #"{"jsonrpc":"2.0","id":null,"result":"0x1"}"#, #"{"jsonrpc":"2.0","result":"0x1"}"#,
    #"{"jsonrpc":"2.0","id":1.0,"result":"0x1"}"#, #"[{"jsonrpc":"2.0","id":1,"result":"0x1"}]"#,
    #"{"jsonrpc":"2.0","id":1,"result":"0x1"} x"#, #"{"jsonrpc":"2.0","id":1,"result":"0x1"#,
    #"{"id":1,"result":"0x1","result":"0x2"}"#, #"{"id":1,"error":"broken"}"#,
    #"{"id":1,"error":{}}"#, #"{"id":1,"error":{"code":"x"}}"#, #"{"id":1,"error":{"code":1e99}}"#,
    #"{"id":1,"error":{"code":99999999999999999999}}"#, "\u{feff}{}",
  ])
  func `an answer that is no answer to this call is malformed`(text: String) async throws {
    try await answered(text) { client, _ in
      let error = await #expect(throws: RPCError.self) { try await client.call("eth_chainId") }
      if case .malformed? = error {} else { Issue.record("\(error as Any)") }
    }
  }

  @Test func `the node's own error is typed, also without our id`() async throws {
    for id in ["1", "null"] {
      try await answered(
        #"{"id":\#(id),"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}}"#
      ) { client, url in
        await #expect(
          throws: RPCError.remote(
            endpoint: url, code: 3, message: "execution reverted", data: "0x08c379a0")
        ) { try await client.call("eth_call") }
      }
    }
    try await answered(#"{"id":1,"error":{"code":-32000}}"#) { client, url in
      await #expect(
        throws: RPCError.remote(endpoint: url, code: -32000, message: "no message", data: nil)
      ) { try await client.call("eth_call") }
    }
  }

  @Test func `a batch goes out as one array`() async throws {
    try await ScriptedEndpoint.with(.text("[]")) { endpoint in
      let client = JSONRPCClient(try Endpoint(endpoint.url()))
      await #expect(throws: RPCError.self) { try await client.batch(calls) }
      let sent = try #require(endpoint.requests.first?.json?.array)
      #expect(sent.map { $0["method"]?.string } == ["a", "b", "c"])
      #expect(Set(sent.compactMap { $0["id"]?.number }).count == 3)
      #expect(try await client.batch([]).isEmpty)
      #expect(endpoint.requests.count == 1)
    }
  }

  @Test func `answers of a batch are put in the order of its calls`() async throws {
    try await answered(
      #"[{"id":3,"result":"C"},{"id":1,"result":"A"},{"id":2,"result":"B"}]"#
    ) { client, _ in
      let answers = try await client.batch(calls).map { try $0.get() }
      #expect(answers == ["A", "B", "C"])
    }
  }

  @Test func `an error in one of a batch is that one's`() async throws {
    try await answered(
      #"[{"id":1,"result":"A"},{"id":2,"error":{"code":-32000,"message":"no"}},{"id":3,"result":null}]"#
    ) { client, url in
      let results = try await client.batch(calls)
      #expect(try results[0].get() == "A")
      #expect(throws: RPCError.remote(endpoint: url, code: -32000, message: "no", data: nil)) {
        try results[1].get()
      }
      #expect(try results[2].get() == .null)
    }
  }

  @Test func `one of a batch without result or error is that one's fault`() async throws {
    try await answered(#"[{"id":1},{"id":2,"result":1},{"id":3,"result":2}]"#) { client, _ in
      let results = try await client.batch(calls)
      #expect(throws: RPCError.self) { try results[0].get() }
      #expect(try results[1].get() == 1)
    }
  }

  @Test(arguments: [
    // Left out, twice, foreign, without, of another type; and what is no array.
    #"[{"id":1,"result":1},{"id":3,"result":3}]"#, "[]",
    #"[{"id":1,"result":1},{"id":2,"result":2},{"id":2,"result":2},{"id":3,"result":3}]"#,
    #"[{"id":1,"result":1},{"id":2,"result":2},{"id":4,"result":3}]"#,
    #"[{"id":0,"result":1},{"id":2,"result":2},{"id":3,"result":3}]"#,
    #"[{"id":-1,"result":1},{"id":2,"result":2},{"id":3,"result":3}]"#,
    #"[{"result":1},{"id":2,"result":2},{"id":3,"result":3}]"#,
    #"[{"id":"1","result":1},{"id":2,"result":2},{"id":3,"result":3}]"#,
    #"[{"id":1e0,"result":1},{"id":2,"result":2},{"id":3,"result":3}]"#,
    #"[{"id":99999999999999999999,"result":1},{"id":2,"result":2},{"id":3,"result":3}]"#,
    "[1,2,3]", "[null,null,null]", "{}", "null", #"{"id":1,"result":1}"#,
  ])
  func `a batch that is not answered one to one is malformed as a whole`(text: String) async throws
  {
    try await answered(text) { client, _ in
      let error = await #expect(throws: RPCError.self) { try await client.batch(calls) }
      if case .malformed? = error {} else { Issue.record("\(error as Any)") }
    }
  }

  /// JSON-RPC 2.0, section 6: a batch that cannot be taken is answered with a single error.
  @Test func `a batch refused as a whole keeps the node's reason`() async throws {
    try await answered(
      #"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}"#
    ) { client, url in
      await #expect(
        throws: RPCError.remote(endpoint: url, code: -32600, message: "batch too large", data: nil)
      ) { try await client.batch(calls) }
    }
  }

  // MARK: Secrets

  @Test(
    arguments: [
      .text("no", status: 500), .text("no", status: 302, headers: ["Location: /v3/PATHKEY1"]),
      .text("not JSON PATHKEY1"), .text(#"{"PATHKEY1":1,"PATHKEY1":2}"#), .dropped,
      .text(
        #"{"id":1,"error":{"code":-1,"message":"key PATHKEY1 QUERYKEY2 USERNAME3 PASSWORD4"}}"#),
      .text(
        #"{"id":1,"error":{"code":-1,"message":"http://USERNAME3:PASSWORD4@x/v3/PATHKEY1?k=QUERYKEY2"}}"#
      ),
      .half([], announced: 1 << 30), .raw("HTTP/1.1 PATHKEY1\r\n\r\n"),
    ] as [ScriptedEndpoint.Answer])
  func `no error shows what may be a secret in the URL`(answer: ScriptedEndpoint.Answer)
    async throws
  {
    try await ScriptedEndpoint.with(answer) { endpoint in
      let url = endpoint.url(user: "USERNAME3:PASSWORD4", path: "/v3/PATHKEY1?k=QUERYKEY2")
      let pool = try EndpointPool([
        Endpoint(url), Endpoint(url + "&other=1"),
      ])
      var errors: [any Error] = []
      do {
        _ = try await pool.clients[0].rpc.call("eth_chainId")
      } catch {
        errors.append(error)
      }
      do {
        _ = try await pool.agreed(on: "the chain id") { try await $0.chainID() }
      } catch {
        errors.append(error)
      }
      #expect(errors.count == 2)
      for error in errors {
        for text in ["\(error)", String(reflecting: error), error.localizedDescription] {
          #expect(text.contains("127.0.0.1") || !text.contains("answer"))
          for secret in ["USERNAME3", "PASSWORD4", "PATHKEY1", "QUERYKEY2"] {
            #expect(!text.contains(secret), "\(text)")
          }
        }
      }
    }
  }

  @Test func `endpoints show themselves without secrets, and refuse without repeating`() throws {
    let endpoint = try Endpoint("https://user:pass@node.example:8545/v3/KEY?k=SECRET")
    #expect("\(endpoint)" == "https://node.example:8545")
    #expect("\([endpoint])" == "[https://node.example:8545]")
    for text in [
      "", "node.example", "ftp://node.example/KEY", "http://", "https:///KEY", "ws://KEY",
    ] {
      let error = #expect(throws: Endpoint.InvalidURL.self) { try Endpoint(text) }
      #expect(!"\(error as Any)".contains("KEY"))
    }
    #expect(
      try Endpoint.list("http://a, http://b ,").map(\.description) == ["http://a", "http://b"])
    #expect(throws: Endpoint.InvalidURL.self) { try Endpoint.list(" , ") }
  }

  @Test func `a node's message cannot write to a terminal, nor fill a log`() async throws {
    let long = String(repeating: "e\u{301}", count: 100_000)
    let message: JSONValue = [
      "id": 1, "error": ["code": 1, "message": .string("a\u{1b}[2J\r\nb\u{202e}" + long)],
    ]
    try await answered(message.description) { client, _ in
      let error = await #expect(throws: RPCError.self) { try await client.call("x") }
      guard case .remote(_, _, let shown, _)? = error else {
        Issue.record("\(error as Any)")
        return
      }
      #expect(shown.hasPrefix("a [2J  b "))
      #expect(shown.utf8.count < 2000)
    }
  }
}
