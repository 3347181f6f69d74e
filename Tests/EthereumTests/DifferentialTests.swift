import Ethereum
import Keccak
import RLP
import TestSupport
import Testing

@Suite struct DifferentialTests {
  let seed = Int.random(in: 0..<1_000_000)

  private func cases(_ what: String, _ count: Int) throws -> [[String]] {
    let lines = try Python.lines(
      "primitives.py", [what, "--seed", "\(seed)", "--count", "\(count)"])
    #expect(lines.count == count)
    return lines.map { $0.split(separator: " ").map(String.init) }
  }

  @Test func `Keccak agrees with eth-hash`() throws {
    for part in try cases("keccak", 3000) {
      #expect(Hex.encode(Keccak256.hash(try Hex.decode(part[0])).bytes) == part[1], "seed \(seed)")
    }
  }

  @Test func `RLP accepts and refuses what the rlp package does`() throws {
    for part in try cases("rlp", 5000) {
      let bytes = try Hex.decode(part[0])
      let decoded = try? RLP.decode(bytes)
      #expect((decoded != nil) == (part[1] == "ok"), "seed \(seed): \(part[0])")
      if let decoded { #expect(RLP.encode(decoded) == bytes) }
    }
  }

  @Test func `UInt256 agrees with Python's integers`() throws {
    for part in try cases("uint256", 3000) {
      let a = try #require(UInt256(decimal: part[0]))
      let b = try #require(UInt256(decimal: part[1]))
      let c = try #require(UInt256(decimal: part[2]))
      let quotient = try? a.quotientAndRemainder(dividingBy: b)
      let wide = try? a.multiplied(by: b, dividedBy: c)
      let found: [UInt256?] = [
        try? a.adding(b), try? a.subtracting(b), try? a.multiplied(by: b),
        quotient?.quotient, quotient?.remainder, wide?.quotient, wide?.remainder,
      ]
      #expect(found.map { $0?.description ?? "-" } == Array(part[3...]), "seed \(seed): \(part)")
      #expect(try UInt256(bigEndian: a.bigEndianBytes) == a)
      #expect(UInt256(quantity: a.quantity) == a)
    }
  }
}
