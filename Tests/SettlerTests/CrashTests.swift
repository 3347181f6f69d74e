import Ethereum
import Postgres
import Testing

@testable import Settler

/// The settler dies at every call of the chain and at every write to the ledger; a new one goes on.
@Suite struct CrashTests {
  typealias House = SettlementHouse
  /// Two payments, so that there is something between them.
  private static let kinds = ["charge", "pay", "pay"]

  /// A new settler, until it is done or dead.
  private func runs(_ house: House, _ epoch: UInt64) async throws -> Bool {
    do {
      return try await house.settle(epoch) == .final
    } catch is ScriptedVault.Killed {
      return false
    } catch let error as PostgresError where error.sqlState == "XX999" {
      return false
    }
  }

  /// The next epoch with the same work as the first, approved.
  private func nextEpoch(_ house: House, _ epoch: UInt64) async throws {
    guard epoch > 1 else { return }
    try await house.debit("r1/\(epoch)", House.alice, 600, node: "n1")
    try await house.debit("r2/\(epoch)", House.bob, 400, node: "n2")
    try await house.close()
    try await house.plan(epoch, perTransaction: 2)
    try await house.approve(epoch)
  }

  private func expectUndisturbed(_ house: House, _ epoch: UInt64, _ place: String) async throws {
    let state = house.chain.state
    #expect(state.paid == SettlementRunTests.due.mapValues { $0 * epoch }, "\(place)")
    #expect(state.payments == SettlementRunTests.due.mapValues { _ in Int(epoch) }, "\(place)")
    #expect(state.pool == 0, "\(place)")
    let rows = try await house.transactions(epoch)
    #expect(rows.map(\.kind) == Self.kinds, "\(place)")
    #expect(rows.map(\.nonce) == Array((epoch - 1) * 3..<epoch * 3), "\(place)")
    // All that was ever sent are the stored bytes, one content a nonce.
    let stored = Set(rows.flatMap { $0.attempts.map(\.raw) })
    let sent = house.chain.change { script in
      defer { script.sent = [] }
      return Set(script.sent)
    }
    #expect(sent == stored && stored.count == 3, "\(place)")
  }

  /// Whoever signed again instead of sending what is stored would sign other bytes.
  private func changeMarket(_ house: House) {
    house.chain.change { $0.baseFeeWei = $0.baseFeeWei == wei(1_000) ? wei(2_000) : wei(1_000) }
  }

  private func rich(_ body: @Sendable (House) async throws -> Void) async throws {
    try await House.approved(perTransaction: 2) { house in
      house.chain.deposit(House.alice, 1_000_000)
      house.chain.deposit(House.bob, 1_000_000)
      try await house.settleBlocks()
      try await body(house)
    }
  }

  @Test func `killed at every call of the chain, each payee is paid once`() async throws {
    try await rich { house in
      for epoch in UInt64(1)...2 {
        try await nextEpoch(house, epoch)
        house.chain.change {
          $0.calls = 0
          $0.sends = []
        }
        #expect(try await runs(house, epoch))
        try await expectUndisturbed(house, epoch, "undisturbed")
      }
      let (calls, sends) = house.chain.change { ($0.calls, $0.sends) }
      #expect(calls > 50 && sends.count == 3)
      // Only sending has an effect: dying after any other call is dying before the next.
      let points = (1...calls).map { ($0, false) } + sends.map { ($0, true) }
      for (epoch, (call, afterEffect)) in zip(UInt64(3)..., points) {
        try await nextEpoch(house, epoch)
        house.chain.change {
          $0.calls = 0
          $0.killAt = (call, afterEffect)
        }
        let place = "call \(call)\(afterEffect ? ", after it was sent" : "")"
        #expect(try await !runs(house, epoch), "nothing died at \(place)")
        house.chain.change {
          $0.killAt = nil
          $0.isDead = false
        }
        changeMarket(house)
        #expect(try await runs(house, epoch), "\(place)")
        try await expectUndisturbed(house, epoch, place)
      }
    }
  }

  @Test func `killed at every write to the ledger, each payee is paid once`() async throws {
    try await rich { house in
      try await Self.setTrap(house)
      #expect(try await runs(house, 1))
      let writes = try await house.db.one("SELECT last_value AS n FROM public.writes").int64("n")
      try await expectUndisturbed(house, 1, "undisturbed")
      #expect(writes > 20)
      for (epoch, write) in zip(UInt64(2)..., 1...writes) {
        try await nextEpoch(house, epoch)
        try await house.db.script(
          "SELECT setval('public.writes', 1, false); UPDATE public.fatal SET write = \(write)")
        #expect(try await !runs(house, epoch), "nothing died at write \(write)")
        changeMarket(house)
        #expect(try await runs(house, epoch), "write \(write)")
        try await expectUndisturbed(house, epoch, "write \(write)")
        try await house.db.script("UPDATE public.fatal SET write = NULL")
      }
    }
  }

  /// The n-th statement that writes what the settler writes fails, and its transaction with it.
  private static func setTrap(_ house: House) async throws {
    try await house.db.script(
      """
      CREATE SEQUENCE public.writes;
      CREATE TABLE public.fatal AS SELECT NULL::bigint AS write;
      CREATE FUNCTION public.trap() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
      BEGIN
        IF nextval('public.writes') = (SELECT write FROM public.fatal) THEN
          RAISE EXCEPTION 'killed' USING ERRCODE = 'XX999';
        END IF;
        RETURN NULL;
      END $$;
      """
        + ["epoch", "transaction", "attempt", "broadcast", "waterfall", "payout"].map {
          "CREATE TRIGGER trap AFTER INSERT OR UPDATE ON credits.\($0) FOR EACH STATEMENT EXECUTE FUNCTION public.trap();"
        }.joined(separator: "\n"))
  }
}
