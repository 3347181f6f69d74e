import Credits
import Ethereum
import Testing

@testable import Settler

@Suite struct SendStateTests {
  static let patience = SendState.Patience(rebroadcastMs: 30, replaceMs: 100)
  static let market = SendState.Market(
    baseFeeWei: wei(100), tipWei: wei(10), capWei: wei(1_000))
  static let first = attempt(1, 210, 10)
  static let second = attempt(2, 300, 20)

  static func hash(_ byte: UInt8) -> Hash32 { .keccak([byte]) }
  static func attempt(_ byte: UInt8, _ maxFee: UInt64, _ tip: UInt64) -> SendState.Attempt {
    SendState.Attempt(
      hash: hash(byte),
      fees: Fees(maxFeePerGasWei: wei(maxFee), priorityFeePerGasWei: wei(tip)))
  }
  static func inclusion(
    _ byte: UInt8, block: UInt8 = 0, succeeded: Bool = true
  ) -> SendState.Inclusion {
    SendState.Inclusion(
      hash: hash(byte), blockNumber: 7, blockHash: hash(100 + block), gasUsed: 21_000,
      gasPriceWei: wei(110), succeeded: succeeded)
  }

  /// What happened before, what is seen now and when, and what is to be done.
  struct Row: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var attempts = [first]
    var mined: SendState.Inclusion?
    var sentAt: Int64?
    let sees: SendState.Observation
    var market: SendState.Market? = SendStateTests.market
    var isLowest = true
    var at: Int64 = 0
    let does: SendState.Action
  }

  static let rows = [
    Row(
      testDescription: "after a restart the stored bytes are sent at once", sees: .unmined,
      does: .broadcast(hash(1))),
    Row(
      testDescription: "after a restart the newest bytes are sent", attempts: [first, second],
      sees: .unmined, does: .broadcast(hash(2))),
    Row(testDescription: "just sent: wait", sentAt: 0, sees: .unmined, at: 29, does: .wait),
    Row(
      testDescription: "sent long ago: the same bytes again", sentAt: 0, sees: .unmined, at: 30,
      does: .broadcast(hash(1))),
    Row(
      testDescription: "offered long ago: both fees up by an eighth or to the market", sentAt: 0,
      sees: .unmined, at: 100,
      does: .replace(Fees(maxFeePerGasWei: wei(237), priorityFeePerGasWei: wei(12)))),
    Row(
      testDescription: "not the lowest nonce: never replaced", sentAt: 0, sees: .unmined,
      isLowest: false, at: 100, does: .broadcast(hash(1))),
    Row(
      testDescription: "no market: never replaced", sentAt: 0, sees: .unmined, market: nil,
      at: 100, does: .broadcast(hash(1))),
    Row(
      testDescription: "cap reached: the same bytes again", attempts: [attempt(1, 950, 10)],
      sentAt: 0, sees: .unmined, at: 100, does: .broadcast(hash(1))),
    Row(
      testDescription: "mined: noted", sentAt: 0, sees: .mined(inclusion(1)),
      does: .recordMined(inclusion(1))),
    Row(
      testDescription: "still mined there: wait", mined: inclusion(1), sees: .mined(inclusion(1)),
      at: 1_000, does: .wait),
    Row(
      testDescription: "mined elsewhere: noted", mined: inclusion(1),
      sees: .mined(inclusion(1, block: 1)), does: .recordMined(inclusion(1, block: 1))),
    Row(
      testDescription: "an earlier hash was mined: it counts", attempts: [first, second],
      mined: inclusion(2), sees: .mined(inclusion(1)), does: .recordMined(inclusion(1))),
    Row(
      testDescription: "reorganised away: unknown, never failed", mined: inclusion(1),
      sees: .unmined, at: 1_000, does: .recordUnknown),
    Row(
      testDescription: "proven: final", mined: inclusion(1), sees: .proven(inclusion(1)),
      does: .recordFinal(inclusion(1))),
    Row(
      testDescription: "proven without having been seen", sees: .proven(inclusion(1)),
      does: .recordFinal(inclusion(1))),
    Row(
      testDescription: "proven to have reverted", sees: .proven(inclusion(1, succeeded: false)),
      does: .recordReverted(inclusion(1, succeeded: false))),
    Row(
      testDescription: "an endpoint that says reverted says mined",
      sees: .mined(inclusion(1, succeeded: false)),
      does: .recordMined(inclusion(1, succeeded: false))),
  ]

  @Test(arguments: rows) func `what is seen decides what is done`(_ row: Row) throws {
    var state = SendState(
      nonce: 3, attempts: row.attempts, mined: row.mined, patience: Self.patience)
    if let sentAt = row.sentAt { state.sent(atMs: sentAt) }
    let action = try state.next(
      row.sees, market: row.market, isLowest: row.isLowest, atMs: row.at)
    #expect(action == row.does)
    if case .proven = row.sees { #expect(state.isDone) } else { #expect(!state.isDone) }
  }

  @Test func `a nonce that another used halts and says which`() throws {
    var state = SendState(nonce: 3, attempts: [Self.first])
    guard
      case .haltAndAsk(let why) = try state.next(
        .consumedByAnother(block: 9), market: nil, isLowest: true, atMs: 0)
    else {
      Issue.record("it must halt")
      return
    }
    #expect(why.contains("nonce 3") && why.contains("block 9"))
  }

  @Test func `a replacement is sent at once and has patience of its own`() throws {
    var state = SendState(nonce: 3, attempts: [Self.first], patience: Self.patience)
    func next(_ now: Int64) throws -> SendState.Action {
      try state.next(.unmined, market: Self.market, isLowest: true, atMs: now)
    }
    #expect(try next(0) == .broadcast(Self.hash(1)))
    state.sent(atMs: 0)
    guard case .replace = try next(100) else {
      Issue.record("it waited long enough")
      return
    }
    state.added(Self.second, atMs: 100)
    #expect(try next(100) == .broadcast(Self.hash(2)))
    state.sent(atMs: 100)
    // Sending the same bytes again does not start the patience anew.
    #expect(try next(130) == .broadcast(Self.hash(2)))
    state.sent(atMs: 130)
    #expect(try next(159) == .wait)
    state.sent(atMs: 190)
    guard case .replace(let fees) = try next(200) else {
      Issue.record("it waited long enough")
      return
    }
    #expect(fees.maxFeePerGasWei == wei(338) && fees.priorityFeePerGasWei == wei(23))
  }

  @Test func `after a reorg the bytes are sent at once`() throws {
    var state = SendState(
      nonce: 3, attempts: [Self.first], mined: Self.inclusion(1), patience: Self.patience)
    state.sent(atMs: 0)
    #expect(
      try state.next(.unmined, market: Self.market, isLowest: true, atMs: 1) == .recordUnknown)
    #expect(
      try state.next(.unmined, market: Self.market, isLowest: true, atMs: 2)
        == .broadcast(Self.hash(1)))
  }
}

