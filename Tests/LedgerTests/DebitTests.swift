import Testing

@Suite struct DebitTests {
  @Test func `a debit moves its cost from spendable to unsettled`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(try await book.debit("r1", alice, input: 20, output: 20) == "ok 60 40")
    #expect(try await book.balance(alice) == "spendable 40 held 0 unsettled 60 debt 0 pending 0")
    try await book.checkIdentities()
  }

  @Test func `a replayed debit returns the first result`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(try await book.debit("r1", alice, input: 60) == "ok 60 40")
    #expect(try await book.debit("r1", alice, input: 60) == "replay 60 40")
    #expect(
      try await book.debit("r1", alice, input: 60, at: "2020-01-01") == "replay 60 40",
      "the time is no part of a request's body")
    #expect(try await book.line("SELECT count(*) FROM credits.debit") == "1")
  }

  @Test func `the same request with another body is a conflict, whatever differs`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 1000)
    _ = try await book.debit("r1", alice, input: 60)
    let others = [
      "'r1', \(alice), 'm', 61, 0, 'n1'", "'r1', \(alice), 'm', 60, 1, 'n1'",
      "'r1', \(alice), 'm', 60, 0, 'n2'", "'r1', \(alice), 'm', 60, 0, 'fallback'",
      "'r1', \(alice), 'other', 60, 0, 'n1'", "'r1', \(alice), 'm', 60, 0, 'n1', '{\"image\": 1}'",
      "'r1', \(alice), 'm', 60, 0, 'n1', NULL, NULL, decode(repeat('ab', 32), 'hex')",
    ]
    for other in others {
      #expect(
        try await book.line("SELECT * FROM credits.debit(\(other))") == "conflict - 940", "\(other)"
      )
    }
    #expect(try await book.debit("r1", bob, input: 60) == "unknown_account - -")
  }

  @Test func `one request id of two accounts is two requests`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    try await book.deposit(bob, 100)
    #expect(try await book.debit("r1", alice, input: 1) == "ok 1 99")
    #expect(try await book.debit("r1", bob, input: 2) == "ok 2 98")
  }

  @Test func `what is not covered is refused, leaves no key, and is noted as uncollected`()
    async throws
  {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(try await book.debit("r1", alice, input: 101) == "insufficient 101 100")
    #expect(
      try await book.line("SELECT reason, cost FROM credits.unpaid_work") == "insufficient 101")
    try await book.deposit(alice, 1)
    #expect(try await book.debit("r1", alice, input: 101) == "ok 101 0")
    #expect(try await book.line("SELECT count(*) FROM credits.unpaid_work") == "0")
    #expect(try await book.line("SELECT count(*) FROM credits.uncollected") == "1")
    try await book.checkIdentities()
  }

  @Test func `a cost of zero is debited from an empty balance`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 1)
    _ = try await book.debit("r0", alice, input: 1)
    #expect(try await book.debit("r1", alice, input: 0) == "ok 0 0")
  }

  @Test func `the exposure limit stops spending before the balance does`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(
      try await book.line("SELECT credits.account_rule_set(\(alice), 'limit', NULL, 50)") == "ok")
    #expect(try await book.debit("r1", alice, input: 50) == "ok 50 50")
    #expect(try await book.debit("r2", alice, input: 1) == "exposure 1 50")
    try await book.charge(alice, 10)
    #expect(try await book.debit("r2", alice, input: 1) == "ok 1 49")
    #expect(try await book.authorise("h1", alice, input: 10) == "exposure 10 49")
  }

  @Test func `a new account starts with the default exposure limit`() async throws {
    let book = try await Book.open()
    try await book.run("UPDATE credits.setting SET default_exposure_limit = 5")
    try await book.deposit(alice, 100)
    #expect(try await book.debit("r1", alice, input: 6) == "exposure 6 100")
  }

  @Test func `spending stops when the indexer's head is too old`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    try await book.run("UPDATE credits.setting SET max_staleness = interval '1 minute'")
    try await book.setHead(ageSeconds: 120)
    #expect(try await book.debit("r1", alice, input: 1) == "stale 1 100")
    #expect(try await book.authorise("h1", alice, input: 1) == "stale 1 100")
    try await book.setHead(ageSeconds: 0)
    #expect(try await book.debit("r1", alice, input: 1) == "ok 1 99")
  }

  @Test func `a frozen account spends nothing until it is unfrozen`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(
      try await book.line("SELECT credits.account_rule_set(\(alice), 'freeze', 'abuse')") == "ok")
    #expect(try await book.debit("r1", alice, input: 1) == "frozen 1 100")
    #expect(try await book.authorise("h1", alice, input: 1) == "frozen 1 100")
    #expect(try await book.line("SELECT credits.account_rule_set(\(alice), 'unfreeze')") == "ok")
    #expect(try await book.debit("r1", alice, input: 1) == "ok 1 99")
    #expect(
      try await book.line("SELECT credits.account_rule_set(\(bob), 'freeze', 'x')")
        == "unknown_account")
  }

  @Test func `what is unknown is named`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(try await book.debit("r1", bob, input: 1) == "unknown_account - -")
    #expect(try await book.debit("r1", alice, input: 1, node: "nobody") == "unknown_node - -")
    #expect(
      try await book.line("SELECT * FROM credits.debit('r1', \(alice), 'unpriced', 1, 0, 'n1')")
        == "no_rate - -")
    #expect(
      try await book.line(
        "SELECT * FROM credits.debit('r1', \(alice), 'm', 1, 0, 'n1', '{\"second\": 1}')")
        == "no_rate - -")
    #expect(try await book.line("SELECT count(*) FROM credits.debit_key") == "0")
  }

  @Test(arguments: [
    "'', ALICE, 'm', 1, 0, 'n1'", "repeat('x', 201), ALICE, 'm', 1, 0, 'n1'",
    "NULL, ALICE, 'm', 1, 0, 'n1'",
    "'r', '\\x00'::bytea, 'm', 1, 0, 'n1'", "'r', ALICE, NULL, 1, 0, 'n1'",
    "'r', ALICE, 'm', -1, 0, 'n1'",
    "'r', ALICE, 'm', 1, -1, 'n1'", "'r', ALICE, 'm', NULL, 0, 'n1'",
    "'r', ALICE, 'm', 1, 0, 'n1', '{\"image\": 0.5}'",
    "'r', ALICE, 'm', 1, 0, 'n1', '{\"image\": -1}'",
    "'r', ALICE, 'm', 1, 0, 'n1', '{\"image\": \"1\"}'",
    "'r', ALICE, 'm', 1, 0, 'n1', '{\"input_token\": 1}'", "'r', ALICE, 'm', 1, 0, 'n1', '[1]'",
    "'r', ALICE, 'm', 1, 0, 'n1', '{\"image\": 9223372036854775808}'",
    "'r', ALICE, 'm', 1, 0, 'n1', NULL, 'infinity'",
    "'r', ALICE, 'm', 1, 0, 'n1', NULL, now() + interval '6 minutes'",
    "'r', ALICE, 'm', 1, 0, 'n1', NULL, NULL, '\\x00'",
  ])
  func `a malformed debit is invalid and changes nothing`(arguments: String) async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    let call = arguments.replacing("ALICE", with: "\(alice)")
    #expect(try await book.line("SELECT status, cost FROM credits.debit(\(call))") == "invalid -")
    #expect(try await book.balance(alice) == "spendable 100 held 0 unsettled 0 debt 0 pending 0")
  }

  @Test func `units are priced by their own names beside tokens`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    #expect(
      try await book.line(
        "SELECT * FROM credits.debit('r1', \(alice), 'm', 1, 1, 'n1', '{\"image\": 2}')")
        == "ok 23 77")
    #expect(
      try await book.line(
        "SELECT credits.quote('m', '{\"input_token\": 1, \"output_token\": 1, \"image\": 2}')")
        == "23")
    #expect(try await book.line("SELECT credits.quote('m', '{\"second\": 1}')") == "-")
  }

  @Test func `late usage keeps its price and is marked late`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    let before = try await book.line("SELECT clock_timestamp()")
    try await book.run("SELECT credits.price_set('m', 'input_token', 5)")
    try await book.closeEpoch()
    #expect(try await book.debit("r1", alice, input: 2, at: before) == "ok 2 98")
    #expect(try await book.debit("r2", alice, input: 2) == "ok 10 88")
    #expect(
      try await book.lines("SELECT request_id, epoch, late FROM credits.debit ORDER BY 1") == [
        "r1 2 t", "r2 2 f",
      ])
  }

  @Test func `a batch answers every row in its order and keeps the good ones`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 10)
    try await book.deposit(bob, 10)
    let answers = try await book.lines(
      """
      SELECT * FROM credits.debit_batch(ARRAY['r1', 'r2', 'r1', 'r3', 'r4', ''], ARRAY[\(bob), \(alice), \(bob), \(carol), \(alice), \(alice)],
        array_fill('m'::text, ARRAY[6]), ARRAY[3, 11, 3, 1, 4, 1]::bigint[], array_fill(0::bigint, ARRAY[6]), array_fill('n1'::text, ARRAY[6]))
      """)
    #expect(
      answers == [
        "ok 3 7", "insufficient 11 10", "replay 3 7", "unknown_account - -", "ok 4 6",
        "invalid - -",
      ])
    #expect(
      try await book.line("SELECT sum(requests), sum(cost) FROM credits.operator_usage") == "2 7")
    try await book.checkIdentities()
  }

  @Test func `a batch of unequal arrays is refused whole`() async throws {
    let book = try await Book.open()
    let error = await book.refusal(
      "SELECT * FROM credits.debit_batch(ARRAY['a', 'b'], ARRAY[\(alice)], ARRAY['m'], ARRAY[1]::bigint[], ARRAY[0]::bigint[], ARRAY['n1'])"
    )
    #expect(error == "2202E")
  }

  @Test func `the node says whom the work is owed to, at the time of use`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    let before = try await book.line("SELECT clock_timestamp()")
    try await book.run("SELECT credits.node_set('n1', \(operator2))")
    _ = try await book.debit("r1", alice, input: 1, at: before)
    _ = try await book.debit("r2", alice, input: 2)
    _ = try await book.debit("r3", alice, input: 4, node: "fallback")
    #expect(
      try await book.lines(
        "SELECT operator, sum(cost) FROM credits.operator_usage GROUP BY 1 ORDER BY 2") == [
          "\(operator1.hex) 1", "\(operator2.hex) 2", "\\x 4",
        ])
  }
}
