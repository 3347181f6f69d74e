import Credits
import Ethereum
import Foundation

/// A private key in a file: a keystore v3, or 64 hexadecimal digits that only the owner can read.
enum KeyFile {
  /// Keystores take about 500 bytes.
  private static let limit = 16_384

  /// - Parameters:
  ///   - password: asked for only when the file is a keystore.
  ///   - warn: told of a keystore that others can read. Its password still protects it.
  static func load(
    _ path: String, password: () throws -> Secret, warn: (String) -> Void
  ) throws -> PrivateKey {
    let file = try SecretFile.read(path, atMost: limit)
    guard isJSON(file.bytes) else { return try raw(file, path) }
    if file.isOpenToOthers {
      warn("warning: \(path) has mode \(file.octalMode), others may read it; chmod 600 \(path)")
    }
    do {
      let keystore = try unsafe Keystore(parsing: file.bytes.withBytes { unsafe Array($0) })
      return try keystore.open(try password())
    } catch let error as KeystoreError {
      throw KeyFileError.keystore(path, error)
    }
  }

  /// Writes a key to a new keystore and opens what was written, before anyone sends money to its address.
  static func create(
    _ path: String, key: Secret, password: Secret, derivation: KeyDerivation = .standard
  ) throws -> Address {
    let address = try key.privateKey().address
    let keystore = try Keystore(
      sealing: key, of: address, under: password, derivation: derivation)
    try SecretFile.create(path, keystore.json(id: UUID()))
    do {
      let opened = try load(path, password: { password }, warn: { _ in })
      guard opened.address == address else {
        throw KeystoreError.otherAddress(found: opened.address, wanted: address)
      }
    } catch {
      unsafe unlink(path)
      throw error
    }
    return address
  }

  private static func isJSON(_ text: Secret) -> Bool {
    unsafe text.withBytes { bytes in
      unsafe bytes.first { ![0x20, 0x09, 0x0a, 0x0d].contains($0) } == UInt8(ascii: "{")
    }
  }

  private static func raw(_ file: SecretFile, _ path: String) throws -> PrivateKey {
    guard !file.isOpenToOthers else { throw SecretFileError.tooOpen(path, mode: file.octalMode) }
    guard let key = file.bytes.decodedKey() else { throw KeyFileError.noKey(path) }
    do { return try key.privateKey() } catch { throw KeyFileError.invalid(path) }
  }
}

enum KeyFileError: Error, Equatable, CustomStringConvertible {
  case keystore(String, KeystoreError)
  case noKey(String)
  case invalid(String)

  var description: String {
    switch self {
    case .keystore(let path, let error): "\(path): \(error)"
    case .noKey(let path):
      "\(path) holds neither a keystore v3 nor a raw key, which is one line of 64 hexadecimal digits"
    case .invalid(let path):
      "the number in \(path) is no secp256k1 private key: it is 0 or too large"
    }
  }
}

extension TypedMessage {
  func signed(by key: PrivateKey) throws -> Signature { try key.sign(digest) }
}