@Suite struct FeesTests {
  @Test func `a first offer is twice the base fee and the tip, under the cap`() throws {
    func first(_ base: UInt64, _ tip: UInt64, _ cap: UInt64) throws -> [UInt256]? {
      try Fees.first(baseFeeWei: wei(base), tipWei: wei(tip), capWei: wei(cap)).map {
        [$0.maxFeePerGasWei, $0.priorityFeePerGasWei]
      }
    }
    #expect(try first(100, 10, 1_000) == [wei(210), wei(10)])
    #expect(try first(100, 10, 150) == [wei(150), wei(10)])
    #expect(try first(100, 500, 150) == [wei(150), wei(150)])
    #expect(try first(100, 10, 100) == nil)
    #expect(try first(101, 10, 100) == nil)
    #expect(try first(99, 10, 100) == [wei(100), wei(10)])
  }

  /// go-ethereum and others: a replacement below 10 % more, on either fee, is "underpriced"; some ask 12.5 %.
  @Test func `a replacement raises both fees by an eighth or more, or there is none`() throws {
    let amounts: [UInt64] = [0, 1, 7, 8, 9, 15, 16, 17, 1_000, 8_888, 10_000, 30_000]
    var raised = 0
    for (tip, room, cap, base, market) in amounts.flatMap({ tip in
      amounts.flatMap { room in
        amounts.dropFirst().flatMap { cap in
          [(tip, room, cap, 0, 0), (tip, room, cap, 9, 8_888), (tip, room, cap, 20_000, 1)]
        }
      }
    }) as [(UInt64, UInt64, UInt64, UInt64, UInt64)] {
      let old = Fees(maxFeePerGasWei: wei(tip + room), priorityFeePerGasWei: wei(tip))
      let cap = wei(cap)
      guard
        let new = try old.raised(
          baseFeeWei: wei(base), tipWei: wei(market), capWei: cap)
      else {
        // Only the cap is a reason.
        #expect(
          try old.maxFeePerGasWei.multiplied(by: 9) > cap.multiplied(by: 8)
            || old.maxFeePerGasWei >= cap)
        continue
      }
      raised += 1
      for (before, after) in [
        (old.maxFeePerGasWei, new.maxFeePerGasWei),
        (old.priorityFeePerGasWei, new.priorityFeePerGasWei),
      ] {
        #expect(try after.multiplied(by: 8) >= before.multiplied(by: 9))
        #expect(after > before)
      }
      #expect(new.maxFeePerGasWei <= cap && new.priorityFeePerGasWei <= new.maxFeePerGasWei)
    }
    #expect(raised > 500)
  }

  @Test func `numbers that a broken endpoint says are clamped to the cap`() throws {
    let old = Fees(maxFeePerGasWei: wei(100), priorityFeePerGasWei: wei(1))
    let expected = Fees(maxFeePerGasWei: wei(1_000), priorityFeePerGasWei: wei(1_000))
    #expect(try old.raised(baseFeeWei: .max, tipWei: .max, capWei: wei(1_000)) == expected)
    #expect(
      try Fees.first(baseFeeWei: wei(1), tipWei: .max, capWei: wei(1_000)) == expected)
  }

  /// EIP-1559: effective_gas_price = min(max_priority_fee, max_fee − base_fee) + base_fee.
  @Test func `the price of a gas is that of EIP-1559`() throws {
    let fees = Fees(maxFeePerGasWei: wei(100), priorityFeePerGasWei: wei(10))
    for (base, price) in [(0, 10), (50, 60), (90, 100), (95, 100), (100, 100)] as [(UInt64, UInt64)]
    {
      #expect(try fees.price(baseFeeWei: wei(base)) == wei(price))
    }
  }
}
