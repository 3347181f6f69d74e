import Credits
import Ethereum
import TestSupport
import Testing

@Suite struct EpochTallyTests {
  static func line(_ wallet: UInt8, _ net: Int64, carry: Int64 = 0) -> EpochTally.Line {
    EpochTally.Line(wallet: address(wallet), net: signed(net), carryIn: signed(carry))
  }

  static func tally(
    _ lines: [EpochTally.Line], fallback: Int64 = 0, fallbackCarry: Int64 = 0, split: Split? = nil
  ) throws -> EpochTally {
    let gross = try lines.reduce(signed(fallback)) { try $0.adding($1.net) }
    return try EpochTally(
      gross: gross, split: split ?? CreditsTests.split(), lines: lines,
      fallbackNet: signed(fallback), fallbackCarryIn: signed(fallbackCarry))
  }

  @Test func `an epoch is split 85 10 5 and the operators by what they served`() throws {
    let tally = try Self.tally([Self.line(2, 600), Self.line(1, 400)])
    #expect(tally.totals == accrued(850, 50, 100))
    #expect(tally.shares.map(\.wallet) == [address(1), address(2), nil])
    #expect(tally.shares.map(\.share) == [signed(340), signed(510), signed(0)])
    #expect(
      tally.accruals.map(\.payee) == [address(1), address(2), infrastructure, treasury])
    #expect(tally.accruals.map(\.role) == [.operator, .operator, .infrastructure, .treasury])
  }

  @Test func `a wei that is left over goes to operators, then treasury, then infrastructure`()
    throws
  {
    // 10 · (0.85, 0.10, 0.05) = 8.5, 1, 0.5: equal remainders, operators first.
    #expect(try Self.tally([Self.line(1, 10)]).totals == accrued(9, 0, 1))
    let thirds = try split(3334, 3333, 3333)
    // 2 · thirds = 0.6668, 0.6666, 0.6666: treasury before infrastructure.
    #expect(try Self.tally([Self.line(1, 2)], split: thirds).totals == accrued(1, 0, 1))
  }

  @Test func `equal remainders of wallets go by wallet bytes and the fallback comes last`() throws {
    let all = try split(10_000, 0, 0)
    let tally = try EpochTally(
      gross: signed(2), split: all, lines: [Self.line(9, 2), Self.line(3, 2, carry: 0)],
      fallbackNet: signed(-2), fallbackCarryIn: .zero)
    #expect(tally.shares.map(\.share) == [signed(1), signed(1), signed(0)])
    // One wei among three equal weights.
    let one = try EpochTally(
      gross: signed(4), split: all,
      lines: [Self.line(9, 1), Self.line(3, 1), Self.line(5, 1)], fallbackNet: signed(1))
    #expect(one.shares.map(\.share) == [signed(1), signed(1), signed(1), signed(1)])
    let tied = try EpochTally(
      gross: signed(1), split: all,
      lines: [Self.line(9, 3), Self.line(3, 3), Self.line(5, -8)], fallbackNet: signed(3))
    #expect(tied.shares.map(\.wallet) == [address(3), address(5), address(9), nil])
    #expect(tied.shares.map(\.share) == [signed(1), signed(0), signed(0), signed(0)])
  }

  @Test(arguments: [Split.FallbackRole.infrastructure, .treasury])
  func `the fallback's share goes to the role that the split names`(role: Split.FallbackRole) throws
  {
    let tally = try Self.tally(
      [Self.line(1, 600)], fallback: 400, split: split(fallbackTo: role))
    #expect(tally.totals.operator == signed(510))
    #expect(tally.totals[role.role] == signed(340 + (role == .treasury ? 100 : 50)))
    #expect(tally.shares.last?.share == signed(340))
  }

  @Test func `an operator with a negative epoch has no weight and carries it on`() throws {
    let first = try Self.tally([Self.line(1, -30), Self.line(2, 130)])
    #expect(first.shares.map(\.share) == [signed(0), signed(85), signed(0)])
    #expect(first.shares.map(\.carryOut) == [signed(-30), signed(0), signed(0)])
    // Next epoch: 100 served, 30 of it already had.
    let second = try Self.tally([Self.line(1, 100, carry: -30), Self.line(2, 70)])
    #expect(second.shares.map(\.weight) == [wei(70), wei(70), wei(0)])
    #expect(second.shares.map(\.carryOut) == [signed(0), signed(0), signed(0)])
  }

  @Test func `the fallback carries its receivable like a wallet`() throws {
    let tally = try Self.tally([Self.line(1, 100)], fallback: 10, fallbackCarry: -15)
    #expect(tally.shares.last?.weight == wei(0))
    #expect(tally.shares.last?.carryOut == signed(-5))
  }

  @Test func `a negative gross keeps its sign and falls on the fallback's role`() throws {
    let tally = try Self.tally([Self.line(1, -1000)])
    #expect(tally.totals == accrued(0, -900, -100))
    #expect(tally.shares.map(\.share) == [signed(0), signed(-850)])
    #expect(tally.shares.map(\.carryOut) == [signed(-1000), signed(0)])
    #expect(tally.accruals.map(\.amount) == [signed(-900), signed(-100)])
  }

  @Test func `without a weight the operators' part goes to the fallback's role`() throws {
    let tally = try Self.tally([Self.line(1, 50, carry: -80)], split: split(fallbackTo: .treasury))
    // 50 · (0.85, 0.10, 0.05) = 42.5, 5, 2.5: the operators' part is 43 and is the treasury's.
    #expect(tally.totals == accrued(0, 2, 48))
    #expect(tally.shares.map(\.carryOut) == [signed(-30), signed(0)])
  }

  @Test func `an epoch without usage accrues nothing`() throws {
    let tally = try Self.tally([])
    #expect(tally.totals == accrued(0, 0, 0))
    #expect(tally.accruals.isEmpty)
  }

  @Test func `lines that do not sum to the gross are refused`() {
    #expect(throws: TallyError.linesDoNotSum(to: signed(11), sum: signed(10))) {
      try EpochTally(
        gross: signed(11), split: split(), lines: [Self.line(1, 10)], fallbackNet: .zero)
    }
  }

  @Test func `a wallet with two lines, a zero wallet and a positive carry are refused`() {
    #expect(throws: TallyError.duplicateWallet(address(1))) {
      try Self.tally([Self.line(1, 10), Self.line(1, 5)])
    }
    #expect(throws: TallyError.zeroWallet) { try Self.tally([Self.line(0, 10)]) }
    #expect(throws: TallyError.positiveCarry(address(1), signed(1))) {
      try Self.tally([Self.line(1, 10, carry: 1)])
    }
  }

  @Test func `a split that does not sum to 10000 is refused`() {
    #expect(throws: SplitError.basisPoints(operators: 8500, treasury: 1000, infrastructure: 501)) {
      try split(8500, 1000, 501)
    }
    #expect(throws: SplitError.basisPoints(operators: 10_500, treasury: -1000, infrastructure: 500))
    { try split(10_500, -1000, 500) }
    #expect(throws: SplitError.zeroAddress("treasury wallet")) {
      try Split(
        operatorsBasisPoints: 8500, treasuryBasisPoints: 1000, infrastructureBasisPoints: 500,
        treasuryWallet: .zero, infrastructureWallet: infrastructure)
    }
  }

  static func random(_ random: inout SeededRandom) throws -> (
    lines: [EpochTally.Line], fallback: SignedWei, carry: SignedWei, split: Split
  ) {
    let operators = random.below(10_001)
    let treasuryPart = random.below(10_001 - operators)
    let bits = [8, 16, 90].randomElement(using: &random)!
    var lines: [EpochTally.Line] = []
    for _ in 0..<random.below(6) {
      lines.append(
        EpochTally.Line(
          wallet: random.address(), net: random.signedWei(bits: bits),
          carryIn: SignedWei(
            random.below(4) == 0 ? random.wei(bits: bits) : .zero, isNegative: true)))
    }
    return (
      lines, random.signedWei(bits: bits),
      SignedWei(random.below(4) == 0 ? random.wei(bits: bits) : .zero, isNegative: true),
      try CreditsTests.split(
        operators, treasuryPart, 10_000 - operators - treasuryPart,
        fallbackTo: random.below(2) == 0 ? .treasury : .infrastructure)
    )
  }

  @Test func `gross is the sum of all accruals and of all roles, in any order of the lines`() throws
  {
    var random = SeededRandom(seed: 3)
    for _ in 0..<5_000 {
      let (lines, fallback, carry, split) = try Self.random(&random)
      let gross = try lines.reduce(fallback) { try $0.adding($1.net) }
      let tally = try EpochTally(
        gross: gross, split: split, lines: lines, fallbackNet: fallback, fallbackCarryIn: carry)
      #expect(try tally.totals.total == gross)
      #expect(try tally.accruals.reduce(.zero) { try $0.adding($1.amount) } == gross)
      let shuffled = try EpochTally(
        gross: gross, split: split, lines: lines.shuffled(using: &random), fallbackNet: fallback,
        fallbackCarryIn: carry)
      #expect(shuffled == tally)
    }
  }

  @Test func `an independent implementation in Python comes to the same shares`() throws {
    var random = SeededRandom(seed: 4)
    var questions: [String] = []
    var answers: [String] = []
    for _ in 0..<2_000 {
      let (lines, fallback, carry, split) = try Self.random(&random)
      let gross = try lines.reduce(fallback) { try $0.adding($1.net) }
      let tally = try EpochTally(
        gross: gross, split: split, lines: lines, fallbackNet: fallback, fallbackCarryIn: carry)
      let rows = lines.map { "\($0.wallet.bytes.hex) \($0.net) \($0.carryIn)" }
      questions.append(
        ([
          "\(split.operatorsBasisPoints) \(split.treasuryBasisPoints)"
            + " \(split.infrastructureBasisPoints) \(split.fallbackTo.rawValue)",
          "fallback \(fallback) \(carry)",
        ] + rows).joined(separator: ","))
      answers.append(
        ([
          "\(tally.totals.operator) \(tally.totals.treasury) \(tally.totals.infrastructure)"
        ]
          + tally.shares.map {
            "\($0.wallet?.bytes.hex ?? "fallback") \($0.weight) \($0.share) \($0.carryOut)"
          }).joined(separator: ","))
    }
    let replies = try Python.lines("credits_tally.py", stdin: questions)
    #expect(replies.count == answers.count)
    for (index, (reply, answer)) in zip(replies, answers).enumerated() where reply != answer {
      Issue.record("\(questions[index])\n  Swift  \(answer)\n  Python \(reply)")
    }
  }
}
