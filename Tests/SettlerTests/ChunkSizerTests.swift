import Credits
import Ethereum
import Testing

@testable import Settler

/// The scripted vault estimates 40,000 gas and 200 a byte of call data: 66,400 with one line, 12,800 for each more.
@Suite struct ChunkSizerTests {
  private static func charges(_ count: Int) -> [Manifest.Charge] {
    (0..<count).map {
      Manifest.Charge(
        user: try! Address(UInt256(UInt64($0 + 1)).bigEndianBytes.suffix(20)), spent: wei(5),
        charged: .zero)
    }
  }

  private static func sizer(maxGas: UInt64) -> ChunkSizer {
    ChunkSizer(
      chain: ScriptedVault(settler: Keys.settler.address), vault: ScriptedVault.vault,
      settler: Keys.settler.address, maxGas: maxGas)
  }

  @Test(arguments: [
    // Four fifths of the gas may be used.
    (count: 0, maxGas: 1_000_000, size: 1), (1, 1_000_000, 1), (40, 1_000_000, 40),
    (500, 16_777_216, 500),
  ])
  func `what fits goes into one transaction`(_ row: (count: Int, maxGas: Int, size: Int))
    async throws
  {
    let size = try await Self.sizer(maxGas: UInt64(row.maxGas)).charges(Self.charges(row.count))
    #expect(size == row.size)
  }

  @Test func `a size that was chosen fits, and leaves room`() async throws {
    for maxGas in [200_000, 1_000_000, 3_000_000] as [UInt64] {
      let charges = Self.charges(2_000)
      let sizer = Self.sizer(maxGas: maxGas)
      let size = try await sizer.charges(charges)
      #expect((1...ChunkSizer.most).contains(size))
      let data = ContractCall.charge(
        charges.prefix(size).map(\.user), charges.prefix(size).map(\.spent))
      let gas = try await sizer.chain.estimateGas(
        from: sizer.settler, to: sizer.vault, data: data)
      #expect(gas <= maxGas * 4 / 5)
    }
  }

  @Test func `a limit that not even one line fits is named`() async {
    await #expect(throws: SettlerError.self) {
      try await Self.sizer(maxGas: 50_000).charges(Self.charges(3))
    }
  }

  @Test func `payments of an empty pool are sized by what a first payment costs`() async throws {
    let payees = try (1...300).map {
      try Manifest.Payee(
        address: Address(UInt256(UInt64($0)).bigEndianBytes.suffix(20)),
        accrued: ByRole(repeating: .zero),
        owed: ByRole(operator: wei(9), infrastructure: .zero, treasury: .zero), paidBefore: .zero)
    }
    // 800,000 usable, 40,000 for the call, 60,000 a payment.
    #expect(try await Self.sizer(maxGas: 1_000_000).payments(payees, pool: .zero) == 12)
    #expect(try await Self.sizer(maxGas: 1_000_000).payments([], pool: .zero) == 1)
  }
}
