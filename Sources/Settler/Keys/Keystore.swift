import CCrypto
import Ethereum
import Foundation
import Keccak

/// A private key under a password: Web3 Secret Storage, version 3, as geth, eth-account and most wallets write it.
struct Keystore: Equatable {
  /// What the file says; checked against the key when it is opened. Files need not say it.
  let address: Address?
  let derivation: KeyDerivation
  let salt: [UInt8]
  let iv: [UInt8]
  let ciphertext: [UInt8]
  /// keccak256(derived[16..<32] ‖ ciphertext)
  let mac: [UInt8]
}

/// Why a keystore does not open.
enum KeystoreError: Error, Equatable, CustomStringConvertible {
  case notJSON(String)
  case badField(String, String)
  case scryptBeyondRFC(n: UInt64, r: UInt64)
  case wrongPassword
  case otherAddress(found: Address, wanted: Address)
  case notAKey
  case cryptoFailed(String)

  var description: String {
    switch self {
    case .notJSON(let why): "the keystore is damaged, \(why); restore it from a copy"
    case .badField(let name, let why):
      "no keystore v3 that can be read: \(name) \(why); restore it from a copy"
    case .scryptBeyondRFC(let n, let r):
      "its scrypt parameters n \(n), r \(r) are outside RFC 7914 and libcrypto does not compute them; export the raw key with"
        + " the wallet that wrote it and give that to settler key import"
    case .wrongPassword:
      "wrong password. If the password is right, the file was changed: restore it from a copy"
    case .otherAddress(let found, let wanted):
      "the keystore is damaged: the password is right, but the key is that of \(found), the file says \(wanted);"
        + " its iv or its address was changed, restore it from a copy"
    case .notAKey:
      "the keystore is damaged: the password is right, but what it protects is no private key; restore it from a copy"
    case .cryptoFailed(let what): "libcrypto failed (\(what)); is there memory enough?"
    }
  }
}

extension Keystore {
  /// Puts a key under a password.
  /// - Parameter derivation: what guessing the password costs.
  init(
    sealing key: Secret, of address: Address, under password: Secret,
    derivation: KeyDerivation = .standard
  ) throws(KeystoreError) {
    // Of the same generator as keys, though these are no secrets.
    guard let salt = unsafe Secret.random(32)?.withBytes({ unsafe Array($0) }),
      let iv = unsafe Secret.random(16)?.withBytes({ unsafe Array($0) })
    else { throw .cryptoFailed("random numbers") }
    let derived = try derivation.derive(password, salt: salt)
    var ciphertext = [UInt8](repeating: 0, count: key.count)
    let succeeded = unsafe key.withBytes { key in
      unsafe ciphertext.withUnsafeMutableBytes { output in
        unsafe Self.cipher(derived, iv: iv, input: key, output: output)
      }
    }
    guard succeeded else { throw .cryptoFailed("AES") }
    self.address = address
    self.derivation = derivation
    self.salt = salt
    self.iv = iv
    self.ciphertext = ciphertext
    mac = Self.mac(derived, ciphertext)
  }

  /// The key, if the password is right and the file is whole.
  func open(_ password: Secret) throws(KeystoreError) -> PrivateKey {
    try open(derived: try derivation.derive(password, salt: salt))
  }

  /// The second half of opening, after the password.
  func open(derived: Secret) throws(KeystoreError) -> PrivateKey {
    let wanted = Self.mac(derived, ciphertext)
    guard unsafe CRYPTO_memcmp(wanted, mac, 32) == 0 else { throw .wrongPassword }
    var succeeded = false
    let secret = unsafe Secret(capacity: 32) { output in
      // Early clients dropped a key's leading zeros.
      let start = 32 - ciphertext.count
      succeeded = unsafe ciphertext.withUnsafeBytes { input in
        unsafe Self.cipher(
          derived, iv: iv, input: input,
          output: UnsafeMutableRawBufferPointer(rebasing: output[start...]))
      }
      return 32
    }
    guard succeeded else { throw .cryptoFailed("AES") }
    let key: PrivateKey
    do { key = try secret.privateKey() } catch { throw .notAKey }
    // The checksum does not cover the iv: only the address shows that it was changed.
    if let address, address != key.address {
      throw .otherAddress(found: key.address, wanted: address)
    }
    return key
  }

  private static func cipher(
    _ derived: Secret, iv: [UInt8], input: UnsafeRawBufferPointer,
    output: UnsafeMutableRawBufferPointer
  ) -> Bool {
    unsafe derived.withBytes { derived in
      unsafe CounterMode.apply(
        key: UnsafeRawBufferPointer(rebasing: derived[..<16]), iv: iv, input: input, output: output)
    }
  }

  private static func mac(_ derived: Secret, _ ciphertext: [UInt8]) -> [UInt8] {
    var hasher = Keccak256()
    unsafe derived.withBytes { unsafe hasher.update(UnsafeRawBufferPointer(rebasing: $0[16...])) }
    hasher.update(ciphertext)
    return hasher.finalize().bytes
  }
}
