import Testing

@testable import Indexer

@Suite struct RangeChooserTests {
  @Test
  func `a range grows with every answer up to the ceiling and never leaves what was asked for`() {
    var chooser = RangeChooser(initial: 10, ceiling: 100)
    #expect(chooser.next(from: 5, to: 1_000) == 5...14)
    #expect(chooser.next(from: 5, to: 7) == 5...7)
    for _ in 0..<20 { chooser.succeeded() }
    #expect(chooser.size == 100)
    #expect(chooser.next(from: .max - 3, to: .max) == (.max - 3)...(.max))
  }

  @Test func `a structural limit holds for good, a density limit only for now`() {
    var chooser = RangeChooser(initial: 1_000, ceiling: 10_000)
    let goesOn = chooser.refused(1...1_000, because: .structural(most: 500))
    #expect(goesOn)
    #expect(chooser.size == 500 && chooser.ceiling == 500)
    let goesOnAgain = chooser.refused(1...500, because: .density(suggested: nil))
    #expect(goesOnAgain)
    #expect(chooser.size == 250 && chooser.ceiling == 500)
    for _ in 0..<20 { chooser.succeeded() }
    #expect(chooser.size == 500)
  }

  @Test func `a refusal always leads to a smaller range, whatever the provider claims`() {
    for objection: RangeChooser.Objection in [
      .structural(most: 1_000_000), .structural(most: nil), .density(suggested: 1_000_000),
      .structural(most: 0),
      .density(suggested: 0),
    ] {
      var chooser = RangeChooser(initial: 1_000, ceiling: 10_000)
      let goesOn = chooser.refused(1...1_000, because: objection)
      #expect(goesOn)
      #expect((1..<1_000).contains(chooser.size), "\(objection)")
    }
    var one = RangeChooser(initial: 1)
    let canShrink = one.refused(7...7, because: .density(suggested: nil))
    #expect(!canShrink)
    #expect(one.size == 1)
  }

  static let refusals: [(Int?, String, RangeChooser.Objection?)] = [
    (-32602, "eth_getLogs is limited to a 10,000 range", .structural(most: 10_000)),
    (
      -32600,
      "You can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [0x0, 0x9]",
      .structural(most: 10)
    ),
    (
      -32602,
      "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based on your parameters and the response size limit, this block range should work: [0x64, 0x77]",
      .density(suggested: 20)
    ),
    (
      -32005, "query returned more than 10000 results. Try with this block range [0x10, 0x1F].",
      .density(suggested: 16)
    ),
    (-32000, "exceed maximum block range: 5000", .structural(most: 5_000)),
    (-32000, "query exceeds max block range 100000", .structural(most: 100_000)),
    (35, "ranges over 10000 blocks are not supported on freetier", .structural(most: 10_000)),
    (-32062, "Block range is too large", .structural(most: nil)),
    (-32000, "block range is too wide, max is 1k blocks", .structural(most: 1_000)),
    (-32000, "eth_getLogs is limited to 0 - 1024 blocks range", .structural(most: 1_024)),
    (-32000, "query timeout exceeded", .density(suggested: nil)),
    (-32005, "limit exceeded", .density(suggested: nil)),
    (-32000, "header not found", nil),
    (-32601, "the method eth_getLogs does not exist/is not available", nil),
  ]

  @Test(arguments: refusals.indices) func `providers' refusals are told apart`(row: Int) {
    let (code, message, expected) = Self.refusals[row]
    #expect(RangeChooser.Objection(code: code, message: message) == expected, "\(message)")
  }
}
