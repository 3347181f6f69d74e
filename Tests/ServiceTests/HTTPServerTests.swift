import Service
import TestSupport
import Testing

/// Asked over bash's own sockets, which know nothing of HTTP.
@Suite struct HTTPServerTests {
  private func ask(_ request: String, _ server: HTTPServer, before: String = "") async throws
    -> String
  {
    try await Products.shell(
      "\(before) exec 3<>/dev/tcp/127.0.0.1/\(server.port); printf '\(request)' >&3; cat <&3",
      environment: [:]
    ).stdout
  }

  private func with(_ body: (HTTPServer) async throws -> Void) async throws {
    let server = try HTTPServer("127.0.0.1:0") { path in HTTPServer.Response(body: "at \(path)\n") }
    defer { server.stop() }
    try await body(server)
  }

  @Test func `a path is answered, without its query`() async throws {
    try await with { server in
      let answer = try await ask("GET /status?x=1 HTTP/1.1\\r\\n\\r\\n", server)
      #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"), "\(answer)")
      #expect(answer.hasSuffix("\r\n\r\nat /status\n"), "\(answer)")
      #expect(answer.contains("Content-Length: 11\r\n"), "\(answer)")
    }
  }

  @Test(arguments: ["POST / HTTP/1.1", "nonsense", ""])
  func `anything but GET is refused`(line: String) async throws {
    try await with { server in
      let answer = try await ask("\(line)\\r\\n\\r\\n", server)
      #expect(answer.hasPrefix("HTTP/1.1 405"), "\(answer)")
    }
  }

  @Test func `those who connect and say nothing do not keep others waiting`() async throws {
    try await with { server in
      let idle = (4...12).map { "exec \($0)<>/dev/tcp/127.0.0.1/\(server.port);" }.joined()
      let answer = try await ask("GET / HTTP/1.1\\r\\n\\r\\n", server, before: idle)
      #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer)")
    }
  }

  @Test(arguments: ["nowhere", "127.0.0.1", "127.0.0.1:99999", "localhost:80", "::1:80"])
  func `what is no address is refused with an example`(text: String) {
    let error = #expect(throws: HTTPServer.ListenError.self) {
      try HTTPServer(text) { _ in HTTPServer.Response(body: "") }
    }
    #expect(error?.description.contains("127.0.0.1:9100") == true)
  }
}
