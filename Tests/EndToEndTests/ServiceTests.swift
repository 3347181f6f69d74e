import Foundation
import JSON
import TestSupport
import Testing

/// `indexer run` as whoever watches it sees it.
@Suite struct ServiceTests {
  @Test func `health, readiness, status and metrics are served, and SIGTERM ends it`() async throws
  {
    try await World.with([]) { world in
      try await world.ok("indexer migrate")
      let indexer = try await world.start("indexer run --listen 127.0.0.1:0 --poll 100ms")
      let address = try await eventually("the indexer to listen") {
        indexer.text.firstMatch(of: /listen=(127\.0\.0\.1:[0-9]+)/).map { String($0.1) }
      }
      try await eventually("readiness") {
        try await get("http://\(address)/ready").status == 200 ? true : nil
      }
      #expect(try await get("http://\(address)/health").status == 200)
      #expect(try await get("http://\(address)/nothing").status == 404)
      let status = try JSONValue(parsing: try await get("http://\(address)/status").body)
      #expect(status["chain_id"] == .number(world.devnet.chainID))
      #expect(status["vault"]?.string == world.devnet.vault.checksummed)
      #expect(status["quorum"] == "1 of 1")

      let metrics = try await get("http://\(address)/metrics").body
      let types = metrics.matches(of: /# TYPE ([a-z_]+) ([a-z]+)/).map { "\($0.1) \($0.2)" }
      for name in [
        "indexer_head_block gauge", "indexer_scanned_block gauge", "indexer_proven_block gauge",
        "indexer_finalized_block gauge", "indexer_reorgs_total counter",
        "indexer_rpc_requests_total counter", "indexer_rpc_duration_seconds summary",
        "indexer_omissions_detected_total counter",
      ] { #expect(types.contains(name), "\(name)? \(types)") }
      #expect(metrics.contains("indexer_ready 1"))
      #expect(
        metrics.contains(
          /indexer_rpc_requests_total\{endpoint="http:\/\/127[^}]*outcome="ok"\} [1-9]/))

      await world.devnet.stop()
      let reason = try await eventually("the lost endpoint to be noticed") {
        let answer = try await get("http://\(address)/ready")
        return answer.status == 503 ? answer.body : nil
      }
      #expect(reason.contains("endpoints do not answer"), "\(reason)")
      #expect(await indexer.end() == 0, "\(indexer.text)")
    }
  }

  private func get(_ url: String) async throws -> (status: Int, body: String) {
    let script = """
      import sys, urllib.request, urllib.error
      try:
          answer = urllib.request.urlopen(sys.argv[1], timeout=30)
      except urllib.error.HTTPError as error:
          answer = error
      print(answer.status)
      print(answer.read().decode())
      """
    let output = try await Products.shell(
      "exec \"$TEST_PYTHON\" -c \"$SCRIPT\" \"$URL\"",
      environment: ["TEST_PYTHON": Python.interpreter, "SCRIPT": script, "URL": url])
    guard output.code == 0, let end = output.stdout.firstIndex(of: "\n"),
      let status = Int(output.stdout[..<end])
    else { throw TestFailure("GET \(url): \(output.stderr)") }
    return (
      status,
      output.stdout[output.stdout.index(after: end)...].trimmingCharacters(
        in: .whitespacesAndNewlines)
    )
  }
}
