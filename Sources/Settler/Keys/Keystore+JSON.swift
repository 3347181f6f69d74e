import Ethereum
import Foundation
import JSON

extension Keystore {
  /// Reads a keystore file's bytes: every field that opening needs, strictly. Other fields (`id`, `name`, …) are left alone.
  init(parsing bytes: [UInt8]) throws(KeystoreError) {
    let json: JSONValue
    do { json = try JSONValue(parsing: bytes) } catch { throw .notJSON("\(error)") }
    guard json["version"]?.number == "3" else {
      throw .badField("version", "is \(json["version"].map(Self.shown) ?? "missing"), not 3")
    }
    // geth's first files write it with a capital letter.
    guard let crypto = json["crypto"] ?? json["Crypto"] else {
      throw .badField("crypto", "is missing")
    }
    try Self.expect("cipher", in: crypto, "crypto", "aes-128-ctr")
    let parameters = try Self.object("kdfparams", in: crypto)
    let length = try Self.number("dklen", in: parameters)
    guard length == UInt64(KeyDerivation.length) else {
      throw .badField("crypto.kdfparams.dklen", "is \(length), not \(KeyDerivation.length)")
    }
    switch try Self.text("kdf", in: crypto, "crypto") {
    case "scrypt":
      derivation = try .scrypt(
        checking: try Self.number("n", in: parameters), r: try Self.number("r", in: parameters),
        p: try Self.number("p", in: parameters))
    case "pbkdf2":
      try Self.expect("prf", in: parameters, "crypto.kdfparams", "hmac-sha256")
      derivation = try .pbkdf2(checking: try Self.number("c", in: parameters))
    case let other:
      throw .badField("crypto.kdf", "is \(Self.shown(.string(other))); scrypt and pbkdf2 are read")
    }
    salt = try Self.bytes("salt", in: parameters, "crypto.kdfparams", 1...128)
    iv = try Self.bytes(
      "iv", in: try Self.object("cipherparams", in: crypto), "crypto.cipherparams", 16...16)
    ciphertext = try Self.bytes("ciphertext", in: crypto, "crypto", 1...32)
    mac = try Self.bytes("mac", in: crypto, "crypto", 32...32)
    switch json["address"] {
    case nil, .null?: address = nil
    case let field?:
      guard let text = field.string,
        let address = try? Address(
          text.hasPrefix("0x") ? text.lowercased() : "0x" + text.lowercased())
      else { throw .badField("address", "is \(Self.shown(field)), not 40 hexadecimal digits") }
      self.address = address
    }
  }

  /// The file's text. The identifier is random and says nothing about the key.
  func json(id: UUID) -> String {
    let function: (name: String, parameters: [(key: String, value: JSONValue)]) =
      switch derivation {
      case .scrypt(let n, let r, let p):
        ("scrypt", [("n", .number(n)), ("r", .number(r)), ("p", .number(p))])
      case .pbkdf2(let iterations):
        ("pbkdf2", [("c", .number(iterations)), ("prf", "hmac-sha256")])
      }
    let fields: [(key: String, value: JSONValue)] = [
      ("address", address.map { .string(Hex.digits($0.bytes)) } ?? .null),
      (
        "crypto",
        .object([
          ("cipher", "aes-128-ctr"), ("cipherparams", ["iv": .string(Hex.digits(iv))]),
          ("ciphertext", .string(Hex.digits(ciphertext))), ("kdf", .string(function.name)),
          (
            "kdfparams",
            .object(
              [("dklen", .number(KeyDerivation.length))] + function.parameters
                + [("salt", .string(Hex.digits(salt)))])
          ),
          ("mac", .string(Hex.digits(mac))),
        ])
      ),
      ("id", .string(id.uuidString.lowercased())), ("version", 3),
    ]
    return JSONValue.object(fields).description + "\n"
  }

  // MARK: Fields

  private static func object(_ name: String, in crypto: JSONValue) throws(KeystoreError)
    -> JSONValue
  {
    guard let value = crypto[name], case .object = value else {
      throw .badField("crypto.\(name)", "is missing")
    }
    return value
  }

  private static func text(
    _ name: String, in object: JSONValue, _ path: String
  ) throws(KeystoreError) -> String {
    guard let text = object[name]?.string else {
      throw .badField("\(path).\(name)", "is missing or no string")
    }
    return text
  }

  private static func expect(
    _ name: String, in object: JSONValue, _ path: String, _ wanted: String
  ) throws(KeystoreError) {
    let found = try text(name, in: object, path)
    guard found == wanted else {
      throw .badField("\(path).\(name)", "is \(shown(.string(found))), not \(wanted)")
    }
  }

  private static func number(_ name: String, in parameters: JSONValue) throws(KeystoreError)
    -> UInt64
  {
    guard let field = parameters[name] else {
      throw .badField("crypto.kdfparams.\(name)", "is missing")
    }
    guard let text = field.number, let value = UInt64(text) else {
      throw .badField("crypto.kdfparams.\(name)", "is \(shown(field)), not a whole number")
    }
    return value
  }

  private static func bytes(
    _ name: String, in object: JSONValue, _ path: String, _ counts: ClosedRange<Int>
  ) throws(KeystoreError) -> [UInt8] {
    let text = try text(name, in: object, path)
    let bytes: [UInt8]
    do { bytes = try Hex.decode("0x" + text) } catch {
      throw .badField("\(path).\(name)", "is not hexadecimal: \(error)")
    }
    guard counts.contains(bytes.count) else {
      let wanted =
        counts.count == 1 ? "\(counts.lowerBound)" : "\(counts.lowerBound) to \(counts.upperBound)"
      throw .badField("\(path).\(name)", "has \(bytes.count) bytes, not \(wanted)")
    }
    return bytes
  }

  /// A value from the file, short enough for a message.
  private static func shown(_ value: JSONValue) -> String {
    let text = value.description
    return text.count <= 40 ? text : text.prefix(40) + "…"
  }
}
