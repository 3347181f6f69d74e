import Ethereum
import RLP
import TestSupport
import Testing

@Suite struct TransactionTests {
  /// The example of EIP-155.
  @Test func `the example of EIP-155`() throws {
    let key = try PrivateKey([UInt8](repeating: 0x46, count: 32))
    let transaction = Transaction(
      chainID: 1, nonce: 9, fees: .legacy(gasPrice: 20_000_000_000), gasLimit: 21000,
      to: try Address([UInt8](repeating: 0x35, count: 20)), value: 1_000_000_000_000_000_000,
      data: [])
    #expect(
      transaction.signingHash.hex
        == "0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53")
    let raw =
      "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a0"
      + "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a0"
      + "67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    #expect(try Hex.encode(transaction.signed(by: key).raw) == raw)
  }

  @Test func `signing, decoding and recovery agree with eth-account`() throws {
    let seed = Int.random(in: 0..<1_000_000)
    let lines = try Python.lines("transactions.py", ["--seed", "\(seed)", "--count", "1000"])
    #expect(lines.count == 1000)
    for line in lines {
      let part = line.split(separator: " ").map(String.init)
      let fee = try #require(UInt256(decimal: part[4]))
      let tip = try #require(UInt256(decimal: part[5]))
      let transaction = Transaction(
        chainID: try #require(UInt64(part[2])), nonce: try #require(UInt64(part[3])),
        fees: part[1] == "dynamic"
          ? .dynamic(maxFee: fee, priorityFee: tip) : .legacy(gasPrice: fee),
        gasLimit: try #require(UInt64(part[6])), to: try Address(part[7]),
        value: try #require(UInt256(decimal: part[8])), data: try Hex.decode(part[9]))
      let signed = try transaction.signed(by: PrivateKey(Hex.decode("0x" + part[0])))
      #expect(Hex.encode(signed.raw) == part[10], "seed \(seed)")
      #expect(signed.hash.hex == part[11])
      let decoded = try SignedTransaction(raw: signed.raw)
      #expect(decoded == signed)
      #expect(decoded.sender.checksummed == part[12])
    }
  }

  @Test func `a signature with s in the upper half is refused`() throws {
    let key = try PrivateKey([UInt8](repeating: 7, count: 32))
    let signature = try key.sign(.keccak([1]))
    let order = try UInt256(
      bigEndian: Hex.decode("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"))
    let high = try order.subtracting(UInt256(bigEndian: signature.s.bytes))
    #expect(throws: SigningError.self) {
      try Signature(signature.r.bytes + high.bigEndianBytes + [1 - signature.yParity])
    }
    #expect(throws: SigningError.self) { try PrivateKey([UInt8](repeating: 0, count: 32)) }
    #expect(throws: SigningError.self) { try PrivateKey(order.bigEndianBytes) }
    #expect(!"\(key)".contains("0707"))
  }

  private func signed(_ fees: Transaction.Fees) throws -> SignedTransaction {
    try Transaction(
      chainID: 1, nonce: 3, fees: fees, gasLimit: 90_000, to: .zero, value: 5,
      data: [UInt8](repeating: 7, count: 68)
    ).signed(by: PrivateKey([UInt8](repeating: 9, count: 32)))
  }

  @Test func `changed bytes are refused or decode to themselves`() throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = SeededRandom(seed: seed)
    for fees in [
      Transaction.Fees.dynamic(maxFee: 30, priorityFee: 2), .legacy(gasPrice: 20_000_000_000),
    ] {
      let good = try signed(fees)
      for _ in 0..<1500 {
        let raw = random.mutated(good.raw)
        guard let decoded = try? SignedTransaction(raw: raw) else { continue }
        #expect(
          try decoded.transaction.encoded(with: decoded.signature) == raw, "seed \(seed)")
        // Another payload is another's signature.
        if raw != good.raw { #expect(decoded != good) }
      }
    }
  }

  @Test func `what we do not sign is refused`() throws {
    for text in [
      "0x", "0x02", "0x02c0", "0xc0", "0x01", "0x03", "0x04", "0x7f", "0x80", "0x02f8",
      // EIP-2930 and EIP-4844 types.
      "0x01c0", "0x03c0",
    ] {
      #expect(throws: (any Error).self, "\(text)") { try SignedTransaction(raw: Hex.decode(text)) }
    }
    let good = try signed(.dynamic(maxFee: 30, priorityFee: 2))
    guard case .list(let items) = try RLP.decode(Array(good.raw.dropFirst())) else { return }
    func raw(_ index: Int, _ item: RLPItem) -> [UInt8] {
      var changed = items
      changed[index] = item
      return [2] + RLP.encode(.list(changed))
    }
    _ = try SignedTransaction(raw: raw(0, items[0]))
    for (index, item) in [
      // A contract creation; an access list; y parity 2; r and s of zero, of the order and above it, with a leading zero.
      (5, .bytes([])), (8, .list([.list([.bytes(good.sender.bytes), .list([])])])), (8, .bytes([])),
      (9, .integer(2)), (9, .bytes([0])), (10, .bytes([])), (11, .bytes([])),
      (10, .bytes([UInt8](repeating: 0xff, count: 32))),
      (11, .bytes([UInt8](repeating: 0xff, count: 32))),
      (10, .bytes([UInt8](repeating: 1, count: 33))), (10, .bytes([0, 1])), (1, .bytes([0, 1])),
      (1, .bytes([UInt8](repeating: 1, count: 9))), (6, .bytes([UInt8](repeating: 1, count: 33))),
    ] as [(Int, RLPItem)] {
      #expect(throws: (any Error).self, "\(index): \(item)") {
        try SignedTransaction(raw: raw(index, item))
      }
    }
    // Before EIP-155, v was 27 or 28.
    guard case .list(var legacy) = try RLP.decode(try signed(.legacy(gasPrice: 1)).raw) else {
      return
    }
    for v: UInt64 in [0, 1, 26, 27, 28, 34] {
      legacy[6] = .integer(v)
      #expect(throws: (any Error).self) { try SignedTransaction(raw: RLP.encode(.list(legacy))) }
    }
  }
}
