import CSecp256k1

/// An ECDSA signature over secp256k1 that its signer can be recovered from. s is in the lower half (EIP-2).
public struct Signature: Hashable, Sendable {
  public let r: Hash32
  public let s: Hash32
  /// 0 or 1.
  public let yParity: UInt8

  /// Half of the curve's order (SEC 2, section 2.4.1), rounded down.
  private static let halfOrder: [UInt8] =
    [0x7f] + [UInt8](repeating: 0xff, count: 15)
    + [
      0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20,
      0xa0,
    ]

  /// 65 bytes: r, s, and v as 0, 1, 27 or 28.
  public init(_ bytes: some Collection<UInt8>) throws(SigningError) {
    let bytes = Array(bytes)
    guard bytes.count == 65 else { throw .invalidSignature("\(bytes.count) bytes, not 65") }
    guard let v = bytes.last, [0, 1, 27, 28].contains(v) else {
      throw .invalidSignature("v is none of 0, 1, 27, 28")
    }
    guard let r = try? Hash32(bytes[0..<32]), let s = try? Hash32(bytes[32..<64]) else {
      throw .invalidSignature("r or s")
    }
    guard r != .zero, s != .zero else { throw .invalidSignature("r or s is zero") }
    guard !Self.halfOrder.lexicographicallyPrecedes(s.bytes) else {
      throw .invalidSignature("s is in the upper half (EIP-2)")
    }
    self.r = r
    self.s = s
    self.yParity = v >= 27 ? v - 27 : v
  }

  /// 65 bytes: r, s, 27 + parity.
  public var bytes: [UInt8] { r.bytes + s.bytes + [27 + yParity] }

  /// The account whose key made this signature of `digest`.
  public func recover(_ digest: Hash32) throws(SigningError) -> Address {
    var signature = secp256k1_ecdsa_recoverable_signature()
    guard
      unsafe secp256k1_ecdsa_recoverable_signature_parse_compact(
        Secp256k1.shared.context, &signature, r.bytes + s.bytes, Int32(yParity)) == 1
    else { throw .invalidSignature("r or s is not below the curve's order") }
    var publicKey = secp256k1_pubkey()
    guard
      unsafe secp256k1_ecdsa_recover(Secp256k1.shared.context, &publicKey, &signature, digest.bytes)
        == 1
    else { throw .invalidSignature("no key made it") }
    return try Address(publicKey)
  }
}
