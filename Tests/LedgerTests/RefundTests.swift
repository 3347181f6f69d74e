import Testing

@Suite struct RefundTests {
  @Test func `a refund gives back a part or all that is left, and never more`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.debit("r1", alice, input: 60)
    #expect(try await book.refund("r1", alice, "20", "slow") == "ok 20 60")
    #expect(try await book.refund("r1", alice, "20", "slow") == "replay 20 60")
    #expect(try await book.refund("r1", alice, "41", "wrong") == "conflict - 60")
    #expect(try await book.refund("r1", alice, nil, "wrong") == "ok 40 100")
    #expect(try await book.refund("r1", alice, nil, "again") == "conflict - 100")
    #expect(try await book.line("SELECT sum(cost) FROM credits.operator_usage") == "0")
    try await book.checkIdentities()
  }

  @Test func `what was never debited, and what is no amount, is refused`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.debit("r1", alice, input: 60)
    #expect(try await book.refund("r2", alice, nil, "x") == "invalid - 40")
    #expect(try await book.refund("r1", bob, nil, "x") == "unknown_account - -")
    for amount in ["0", "-1", "0.5", "1e80"] {
      #expect(try await book.refund("r1", alice, amount, "x") == "invalid - -", "\(amount)")
    }
    #expect(try await book.refund("r1", alice, "1", "") == "invalid - -")
  }

  @Test func `a refund of a settled epoch counts against the open one and is carried`() async throws
  {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.debit("r1", alice, input: 60)
    try await book.closeEpoch()
    try await book.charge(alice, 60)
    #expect(try await book.refund("r1", alice, "40", "bad answer") == "ok 40 80")
    #expect(try await book.balance(alice) == "spendable 80 held 0 unsettled -40 debt 0 pending 0")
    try await book.checkIdentities()
    try await book.closeEpoch()
    #expect(
      try await book.line(
        "SELECT gross, operators, treasury, infrastructure FROM credits.epoch WHERE epoch = 2")
        == "-40 0 -4 -36")
    #expect(
      try await book.line(
        "SELECT gross, weight, carry_out, share FROM credits.epoch_operator WHERE epoch = 2")
        == "-40 0 -40 0")
    _ = try await book.debit("r2", alice, input: 50)
    try await book.closeEpoch()
    #expect(
      try await book.line(
        "SELECT gross, carry_in, weight, carry_out FROM credits.epoch_operator WHERE epoch = 3")
        == "50 -40 10 0")
    try await book.checkIdentities()
  }

  @Test func `a refund repays debt first`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.debit("r1", alice, input: 60)
    try await book.withdraw(alice, 80)
    #expect(try await book.refund("r1", alice, "50", "x") == "ok 50 10")
    #expect(try await book.balance(alice) == "spendable 10 held 0 unsettled 10 debt 0 pending 0")
  }
}
