import Credits
import Ethereum
import Testing

@Suite struct PriceTests {
  @Test(arguments: [
    ("0.002", 1000, 1_200, "0.0024"), ("0.02", 1000, 9_000, "0.18"), ("0.5", 1, 3, "1.5"),
    ("0", 1, 5, "0"),
  ]) func `a price per units times a quantity is exact`(
    prlx: String, per: UInt64, quantity: UInt64, cost: String
  ) throws {
    let price = try Price.weiPerUnit(prlx: prlx, per: UInt256(per))
    #expect(PRLX.text(try price.multiplied(by: UInt256(quantity))) == cost)
  }

  @Test func `a price that is no whole wei per unit is refused with its neighbours`() throws {
    #expect(
      throws: PriceError.notWholeWei(
        prlx: "0.002", units: UInt256(3), below: "0.001999999999999998",
        above: "0.002000000000000001")
    ) { try Price.weiPerUnit(prlx: "0.002", per: UInt256(3)) }
    // The neighbours are prices.
    for prlx in ["0.001999999999999998", "0.002000000000000001"] {
      #expect(try Price.weiPerUnit(prlx: prlx, per: UInt256(3)) != .zero)
    }
  }

  @Test func `the price above may not exist`() {
    let prlx = "115792089237316195423570985008687907853269984665640564039457.584007913129639935"
    #expect(throws: (any Error).self) { try Price.weiPerUnit(prlx: prlx, per: UInt256(2)) }
    #expect {
      try Price.weiPerUnit(prlx: prlx, per: UInt256(2))
    } throws: { error in
      guard case .notWholeWei(_, _, _, above: nil) = error as? PriceError else { return false }
      return "\(error)".contains(
        "115792089237316195423570985008687907853269984665640564039457.584007913129639934")
    }
  }

  @Test func `a price per nothing is refused`() {
    #expect(throws: PriceError.perZeroUnits) { try Price.weiPerUnit(prlx: "1", per: .zero) }
  }
}
