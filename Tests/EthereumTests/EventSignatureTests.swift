import Ethereum
import TestSupport
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

  @Test func `topics and values agree with eth-abi, dirty padding included`() throws {
    let seed = Int.random(in: 0..<1_000_000)
    let lines = try Python.lines("chain.py", ["events", "--seed", "\(seed)", "--count", "2000"])
    #expect(lines.count == 2000)
    var refused = 0
    for line in lines {
      let part = line.split(separator: " ").map(String.init)
      let event = try EventSignature(part[0].replacing("~", with: " "))
      let log = Log(
        address: .zero, topics: try part[1].split(separator: "|").map { try Hash32(hex: $0) },
        data: try Hex.decode(part[2]))
      #expect(event.topic == log.topics.first, "seed \(seed): \(part[0])")
      let values = try? event.decode(log).map { value in
        switch value {
        case .address(let address): Hex.encode(address.bytes)
        case .uint256(let number): number.description
        case .bytes32(let word): word.hex
        case .bool(let flag): "\(flag)"
        }
      }
      #expect(values?.joined(separator: ",") ?? "refused" == part[3], "seed \(seed): \(line)")
      if values == nil { refused += 1 }
    }
    #expect(refused > 0 && refused < 1000)
  }
}
