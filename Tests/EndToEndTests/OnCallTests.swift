import Foundation
import TestSupport
import Testing

/// What wakes people at night: the indexer gets over it by itself, and says what it was.
@Suite struct OnCallTests {
  @Test func `an indexer whose connections are cut goes on, the only one`() async throws {
    try await World.with([]) { world in
      let indexer = try await world.start("indexer run --listen 127.0.0.1:0 --poll 100ms")
      try await follows(indexer, world)
      // The first connection works, the second holds the single writer's lock.
      let its =
        "pg_stat_activity WHERE datname = current_database() AND application_name = 'parallelix-indexer'"
      for (number, order) in ["ASC", "DESC"].enumerated() {
        _ = try await eventually("the indexer to have its two connections") {
          try await world.isTrue("(SELECT count(*) = 2 FROM \(its))") ? true : nil
        }
        let cut = try await world.rows(
          "SELECT pg_terminate_backend(pid) FROM \(its) ORDER BY backend_start \(order) LIMIT 1")
        #expect(cut == ["true"])
        try await says("database is back", times: number + 1, indexer)
        try await follows(indexer, world)
      }
      let second = try await world.run("indexer sync --timeout 5s")
      #expect(second.code == 1 && second.stderr.contains("another indexer"), "\(second.stderr)")
      #expect(await indexer.end() == 0)
    }
  }

  @Test func `a full disk is waited for`() async throws {
    try await World.with([]) { world in
      let indexer = try await world.start("indexer run --listen 127.0.0.1:0 --poll 100ms")
      try await follows(indexer, world)
      let database = try await world.database.connect()
      try await database.script(
        """
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON credits.block EXECUTE FUNCTION full_disk();
        """)
      try await world.devnet.mine()
      try await says("No space left on device", times: 2, indexer)
      try await database.script("DROP FUNCTION full_disk CASCADE")
      try await follows(indexer, world)
      #expect(await indexer.end() == 0)
    }
  }

  /// Mines a block and waits until it is proven.
  private func follows(_ indexer: RunningProgram, _ world: World) async throws {
    try await says("following the chain", times: 1, indexer)
    try await world.devnet.mine()
    let head = try await world.devnet.head()
    _ = try await eventually("block \(head) to be proven") {
      try await world.isTrue("(SELECT max(proven_to) >= \(head) FROM credits.watermark)")
        ? true : nil
    }
  }

  private func says(_ words: String, times: Int, _ indexer: RunningProgram) async throws {
    _ = try await eventually("the indexer to say “\(words)” \(times) times") {
      indexer.text.components(separatedBy: words).count > times ? true : nil
    }
  }
}
