import Ethereum
import Testing

@Suite struct EventSignatureTests {
  let user = [UInt8](repeating: 0, count: 12) + [UInt8](repeating: 0xab, count: 20)

  /// ERC-20's Transfer, as every explorer shows it.
  @Test func `topics and values`() throws {
    let transfer = try EventSignature(
      "Transfer(address indexed from, address indexed to, uint256 value)")
    #expect(
      transfer.topic.hex == "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
    let log = Log(
      address: .zero, topics: [transfer.topic, try Hash32(user), try Hash32(user)],
      data: UInt256(7).bigEndianBytes)
    #expect(try transfer.decode(log)[2] == .uint256(7))
    #expect(try transfer.decode(log)[0].address?.bytes == Array(user.suffix(20)))
  }

  @Test func `logs that are not as the ABI says are refused`() throws {
    let deposit = try EventSignature("Deposit(address indexed user, uint256 amount)")
    let good = try Hash32(user)
    let dirty = try Hash32([1] + user.dropFirst())
    let amount = UInt256(7).bigEndianBytes
    for log in [
      Log(address: .zero, topics: [deposit.topic], data: amount),
      Log(address: .zero, topics: [deposit.topic, dirty], data: amount),
      Log(address: .zero, topics: [deposit.topic, good], data: Array(amount.dropLast())),
      Log(address: .zero, topics: [deposit.topic, good], data: amount + [0]),
      Log(address: .zero, topics: [good, good], data: amount),
      Log(address: .zero, topics: [], data: amount),
    ] {
      #expect(throws: EventSignature.EventError.self) { try deposit.decode(log) }
    }
  }

  @Test(arguments: [
    "", "Deposit", "Deposit(", "(address)", "D(string s)", "D(address indexed a b c)",
  ])
  func `text that is no signature is refused`(text: String) {
    #expect(throws: EventSignature.EventError.self) { try EventSignature(text) }
  }
}
