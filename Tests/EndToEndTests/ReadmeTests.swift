import Foundation
import TestSupport
import Testing

/// What the README shows is what happens: its lines run, in their order, as one reader would type them.
@Suite struct ReadmeTests {
  @Test func `every line of the README runs`() async throws {
    let readme = try String(contentsOfFile: Python.root + "/README.md", encoding: .utf8)
    let blocks = readme.components(separatedBy: "```sh\n").dropFirst()
      .compactMap { $0.components(separatedBy: "```").first }
    #expect(blocks.count == 5, "one block a kind of user")
    try await World.with(["--accounts", "8", "--block-time", "0.2", "--finality-lag", "4"]) {
      world in
      try await world.ok("indexer migrate")
      let indexer = try await world.start("indexer run --listen 127.0.0.1:0 --poll 100ms")
      let story = Story(world: world)
      try await story.demoBooks()
      try await story.smallEpoch()
      try await world.ok("settler run 1 --key KEY:settler --timeout 5m")
      let account = world.devnet.all("user")[0].address.checksummed
      let script = "set -euo pipefail\ncd '\(world.folder.path)'\n" + blocks.joined()
      let output = try await Products.shell(
        script,
        // The migrations are found as a reader's programs find them: elsewhere than here, by the executable's place.
        environment: world.environment.merging(
          ["KEYS": world.folder.path, "ACCOUNT": account, "MIGRATIONS_DIR": ""]
        ) { $1 })
      #expect(output.code == 0, "\(output.stdout)\n\(output.stderr)")
      #expect(await indexer.end() == 0)
      for answer in [
        "ok     | 2400000000000000 ", "ok     | 180000000000000000 ",
        "\"cost\":\"10000000000000000\"",
      ] {
        #expect(output.stdout.contains(answer), "\(answer)? \(output.stdout)")
      }
      let page = try String(
        contentsOf: world.folder.appendingPathComponent("epoch-2.html"), encoding: .utf8)
      #expect(page.contains("0.1924"), "gross of the README's three requests")
    }
  }
}
