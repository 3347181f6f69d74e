import CSecp256k1
import Foundation

/// libsecp256k1's context, randomised once against side channels. After that it is only read, which the library allows
/// from any thread.
@safe final class Secp256k1: @unchecked Sendable {
  static let shared = Secp256k1()
  let context: OpaquePointer

  private init() {
    unsafe context = secp256k1_context_create(UInt32(SECP256K1_CONTEXT_NONE))
    var seed = [UInt8](repeating: 0, count: 32)
    var generator = SystemRandomNumberGenerator()
    for index in seed.indices { seed[index] = UInt8.random(in: .min ... .max, using: &generator) }
    _ = unsafe secp256k1_context_randomize(context, seed)
  }
}

public enum SigningError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Zero, or not below the order of the curve.
  case invalidKey
  case invalidSignature(String)
  case failed

  public var description: String {
    switch self {
    case .invalidKey: "not a secp256k1 private key"
    case .invalidSignature(let why): "invalid signature: \(why)"
    case .failed: "libsecp256k1 refused to sign"
    }
  }
}

/// A secp256k1 private key. Its bytes are wiped when it goes, and it never shows them.
@safe public final class PrivateKey: Sendable, CustomStringConvertible {
  // Written once, wiped in deinit; between them only read.
  private nonisolated(unsafe) let bytes: UnsafeMutablePointer<UInt8>
  /// The account that the key controls.
  public let address: Address

  /// 32 bytes, most significant first. They are copied; wiping the original is its owner's business.
  public init(_ key: RawSpan) throws(SigningError) {
    guard key.byteCount == 32 else { throw .invalidKey }
    let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: 32)
    for index in 0..<32 {
      unsafe copy[index] = key.unsafeLoad(fromByteOffset: index, as: UInt8.self)
    }
    do {
      address = try unsafe Self.address(of: copy)
      unsafe bytes = copy
    } catch {
      unsafe Self.wipe(copy)
      throw error
    }
  }

  /// 32 bytes, most significant first.
  public convenience init(_ key: [UInt8]) throws(SigningError) {
    unsafe try self.init(key.span.bytes)
  }

  private static func address(of key: UnsafePointer<UInt8>) throws(SigningError) -> Address {
    var publicKey = secp256k1_pubkey()
    guard unsafe secp256k1_ec_seckey_verify(Secp256k1.shared.context, key) == 1,
      unsafe secp256k1_ec_pubkey_create(Secp256k1.shared.context, &publicKey, key) == 1
    else { throw .invalidKey }
    return try Address(publicKey)
  }

  private static func wipe(_ bytes: UnsafeMutablePointer<UInt8>) {
    unsafe explicit_bzero(bytes, 32)
    unsafe bytes.deallocate()
  }

  deinit { unsafe Self.wipe(bytes) }

  public var description: String { "PrivateKey(\(address))" }

  /// A deterministic signature (RFC 6979) with s in the lower half.
  public func sign(_ digest: Hash32) throws(SigningError) -> Signature {
    var signature = secp256k1_ecdsa_recoverable_signature()
    guard
      unsafe secp256k1_ecdsa_sign_recoverable(
        Secp256k1.shared.context, &signature, digest.bytes, bytes, nil, nil) == 1
    else { throw .failed }
    var compact = [UInt8](repeating: 0, count: 64)
    var parity: Int32 = 0
    unsafe secp256k1_ecdsa_recoverable_signature_serialize_compact(
      Secp256k1.shared.context, &compact, &parity, &signature)
    return try Signature(compact + [UInt8(parity & 1)])
  }
}

extension Address {
  /// The last 20 bytes of the Keccak hash of the uncompressed point (Yellow Paper, appendix F).
  init(_ publicKey: secp256k1_pubkey) throws(SigningError) {
    var publicKey = publicKey
    var serialized = [UInt8](repeating: 0, count: 65)
    var length = serialized.count
    unsafe secp256k1_ec_pubkey_serialize(
      Secp256k1.shared.context, &serialized, &length, &publicKey,
      UInt32(SECP256K1_EC_UNCOMPRESSED))
    guard let address = try? Address(Hash32.keccak(serialized[1...]).bytes.suffix(20)) else {
      throw .failed
    }
    self = address
  }
}
