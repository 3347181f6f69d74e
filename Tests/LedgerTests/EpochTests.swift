import Testing

@Suite struct EpochTests {
  @Test func `closing opens the next epoch and keeps the parts equal to gross`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 1000)
    _ = try await book.debit("r1", alice, input: 101)
    _ = try await book.debit("r2", alice, input: 57, node: "n2")
    _ = try await book.debit("r3", alice, input: 19, node: "fallback")
    #expect(try await book.line("SELECT * FROM credits.epoch_close()") == "1 2")
    #expect(
      try await book.line(
        "SELECT state, debits, gross, operators, treasury, infrastructure FROM credits.epoch_tally(1)"
      )
        == "closed 3 177 134 18 25")
    #expect(
      try await book.line(
        "SELECT state, debits, gross, operators, treasury, infrastructure FROM credits.epoch_tally(1)"
      )
        == "closed 3 177 134 18 25", "tallied once, answered again")
    #expect(try await book.line("SELECT sum(amount) FROM credits.accrual") == "177")
    try await book.checkIdentities()
  }

  @Test func `an empty epoch closes to zero`() async throws {
    let book = try await Book.open()
    try await book.closeEpoch()
    #expect(
      try await book.line(
        "SELECT gross, operators, treasury, infrastructure FROM credits.epoch WHERE epoch = 1")
        == "0 0 0 0")
    try await book.checkIdentities()
  }

  @Test func `the split in force when the epoch opened holds for all of it`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 1000)
    try await book.run("SELECT credits.split_set(0, 10000, 0, \(treasury), \(infrastructure))")
    _ = try await book.debit("r1", alice, input: 100)
    try await book.closeEpoch()
    _ = try await book.debit("r2", alice, input: 100)
    try await book.closeEpoch()
    #expect(
      try await book.lines(
        "SELECT operators, treasury, infrastructure FROM credits.epoch WHERE state = 'closed' ORDER BY epoch"
      )
        == ["85 10 5", "0 100 0"])
  }

  @Test func `an altered rollup stops the tally`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 1000)
    _ = try await book.debit("r1", alice, input: 100)
    try await book.run("UPDATE credits.operator_usage SET cost = cost + 1")
    _ = try await book.line("SELECT * FROM credits.epoch_close()")
    #expect(await book.refusal("SELECT credits.epoch_tally(1)") == "XX001")
    #expect(try await book.line("SELECT count(*) FROM credits.accrual") == "0")
  }

  @Test func `closing needs a split, and an earlier epoch is tallied first`() async throws {
    let bare = try await Book.open(split: false)
    #expect(await bare.refusal("SELECT credits.epoch_close()") == "55000")
    let book = try await Book.open()
    _ = try await book.line("SELECT * FROM credits.epoch_close()")
    _ = try await book.line("SELECT * FROM credits.epoch_close()")
    #expect(await book.refusal("SELECT credits.epoch_tally(2)") == "55000")
    #expect(await book.refusal("SELECT credits.epoch_tally(3)") == "55000")
  }

  @Test(arguments: ["REPEATABLE READ", "SERIALIZABLE"])
  func `write functions refuse any isolation but read committed`(isolation: String) async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    let calls = [
      "credits.debit('r1', \(alice), 'm', 1, 0, 'n1')",
      "credits.authorise('h1', \(alice), 'm', 1, 0, 'n1')",
      "credits.capture('h1', \(alice), 1, 0)", "credits.release('h1', \(alice))",
      "credits.refund('r1', \(alice), NULL, 'x')",
      "credits.sweep_holds()", "credits.epoch_close()",
    ]
    for call in calls {
      let other = try await book.client()
      try await other.run("BEGIN ISOLATION LEVEL \(isolation)")
      #expect(await other.refusal("SELECT \(call)") == "25001", "\(call)")
      try await other.run("ROLLBACK")
    }
  }

  @Test func `an open transaction makes the close give up, and cannot reach the closed epoch`()
    async throws
  {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    try await book.deposit(bob, 100)
    let idle = try await book.client(role: "credits_meter")
    try await idle.run("BEGIN")
    #expect(
      try await idle.line("SELECT status FROM credits.debit('r1', \(alice), 'm', 1, 0, 'n1')")
        == "ok")
    let clock = ContinuousClock()
    let waited = await clock.measure {
      #expect(await book.refusal("SELECT credits.epoch_close()") == "55P03")
    }
    #expect(waited < .seconds(3), "the close gives up after 200 ms")
    // Another operator's node: two connections in sixteen share an operator's row of the rollup until the first commits.
    let other = try await book.client(role: "credits_meter")
    #expect(
      try await other.line("SELECT status FROM credits.debit('r2', \(bob), 'm', 1, 0, 'n2')")
        == "ok", "nobody queued behind it")
    try await idle.run("COMMIT")
    try await book.closeEpoch()

    try await idle.run("BEGIN")
    #expect(try await idle.line("SELECT 1") == "1", "a snapshot alone pins no epoch")
    try await book.closeEpoch()
    #expect(
      try await idle.line("SELECT status FROM credits.debit('r3', \(alice), 'm', 1, 0, 'n1')")
        == "ok")
    try await idle.run("COMMIT")
    #expect(
      try await book.lines("SELECT request_id, epoch FROM credits.debit ORDER BY 1") == [
        "r1 1", "r2 1", "r3 3",
      ])
    try await book.checkIdentities()
  }

  /// The second would open an epoch whose partition nobody has made: every debit would fail.
  @Test func `two that close at once close one epoch`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 1000)
    try await book.run(
      "SELECT credits._make_debit_partition(3); ALTER FUNCTION credits.epoch_close() SET lock_timeout = '30s'"
    )
    let meter = try await book.client(role: "credits_meter")
    try await meter.run("BEGIN")
    #expect(
      try await meter.line("SELECT status FROM credits.debit('r1', \(alice), 'm', 1, 0, 'n1')")
        == "ok")
    let first = try await book.client(role: "credits_settler")
    let second = try await book.client(role: "credits_settler")
    async let one = first.refusal("SELECT credits.epoch_close()")
    async let other = second.refusal("SELECT credits.epoch_close()")
    try await book.untilSomebodyWaits(2)
    try await meter.run("COMMIT")
    #expect(await [one, other].compactMap { $0 } == ["55000"])
    try await book.run("SELECT credits.epoch_tally(1)")
    for epoch in 2...4 {
      #expect(try await book.debit("r\(epoch)", alice, input: 1).hasPrefix("ok"))
      try await book.closeEpoch()
    }
  }
}
