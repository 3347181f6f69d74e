import Ethereum
import Foundation
import JSON
import Service

extension SettlerProgram {
  func key() throws {
    switch arguments.words.dropFirst().first {
    case "new":
      try writeKey { _ in
        guard let key = Secret.random(32) else {
          throw KeystoreError.cryptoFailed("random numbers")
        }
        return key
      }
    case "import": try writeKey(readKey)
    case "address":
      try expectKeyWords(2)
      let address = try loadKey().address
      print(["address": .string(address.checksummed)], address.checksummed)
    default: throw UsageError("settler key new FILE, key import FILE or key address --key FILE")
    }
  }

  /// Puts a key into a new keystore.
  private func writeKey(_ make: (PasswordSource) throws -> Secret) throws {
    try expectKeyWords(3)
    let path = try keyPath(try arguments.word(at: 2, "the FILE to write"), "settler key")
    // Seen before anything is typed; the creation itself refuses too.
    guard unsafe access(path, F_OK) != 0 else { throw SecretFileError.exists(path) }
    let passwords = try PasswordSource(arguments)
    let key = try make(passwords)
    let address = try KeyFile.create(
      path, key: key, password: try passwords.newPassword(for: path))
    Self.log(
      "wrote \(path); keep copies of it and of its password: without both, what \(address) controls is lost"
    )
    print(
      ["address": .string(address.checksummed), "file": .string(path)], address.checksummed)
  }

  /// The raw key to import: typed, or from a pipe.
  private func readKey(_ passwords: PasswordSource) throws -> Secret {
    let text: Secret
    if Terminal.isPresent {
      text = try Terminal.ask("Private key (64 hexadecimal digits, not shown): ")
    } else {
      guard !passwords.isStandardInput else {
        throw UsageError(
          "stdin is for the key; give the password by --password-file or another descriptor")
      }
      do { text = try Secret(reading: STDIN_FILENO, atMost: 256) } catch {
        throw UsageError("no key from stdin: \(error)")
      }
    }
    guard let key = text.decodedKey() else {
      throw UsageError("what came from stdin is no raw key: one line of 64 hexadecimal digits")
    }
    // Before a password is asked for.
    do { _ = try key.privateKey() } catch {
      throw UsageError("the number from stdin is no secp256k1 private key: it is 0 or too large")
    }
    return key
  }

  /// Refuses further words without showing them: they may be a key.
  private func expectKeyWords(_ count: Int) throws(UsageError) {
    guard arguments.words.count <= count else {
      throw UsageError(
        "settler key \(arguments.words[1]) takes fewer words; a key is never given on the command line, pipe it into stdin"
      )
    }
  }

  /// A file's name; a private key in its place is refused without showing it.
  func keyPath(_ text: String, _ what: String) throws(UsageError) -> String {
    let digits = text.utf8.starts(with: "0x".utf8) ? text.utf8.dropFirst(2) : text.utf8[...]
    guard digits.count != 64 || digits.contains(where: { Hex.value(of: $0) == nil }) else {
      throw UsageError(
        "\(what) takes a file, and this looks like a private key; other users of this machine may have seen it: if it is one,"
          + " use it no more")
    }
    return text
  }
}
