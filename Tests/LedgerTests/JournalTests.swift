import Testing

@Suite struct JournalTests {
  @Test func `an entry that does not sum to zero is refused`() async throws {
    let book = try await Book.open()
    try await book.run("SET search_path = credits")
    #expect(
      await book.refusal(
        "SELECT credits._post('deposit', 'x', ARRAY['vault', 'users'], ARRAY[5, -4])") == "23514")
    #expect(
      await book.refusal("SELECT credits._post('deposit', 'x', ARRAY['vault'], ARRAY[5])")
        == "23514")
  }

  @Test func `a reference is posted once`() async throws {
    let book = try await Book.open()
    try await book.run("SET search_path = credits")
    try await book.run(
      "SELECT credits._post('deposit', 'x', ARRAY['vault', 'users'], ARRAY[5, -5])")
    #expect(
      await book.refusal(
        "SELECT credits._post('deposit', 'x', ARRAY['vault', 'users'], ARRAY[5, -5])") == "23505")
  }

  @Test func `control accounts equal their tables through every kind of entry`() async throws {
    let book = try await Book.withEveryFact()
    #expect(
      try await book.lines("SELECT DISTINCT kind FROM credits.journal_entry ORDER BY 1") == [
        "charged", "close", "deposit", "paid", "withdrawal_final", "withdrawal_orphaned",
        "withdrawal_seen",
      ])
    try await book.checkIdentities()
  }

  @Test func `two vaults may have events in one block`() async throws {
    let book = try await Book.open()
    try await book.run(
      "SELECT credits.register_vault(\(book.chain), \(bob), \(token), 1, 'Deposit(address indexed user, uint256 amount)', 'Withdraw(address indexed user, uint256 amount)')"
    )
    let block = try await book.mine([.deposit(alice, 100)])
    try await book.prove(block)
    try await book.finalize(block)
    try await book.run(book.recordCall(block, [.deposit(alice, 5)], transaction: "t1", vault: bob))
    try await book.run(
      "SELECT credits.cover(\(book.chain), \(bob), 'vault', p, 1, \(block)) FROM unnest(ARRAY['scanned', 'proven']) p"
    )
    try await book.run("SELECT credits.finalize(\(book.chain), \(bob), \(block))")
    #expect(try await book.balance(alice) == "spendable 105 held 0 unsettled 0 debt 0 pending 0")
  }

  @Test(arguments: [
    ("0, 0, 0, 0", "0 0 0"), ("10, 5, 3, 0", "10 5 3"), ("10, 5, 3, 12", "0 3 3"),
    ("10, 5, 3, 16", "0 0 2"), ("10, 5, 3, 20", "0 0 -2"),
    ("-4, 5, 3, 6", "-4 0 2"),
  ])
  func `what is owed divides into roles that sum to it`(amounts: String, expected: String)
    async throws
  {
    let book = try await Book.open()
    #expect(try await book.line("SELECT * FROM credits.owed_by_role(\(amounts))") == expected)
  }
}
