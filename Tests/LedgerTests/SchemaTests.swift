import Testing

@Suite struct SchemaTests {
  @Test func `facts cannot be updated, deleted or truncated, not even by a superuser`() async throws
  {
    let book = try await Book.withEveryFact()
    let facts = try await book.lines(
      """
      SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      WHERE t.tgname = 'append_only' AND c.relnamespace = 'credits'::regnamespace ORDER BY 1
      """)
    #expect(facts.count >= 25, "\(facts)")
    for table in facts {
      #expect(
        await book.refusal("TRUNCATE credits.\(table) CASCADE") == "42501", "TRUNCATE \(table)")
      guard try await book.line("SELECT count(*) > 0 FROM credits.\(table)") == "t" else {
        continue
      }
      #expect(await book.refusal("DELETE FROM credits.\(table)") == "42501", "DELETE \(table)")
    }
    let changes = [
      "debit SET cost = cost + 1", "debit_key SET cost = cost + 1",
      "refund SET amount = amount + 1", "price SET wei = wei + 1",
      "chain_event SET amount = amount + 1", "posting SET amount = amount + 1",
      "epoch_account SET debits = debits + 1",
      "epoch_operator SET share = share + 1", "accrual SET amount = amount + 1",
      "block SET header = '\\x02'",
      "node SET wallet = \(operator2)", "split SET fallback_to = 'treasury'",
      "ledger SET payout_method = 'transfer'",
      "uncollected SET cost = cost + 1", "vault SET token = \(alice)",
    ]
    for change in changes {
      #expect(await book.refusal("UPDATE credits.\(change)") == "42501", "\(change)")
    }
  }

  @Test func `a final event stays final`() async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    for status in ["pending", "applied", "orphaned"] {
      #expect(
        await book.refusal("UPDATE credits.chain_event SET status = '\(status)'") == "42501",
        "\(status)")
    }
  }

  @Test func `nothing in the schema is granted to PUBLIC`() async throws {
    let book = try await Book.open()
    let open = try await book.lines(
      """
      SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      WHERE p.pronamespace = 'credits'::regnamespace AND a.grantee = 0
      UNION ALL SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'credits'::regnamespace AND a.grantee = 0
      """)
    #expect(open == [])
  }

  /// An index in the order of a locale is wrong after an upgrade of its library: a key that is there is not found, and debited again.
  @Test func `no key depends on a collation of the operating system`() async throws {
    let book = try await Book.open()
    let loose = try await book.lines(
      """
      SELECT DISTINCT x.indrelid::regclass, a.attname FROM pg_index x
      JOIN pg_attribute a ON a.attrelid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
      WHERE c.relnamespace = 'credits'::regnamespace AND a.attcollation NOT IN (0, 'pg_catalog."C"'::regcollation) ORDER BY 1, 2
      """)
    #expect(loose == [])
  }

  @Test func `every SECURITY DEFINER function pins its search path`() async throws {
    let book = try await Book.open()
    let loose = try await book.lines(
      """
      SELECT proname FROM pg_proc WHERE pronamespace = 'credits'::regnamespace AND prosecdef
        AND NOT coalesce(array_to_string(proconfig, ',') LIKE '%search_path=credits, pg_temp%', false)
      """)
    #expect(loose == [])
  }

  @Test func `no role writes a table except by functions`() async throws {
    let book = try await Book.open()
    let writes = try await book.lines(
      """
      SELECT r.rolname, c.relname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
      WHERE c.relnamespace = 'credits'::regnamespace AND r.rolname <> 'credits_owner' AND a.privilege_type <> 'SELECT'
      UNION ALL SELECT r.rolname, c.relname || '.' || k.attname, a.privilege_type
      FROM pg_attribute k JOIN pg_class c ON c.oid = k.attrelid, aclexplode(k.attacl) a JOIN pg_roles r ON r.oid = a.grantee
      WHERE c.relnamespace = 'credits'::regnamespace ORDER BY 1, 2, 3
      """)
    #expect(
      writes == [
        "credits_indexer indexer_of_\(book.chain) UPDATE", "credits_sealer seal INSERT",
        "credits_settler settler_of_ledger UPDATE",
      ])
  }

  @Test(arguments: [
    "credits_meter", "credits_indexer", "credits_settler", "credits_app", "credits_auditor",
    "credits_sealer",
  ])
  func `a program cannot write a table or call another's functions`(role: String) async throws {
    let book = try await Book.open()
    try await book.deposit(alice, 100)
    let client = try await book.client(role: role)
    let writes = [
      "UPDATE credits.balance SET spendable = 1000000",
      "INSERT INTO credits.balance (account) VALUES (\(bob))",
      "DELETE FROM credits.chain_event",
      "INSERT INTO credits.accrual VALUES (1, \(alice), 'treasury', 1)",
      "DO $$ BEGIN LOCK TABLE credits.fence IN ROW SHARE MODE; END $$",
    ]
    for write in writes {
      #expect(await client.refusal(write) == "42501", "\(role): \(write)")
    }
    let calls = [
      ("credits_meter", "credits.debit('r1', \(alice), 'm', 1, 0, 'n1')"),
      ("credits_meter", "credits.price_set('m', 'second', 1)"),
      ("credits_indexer", "credits.finalize(\(book.chain), \(vault), 1)"),
      ("credits_settler", "credits.epoch_close()"),
      ("credits_settler", "credits.split_set(8500, 1000, 500, \(treasury), \(infrastructure))"),
    ]
    for (owner, call) in calls {
      let refused = await client.refusal("SELECT \(call)")
      #expect((refused == "42501") == (owner != role), "\(role): \(call): \(refused ?? "done")")
    }
  }

  @Test func `prices, nodes and splits are superseded from a time to come`() async throws {
    let book = try await Book.open()
    #expect(
      await book.refusal(
        "SELECT credits.price_set('m', 'input_token', 9, now() - interval '1 day')") == "22023")
    #expect(await book.refusal("SELECT credits.price_set('m', 'input_token', 0.5)") == "22023")
    #expect(await book.refusal("SELECT credits.node_set('fallback', \(alice))") == "22023")
    try await book.run("SELECT credits.price_set('m', 'input_token', 9, now() + interval '1 day')")
    #expect(
      try await book.lines(
        "SELECT wei, valid_to IS NULL FROM credits.price WHERE unit = 'input_token' ORDER BY valid_from"
      ) == ["1 f", "9 t"])
    #expect(try await book.line("SELECT credits.quote('m', '{\"input_token\": 2}')") == "2")
    #expect(
      try await book.line(
        "SELECT credits.quote('m', '{\"input_token\": 2}', now() + interval '2 days')") == "18")
  }

  @Test func `addresses are read strictly`() async throws {
    let book = try await Book.open()
    #expect(
      try await book.line(
        "SELECT credits.format_address(credits.parse_address('0x00000000000000000000000000000000000000AA'))"
      ) == "0x00000000000000000000000000000000000000aa")
    for text in [
      "00000000000000000000000000000000000000aa", "0x00aa",
      "0x00000000000000000000000000000000000000ag", "",
    ] {
      #expect(await book.refusal("SELECT credits.parse_address('\(text)')") == "22023", "\(text)")
    }
  }
}
