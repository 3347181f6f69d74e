import Ethereum
import Testing

@testable import Indexer

@Suite struct ReorgWalkTests {
  /// Blocks 10 to 20 of fork `a`, highest first.
  private let stored = (10...20).reversed().map {
    ReorgWalk.Stored(number: UInt64($0), hash: hash("a", $0))
  }

  private static func hash(_ fork: Character, _ number: Int) -> Hash32 {
    Hash32.keccak(Array("\(fork)\(number)".utf8))
  }

  /// Walks against a chain that is fork `a` up to `common` and `b` above; also says how many hashes it asked for.
  private func walk(common: Int, head: Int, firstRevocable: UInt64, fork: Character = "b") -> (
    ReorgWalk.Verdict, asked: Int
  ) {
    let walk = ReorgWalk(stored: stored, firstRevocable: firstRevocable)
    var chain: [UInt64: Hash32] = [:]
    while true {
      if let verdict = walk.verdict(chain: chain, head: UInt64(head)) {
        return (verdict, chain.count)
      }
      for number in walk.next(chain: chain, head: UInt64(head)) {
        chain[number] = Self.hash(Int(number) <= common ? "a" : fork, Int(number))
      }
    }
  }

  @Test func `an unchanged chain is seen with one question`() {
    #expect(walk(common: 30, head: 30, firstRevocable: 12) == (.same, 1))
    #expect(walk(common: 20, head: 20, firstRevocable: 12) == (.same, 1))
  }

  @Test func `a shorter chain that agrees is no fork`() {
    #expect(walk(common: 15, head: 15, firstRevocable: 12).0 == .behind(head: 15))
    #expect(walk(common: 5, head: 5, firstRevocable: 12).0 == .behind(head: 5))
  }

  @Test(arguments: 11...19) func `a fork is found at the block after the common ancestor`(
    common: Int
  ) {
    #expect(walk(common: common, head: 22, firstRevocable: 12).0 == .fork(from: UInt64(common + 1)))
    #expect(walk(common: common, head: 20, firstRevocable: 12).0 == .fork(from: UInt64(common + 1)))
  }

  @Test func `a fork below a final block is for a person to decide`() {
    #expect(
      walk(common: 10, head: 22, firstRevocable: 12).0
        == .tooDeep(number: 11, stored: Self.hash("a", 11), chain: Self.hash("b", 11)))
  }

  @Test func `when nothing stored was final everything may go`() {
    #expect(walk(common: 3, head: 22, firstRevocable: 10).0 == .fork(from: 10))
    #expect(ReorgWalk(stored: [], firstRevocable: 10).verdict(chain: [:], head: 22) == .same)
  }
}
