import Ethereum
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
}
