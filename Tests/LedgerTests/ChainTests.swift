import Testing

@Suite struct ChainTests {
  @Test func `a deposit is pending until it is proven and final`() async throws {
    let book = try await Book.open()
    let block = try await book.mine([.deposit(alice, 100)])
    #expect(try await book.balance(alice) == "spendable 0 held 0 unsettled 0 debt 0 pending 100")
    #expect(try await book.debit("r1", alice, input: 1) == "insufficient 1 0")
    try await book.finalize(block)
    #expect(
      try await book.balance(alice) == "spendable 0 held 0 unsettled 0 debt 0 pending 100",
      "final is not proven")
    try await book.prove(block)
    #expect(
      try await book.balance(alice) == "spendable 0 held 0 unsettled 0 debt 0 pending 100",
      "nothing is applied by the proof")
    try await book.finalize(block)
    #expect(try await book.balance(alice) == "spendable 100 held 0 unsettled 0 debt 0 pending 0")
    try await book.finalize(block)
    #expect(
      try await book.balance(alice) == "spendable 100 held 0 unsettled 0 debt 0 pending 0", "once")
    try await book.checkIdentities()
  }

  @Test func `the worked sequence of deposits, spending, withdrawals and charges`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    try await book.checkIdentities()
    _ = try await book.debit("r1", alice, input: 60)
    try await book.checkIdentities()
    let block = try await book.mine([.withdraw(alice, 80)])
    try await book.prove(block)
    #expect(try await book.balance(alice) == "spendable 0 held 0 unsettled 60 debt 40 pending 0")
    try await book.checkIdentities()
    try await book.finalize(block)
    try await book.checkIdentities()
    #expect(try await book.debit("r2", alice, input: 1) == "insufficient 1 0")
    try await book.charge(alice, 20)
    #expect(try await book.balance(alice) == "spendable 0 held 0 unsettled 40 debt 40 pending 0")
    try await book.checkIdentities()
    try await book.closeEpoch()
    try await book.pay(operator1, 20)
    try await book.checkIdentities()
    try await book.deposit(alice, 50)
    #expect(try await book.balance(alice) == "spendable 10 held 0 unsettled 40 debt 0 pending 0")
    try await book.charge(alice, 40)
    #expect(try await book.balance(alice) == "spendable 10 held 0 unsettled 0 debt 0 pending 0")
    try await book.checkIdentities()
    try await book.pay(operator1, 31)
    try await book.pay(treasury, 6)
    try await book.pay(infrastructure, 3)
    #expect(try await book.line("SELECT sum(owed) FROM credits.payable") == "0")
    try await book.checkIdentities()
  }

  @Test func `a reorged withdrawal is given back, debt first`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    _ = try await book.debit("r1", alice, input: 60)
    let block = try await book.mine([.withdraw(alice, 80), .deposit(bob, 7)])
    try await book.prove(block)
    #expect(try await book.balance(alice) == "spendable 0 held 0 unsettled 60 debt 40 pending 0")
    #expect(try await book.orphan(from: block) == "2")
    #expect(try await book.balance(alice) == "spendable 40 held 0 unsettled 60 debt 0 pending 0")
    #expect(try await book.balance(bob) == "spendable 0 held 0 unsettled 0 debt 0 pending 0")
    #expect(
      try await book.line("SELECT count(*) FROM credits.chain_event WHERE status = 'orphaned'")
        == "2", "marked, never deleted")
    try await book.checkIdentities()
  }

  @Test func `a re-mined deposit is credited once, with the live event's amount`() async throws {
    let book = try await Book.open()
    let first = try await book.mine([.deposit(alice, 100)], transaction: "t1")
    _ = try await book.orphan(from: first)
    let second = try await book.mine([.deposit(alice, 90)], transaction: "t1")
    try await book.prove(second)
    try await book.finalize(second)
    #expect(try await book.balance(alice) == "spendable 90 held 0 unsettled 0 debt 0 pending 0")
    try await book.checkIdentities()
  }

  @Test func `a fork that comes back revives its events`() async throws {
    let book = try await Book.open()
    let block = try await book.mine(
      [.deposit(alice, 100), .withdraw(alice, 30)], transaction: "t1")
    try await book.prove(block)
    _ = try await book.orphan(from: block)
    try await book.mineAgain(
      block, [.deposit(alice, 100), .withdraw(alice, 30)], transaction: "t1")
    try await book.prove(block)
    try await book.finalize(block)
    #expect(try await book.balance(alice) == "spendable 70 held 0 unsettled 0 debt 0 pending 0")
    #expect(try await book.line("SELECT count(*) FROM credits.chain_event") == "2")
    try await book.checkIdentities()
  }

  @Test func `one event is one event however often it is recorded`() async throws {
    let book = try await Book.open()
    let block = try await book.mine([.deposit(alice, 100)])
    #expect(try await book.record(block, [.deposit(alice, 100)]) == "0")
    #expect(try await book.balance(alice) == "spendable 0 held 0 unsettled 0 debt 0 pending 100")
  }

  @Test func `nothing at or below finality is orphaned`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    let stands = try await book.line("SELECT applied_to FROM credits.watermark")
    #expect(
      await book.refusal("SELECT credits.orphan(\(book.chain), \(vault), \(stands))") == "55000")
  }

  @Test func `coverage has no gap and no overlap`() async throws {
    let book = try await Book.open()
    let next = try await book.next
    #expect(
      await book.refusal(
        "SELECT credits.cover(\(book.chain), \(vault), 'vault', 'scanned', \(next + 1), \(next + 2))"
      ) == "55000")
    #expect(
      await book.refusal(
        "INSERT INTO credits.coverage VALUES (\(book.chain), \(vault), 'token', 'scanned', '[1,5)'), (\(book.chain), \(vault), 'token', 'scanned', '[4,6)')"
      )
        == "23P01")
  }

  @Test func `a fraction of a wei and 2^256 are no amounts`() async throws {
    let book = try await Book.open()
    for amount in [
      "0.5", "-1", "115792089237316195423570985008687907853269984665640564039457584007913129639936",
    ] {
      #expect(
        await book.refusal(book.recordCall(1, [.deposit(alice, amount)], transaction: "t"))
          == "22003", "\(amount)")
    }
  }

  @Test func `a registered vault cannot change its meaning`() async throws {
    let book = try await Book.open()
    #expect(
      await book.refusal(
        "SELECT credits.register_vault(\(book.chain), \(vault), \(alice), 1, 'Deposit(address,uint256)', 'x')"
      ) == "22023")
  }

  @Test func `what no vault event explains is listed`() async throws {
    let book = try await Book.open()
    let block = try await book.mine([.deposit(alice, 100)], transaction: "t1")
    try await book.transfer(from: alice, to: vault, 100, in: block, transaction: "t1", log: 7)
    #expect(try await book.line("SELECT count(*) FROM credits.unattributed_transfer") == "0")
    try await book.transfer(from: bob, to: vault, 5, in: block, transaction: "t2", log: 8)
    #expect(try await book.line("SELECT amount FROM credits.unattributed_transfer") == "5")
  }
}
