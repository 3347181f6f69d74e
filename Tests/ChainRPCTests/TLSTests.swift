import ChainRPC
import Foundation
import JSON
import TestSupport
import Testing

@Suite struct TLSTests {
  /// An https endpoint with a self-signed certificate for the names.
  private func with(
    names: String,
    _ body: (_ port: Int, _ certificate: String) async throws -> Void
  ) async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let certificate = folder.appendingPathComponent("certificate.pem").path
    let key = folder.appendingPathComponent("key.pem").path
    let openssl = Process()
    openssl.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    openssl.arguments = [
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
      "-nodes", "-days", "1", "-subj", "/CN=test", "-addext", "subjectAltName=\(names)", "-keyout",
      key, "-out", certificate,
    ]
    openssl.standardError = FileHandle.nullDevice
    try openssl.run()
    openssl.waitUntilExit()
    try #require(openssl.terminationStatus == 0)

    let server = Process()
    server.executableURL = URL(fileURLWithPath: Python.interpreter)
    server.arguments = [
      Python.root + "/Tests/Differential/tls_endpoint.py", certificate, key,
    ]
    let (input, output) = (Pipe(), Pipe())
    server.standardInput = input
    server.standardOutput = output
    try server.run()
    defer {
      try? input.fileHandleForWriting.close()
      server.waitUntilExit()
    }
    let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    try await body(try #require(Int(line.trimmingCharacters(in: .newlines))), certificate)
  }

  private func probe(_ url: String, trusting file: String) async throws -> Products.Output {
    // In a process of its own: SSL_CERT_FILE is its environment's.
    try await Products.run(
      "indexer", ["probe", "--rpc-url", url, "--json"], environment: ["SSL_CERT_FILE": file])
  }

  @Test func `a self-signed certificate is refused, and the error says so`() async throws {
    try await with(names: "IP:127.0.0.1") { port, _ in
      let client = JSONRPCClient(try Endpoint("https://127.0.0.1:\(port)"))
      await #expect(
        throws: RPCError.transport(
          endpoint: "https://127.0.0.1:\(port)",
          why: "TLS failed: SSL certificate problem: self-signed certificate")
      ) { try await client.call("eth_chainId") }
    }
  }

  @Test func `a certificate that SSL_CERT_FILE names is trusted, for its names only`() async throws
  {
    try await with(names: "IP:127.0.0.1,DNS:localhost") { port, certificate in
      for host in ["127.0.0.1", "localhost"] {
        let output = try await probe("https://\(host):\(port)", trusting: certificate)
        #expect(output.code == 0, "\(output)")
        let report = try JSONValue(parsing: output.stdout)["endpoints"]?.array?.first
        #expect(report?["chain_id"] == 1)
      }
    }
    try await with(names: "IP:127.0.0.2,DNS:other.example") { port, certificate in
      let address = try await probe("https://127.0.0.1:\(port)", trusting: certificate)
      #expect(address.code == 1)
      #expect(
        address.stdout.contains(
          "no alternative certificate subject name matches target host name '127.0.0.1'"),
        "\(address)")
      let name = try await probe("https://localhost:\(port)", trusting: certificate)
      #expect(name.code == 1)
      #expect(
        name.stdout.contains(
          "no alternative certificate subject name matches target host name 'localhost'"), "\(name)"
      )
    }
  }

  @Test func `http where https is, and https where http is, are errors`() async throws {
    try await with(names: "IP:127.0.0.1") { port, _ in
      let client = JSONRPCClient(try Endpoint("http://127.0.0.1:\(port)"))
      await #expect(throws: RPCError.self) { try await client.call("eth_chainId") }
    }
    try await ScriptedEndpoint.with(.raw("HTTP/1.1 400 Bad Request\r\n\r\n")) { endpoint in
      let client = JSONRPCClient(
        try Endpoint("https://127.0.0.1:\(endpoint.port)"), deadlineSeconds: 1)
      let error = await #expect(throws: RPCError.self) { try await client.call("eth_chainId") }
      if case .transport? = error {} else { Issue.record("\(error as Any)") }
    }
  }
}
