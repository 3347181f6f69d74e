import Keccak
import Testing

@Suite struct KeccakTests {
  /// The Keccak team's vectors for Keccak[c=512] (KeccakVectors, ShortMsgKAT_256), and those everyone in Ethereum knows.
  @Test(arguments: [
    ("", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
    ("abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ("testing", "5f16f4c7f149ac4f9510d9cf8cf384038ad348b3bcdc01915f95de12df9d1b02"),
    (
      "Transfer(address,address,uint256)",
      "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    ),
  ])
  func `published vectors`(message: String, wanted: String) {
    #expect(hex(Keccak256.hash(Array(message.utf8))) == wanted)
  }

  /// Lengths around one block of 136 bytes; that of 200 bytes is the Keccak team's, the others are what every implementation
  /// gives.
  @Test(arguments: [
    (0xa3, 135, "3d28d08c3dacab77392064a939f3e7f8d03f2e02e2c664ac08a05f63ac652626"),
    (0x00, 136, "3a5912a7c5faa06ee4fe906253e339467a9ce87d533c65be3c15cb231cdb25f9"),
    (0x00, 137, "bee7fbb405cb0d91a8775e338c4a5e4b5d6b2d051f687fa942043cffdc73bd28"),
    (0xa3, 200, "3a57666b048777f2c953dc4456f45a2588e1cb6f2da760122d530ac2ce607d4a"),
  ])
  func `published vectors at the edges of a block`(byte: UInt8, count: Int, wanted: String) {
    #expect(hex(Keccak256.hash([UInt8](repeating: byte, count: count))) == wanted)
  }

  @Test func `streaming in any pieces equals one shot`() {
    let message = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    for length in [0, 1, 135, 136, 137, 271, 272, 273, 1000] {
      let whole = Keccak256.hash(Array(message.prefix(length)))
      for piece in [1, 7, 64, 135, 136, 137, 500] {
        var hasher = Keccak256()
        var rest = message.prefix(length)
        while !rest.isEmpty {
          hasher.update(rest.prefix(piece))
          rest = rest.dropFirst(piece)
        }
        #expect(hasher.finalize() == whole, "length \(length) in pieces of \(piece)")
      }
    }
  }

  private func hex(_ digest: Keccak256.Digest) -> String {
    digest.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
