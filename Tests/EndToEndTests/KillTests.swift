import Foundation
import JSON
import Synchronization
import TestSupport
import Testing

/// kill -9 at any moment, started again: nothing is lost, nothing is done twice.
@Suite struct KillTests {
  /// Twenty of each, as the program starts, reads, signs, sends and stores.
  private static let kills = 20

  @Test func `indexer and settler killed twenty times each end where an undisturbed run ends`()
    async throws
  {
    let seed =
      ProcessInfo.processInfo.environment["KILL_SEED"].flatMap(UInt64.init)
      ?? UInt64.random(in: 1 ... .max)
    print("KILL_SEED=\(seed)")
    async let calm = World.with(Self.devnet) { try await undisturbed($0) }
    async let rough = World.with(Self.devnet) { try await killed($0, seed: seed) }
    let (wanted, found) = (try await calm, try await rough)
    let (missing, unwanted) = (Set(wanted).subtracting(found), Set(found).subtracting(wanted))
    #expect(
      wanted == found,
      "KILL_SEED=\(seed)\nundisturbed only:\n\(missing.sorted().joined(separator: "\n"))\nkilled only:\n\(unwanted.sorted().joined(separator: "\n"))"
    )
    #expect(wanted.count > 300, "the story was told")
  }

  private static let devnet = [
    "--accounts", "8", "--block-time", "0.3", "--finality-lag", "5",
  ]

  private func undisturbed(_ world: World) async throws -> [String] {
    try await world.ok("indexer migrate")
    let indexer = try await world.start("indexer run --listen 127.0.0.1:0 --poll 100ms")
    let ending = try await tell(world) { epoch in
      try await world.ok("settler run \(epoch) --key KEY:settler --timeout 10m")
    }
    #expect(await indexer.end() == 0, "SIGTERM ends the indexer with 0")
    return ending
  }

  private func killed(_ world: World, seed: UInt64) async throws -> [String] {
    try await world.ok("indexer migrate")
    let supervisor = Task {
      try await self.killIndexer(world, seed: seed)
    }
    var random = SeededRandom(seed: seed &+ 1)
    var settlerKills = 0
    let ending = try await tell(world) { epoch in
      while settlerKills < Self.kills {
        let settler = try await world.start("settler run \(epoch) --key KEY:settler --timeout 10m")
        try await Task.sleep(for: .milliseconds(Int(random.next() % 900)))
        guard await settler.end(SIGKILL) == -SIGKILL else { break }
        settlerKills += 1
        // Above finality, so that what was sent is mined again, perhaps in other blocks.
        if settlerKills.isMultiple(of: 4) {
          try await world.devnet.setHead(try await world.devnet.head() - 2)
        }
      }
      try await world.ok("settler run \(epoch) --key KEY:settler --timeout 10m")
    }
    let indexer = try await supervisor.value
    await indexer.end()
    #expect(settlerKills == Self.kills, "KILL_SEED=\(seed): the settler was killed often enough")
    return ending
  }

  /// Returns the one that lives on.
  private func killIndexer(_ world: World, seed: UInt64) async throws -> RunningProgram {
    var random = SeededRandom(seed: seed)
    var kills = 0
    while true {
      let indexer = try await world.start("indexer run --listen 127.0.0.1:0 --poll 100ms")
      guard kills < Self.kills else { return indexer }
      try await Task.sleep(for: .milliseconds(Int(random.next() % 1500)))
      #expect(await indexer.end(SIGKILL) == -SIGKILL, "\(indexer.text.suffix(2000))")
      kills += 1
    }
  }

  private func tell(_ world: World, settle: (Int) async throws -> Void) async throws -> [String] {
    let story = Story(world: world)
    try await story.deposits()
    try await story.books()
    for epoch in 1...Story.epochs {
      try await story.usage(epoch)
      if epoch == 1 { try await story.leave() }
      try await story.approve(epoch)
      try await settle(epoch)
    }
    let found = try await world.json("auditor reconcile")
    #expect(found["difference"]?.string == "0", "\(found)")
    return try await story.ending()
  }
}
