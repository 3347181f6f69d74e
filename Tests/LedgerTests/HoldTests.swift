import Testing

@Suite struct HoldTests {
  @Test func `authorise holds the most, capture takes what was used and gives the rest back`()
    async throws
  {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(try await book.authorise("h1", alice, input: 10, maxOutput: 20) == "ok 50 50")
    #expect(try await book.balance(alice) == "spendable 50 held 50 unsettled 0 debt 0 pending 0")
    #expect(try await book.authorise("h1", alice, input: 10, maxOutput: 20) == "replay 50 50")
    #expect(try await book.authorise("h1", alice, input: 11, maxOutput: 20) == "conflict - 50")
    #expect(try await book.capture("h1", alice, input: 10, output: 5) == "ok 20 80")
    #expect(try await book.capture("h1", alice, input: 10, output: 5) == "replay 20 80")
    #expect(try await book.capture("h1", alice, input: 10, output: 6) == "conflict - 80")
    #expect(try await book.balance(alice) == "spendable 80 held 0 unsettled 20 debt 0 pending 0")
    #expect(try await book.authorise("h1", alice, input: 10, maxOutput: 20) == "replay 50 80")
    try await book.checkIdentities()
  }

  @Test func `the price is pinned when it is authorised`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.authorise("h1", alice, input: 10)
    try await book.run("SELECT credits.price_set('m', 'input_token', 9)")
    #expect(try await book.capture("h1", alice, input: 10) == "ok 10 90")
  }

  @Test func `a capture above the hold takes the rest from spendable`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.authorise("h1", alice, input: 10)
    #expect(try await book.capture("h1", alice, input: 15) == "ok 15 85")
    #expect(try await book.line("SELECT cost, forgone FROM credits.debit") == "15 -")
    try await book.checkIdentities()
  }

  @Test func `what neither hold nor spendable covers is forgone`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 12)
    _ = try await book.authorise("h1", alice, input: 10)
    #expect(try await book.capture("h1", alice, input: 15) == "ok 10 2")
    #expect(try await book.line("SELECT cost, forgone FROM credits.debit") == "10 5")
    try await book.checkIdentities()
  }

  @Test func `a hold is captured in parts until the final one`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.authorise("h1", alice, input: 30)
    #expect(try await book.capture("h1", alice, input: 10, part: 0, final: false) == "ok 10 70")
    #expect(try await book.capture("h1", alice, input: 5, part: 1, final: false) == "ok 5 70")
    #expect(try await book.capture("h1", alice, input: 10, part: 0, final: false) == "replay 10 70")
    #expect(try await book.balance(alice) == "spendable 70 held 15 unsettled 15 debt 0 pending 0")
    #expect(try await book.capture("h1", alice, input: 5, part: 2) == "ok 5 80")
    #expect(try await book.capture("h1", alice, input: 5, part: 3) == "conflict - 80")
    #expect(try await book.line("SELECT sum(requests) FROM credits.operator_usage") == "1")
    try await book.checkIdentities()
  }

  @Test func `release gives everything back, once`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(try await book.line("SELECT * FROM credits.release('h1', \(alice))") == "no_hold - 100")
    _ = try await book.authorise("h1", alice, input: 30)
    #expect(try await book.line("SELECT * FROM credits.release('h1', \(alice))") == "ok 30 100")
    #expect(try await book.line("SELECT * FROM credits.release('h1', \(alice))") == "replay 0 100")
    #expect(try await book.capture("h1", alice, input: 1) == "released - 100")
    #expect(try await book.authorise("h1", alice, input: 30) == "released 30 100")
    #expect(try await book.capture("nothing", alice, input: 1) == "no_hold - 100")
    try await book.checkIdentities()
  }

  @Test func `an expired hold is swept, and what was served is still debited if it can be`()
    async throws
  {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    for request in ["h1", "h2"] {
      _ = try await book.line(
        "SELECT status FROM credits.authorise('\(request)', \(alice), 'm', 40, 0, 'n1', ttl => interval '1 millisecond')"
      )
    }
    try await Task.sleep(for: .milliseconds(20))
    #expect(try await book.line("SELECT credits.sweep_holds()") == "2")
    #expect(try await book.line("SELECT credits.sweep_holds()") == "0")
    #expect(try await book.balance(alice) == "spendable 100 held 0 unsettled 0 debt 0 pending 0")
    #expect(try await book.line("SELECT * FROM credits.release('h1', \(alice))") == "expired 0 100")
    #expect(try await book.capture("h1", alice, input: 70) == "ok 70 30")
    #expect(try await book.capture("h2", alice, input: 31) == "expired 31 30")
    #expect(
      try await book.line("SELECT request_id, reason, cost FROM credits.unpaid_work")
        == "h2 expired 31")
    try await book.checkIdentities()
  }

  @Test func `an expired hold that nobody swept counts as expired at its capture`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.line(
      "SELECT status FROM credits.authorise('h1', \(alice), 'm', 40, 0, 'n1', ttl => interval '1 millisecond')"
    )
    try await Task.sleep(for: .milliseconds(20))
    #expect(try await book.capture("h1", alice, input: 101) == "expired 101 100")
    #expect(try await book.balance(alice) == "spendable 100 held 0 unsettled 0 debt 0 pending 0")
  }

  @Test func `a hold without a node takes it at capture`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(
      try await book.line("SELECT status FROM credits.authorise('h1', \(alice), 'm', 10, 0)")
        == "ok")
    #expect(
      try await book.line("SELECT status FROM credits.capture('h1', \(alice), 10, 0)")
        == "unknown_node")
    #expect(
      try await book.line(
        "SELECT status, cost FROM credits.capture('h1', \(alice), 10, 0, node => 'n2')") == "ok 10")
    #expect(try await book.line("SELECT operator FROM credits.debit") == "\(operator2.hex)")
  }

  @Test func `a debited request cannot be authorised`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.debit("r1", alice, input: 1)
    #expect(try await book.authorise("r1", alice, input: 1) == "conflict - 99")
  }

  @Test func `a withdrawal does not take what is held`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.authorise("h1", alice, input: 60)
    try await book.withdraw(alice, 70)
    #expect(try await book.balance(alice) == "spendable 0 held 60 unsettled 0 debt 30 pending 0")
    #expect(
      try await book.line("SELECT status, released, spendable FROM credits.release('h1', \(alice))")
        == "ok 60 30")
    #expect(try await book.balance(alice) == "spendable 30 held 0 unsettled 0 debt 0 pending 0")
    try await book.checkIdentities()
  }

  /// Intervals compare by months of 30 days, and the clock counts real ones: both must lie within the week.
  @Test(arguments: [
    "0", "-1 second", "8 days", "1200 mons -35999 days", "120000 mons -3599999 days",
    "178000000 years",
  ])
  func `no time to live reaches beyond seven days`(ttl: String) async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(
      try await book.line(
        "SELECT status FROM credits.authorise('h1', \(alice), 'm', 10, 0, 'n1', ttl => '\(ttl)')")
        == "invalid")
  }

  @Test func `every part of a request was served by one node, whom its refund reaches`()
    async throws
  {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.line("SELECT status FROM credits.authorise('h1', \(alice), 'm', 90, 0)")
    func part(_ part: Int, _ tokens: Int, _ node: String?, final: Bool) async throws -> String {
      try await book.line(
        """
        SELECT status, cost FROM credits.capture('h1', \(alice), \(tokens), 0, part => \(part), final => \(final),
          node => \(node.map { "'\($0)'" } ?? "NULL"))
        """)
    }
    #expect(try await part(0, 10, "n1", final: false) == "ok 10")
    #expect(try await part(1, 80, "n2", final: true) == "conflict -")
    #expect(try await part(1, 80, nil, final: true) == "ok 80")
    #expect(try await part(0, 10, "n1", final: false) == "replay 10")
    _ = try await book.refund("h1", alice, nil, "all of it")
    #expect(
      try await book.lines(
        "SELECT operator, sum(cost) FROM credits.operator_usage GROUP BY operator")
        == ["\(operator1.hex) 0"])
    try await book.checkIdentities()
  }

  @Test func `a hold that names its node is captured for no other`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.authorise("h1", alice, input: 10)
    #expect(
      try await book.line(
        "SELECT status, cost FROM credits.capture('h1', \(alice), 10, 0, node => 'n2')")
        == "conflict -")
    #expect(try await book.capture("h1", alice, input: 10) == "ok 10 90")
  }

  @Test(arguments: ["debit", "authorise"])
  func `spending is not refused for a hold that has ended`(call: String) async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.line(
      "SELECT status FROM credits.authorise('h1', \(alice), 'm', 90, 0, 'n1', ttl => interval '1 millisecond')"
    )
    try await book.run("SELECT pg_sleep(0.01)")
    #expect(
      try await book.line("SELECT status FROM credits.\(call)('r2', \(alice), 'm', 80, 0, 'n1')")
        == "ok")
    #expect(
      try await book.line("SELECT state, remaining FROM credits.hold WHERE request_id = 'h1'")
        == "expired 0")
    #expect(
      try await book.line("SELECT status FROM credits.\(call)('r3', \(alice), 'm', 80, 0, 'n1')")
        == "insufficient")
    try await book.checkIdentities()
  }
}
