import Testing

@Suite struct AppTests {
  @Test func `the app sees the account it names and no other`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    try await book.deposit(bob, 50)
    _ = try await book.debit("r1", alice, input: 60)
    _ = try await book.debit("r2", bob, input: 1)
    let app = try await book.client(role: "credits_app")
    #expect(
      try await app.lines("SELECT spendable FROM credits.my_balance") == [], "nobody is named")
    try await app.run("BEGIN")
    try await app.run("SELECT set_config('credits.account', '\(alice.text)', true)")
    #expect(try await app.lines("SELECT spendable, unsettled FROM credits.my_balance") == ["40 60"])
    #expect(
      try await app.lines(
        "SELECT kind, amount, reference FROM credits.my_activity WHERE kind = 'debit'") == [
          "debit 60 r1"
        ])
    for table in ["balance", "debit", "chain_event"] {
      #expect(try await app.line("SELECT count(*) FROM credits.\(table)") == "1", "\(table)")
    }
    try await app.run("COMMIT")
    #expect(
      try await app.lines("SELECT count(*) FROM credits.balance") == ["0"],
      "the name lasts one transaction")
    #expect(try await app.line("SELECT spendable FROM credits.balance_of(\(bob))") == "49")
    #expect(try await app.line("SELECT count(*) FROM credits.activity_of(\(bob))") == "2")
  }

  @Test func `the app reads no table of the house`() async throws {
    let book = try await Book.open()
    let app = try await book.client(role: "credits_app")
    for table in [
      "debit_key", "epoch", "payee", "posting", "transaction", "operator_usage", "debit_e1",
      "setting",
    ] {
      #expect(await app.refusal("SELECT * FROM credits.\(table)") == "42501", "\(table)")
    }
  }

  @Test func `a balance is shown with what is on its way`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.debit("r1", alice, input: 60)
    let gone = try await book.mine([.withdraw(alice, 80)])
    #expect(
      try await book.line("SELECT spendable, withdrawing, debt FROM credits.account_balance")
        == "40 80 0")
    try await book.prove(gone)
    try await book.mine([.deposit(alice, 15)])
    #expect(
      try await book.line(
        "SELECT spendable, withdrawing, pending, debt FROM credits.account_balance") == "0 0 15 25")
  }
}
