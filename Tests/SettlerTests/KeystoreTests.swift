import Ethereum
import Foundation
import JSON
import TestSupport
import Testing

@testable import Settler

@Suite struct KeystoreTests {
  // MARK: Published vectors

  struct Vector: CustomTestStringConvertible, Sendable {
    let name: String
    let password: String
    /// 32 bytes, in hexadecimal.
    let key: String
    let json: String

    var testDescription: String { name }
  }

  static let vectors = [
    // https://github.com/ethereum/wiki/wiki/Web3-Secret-Storage-Definition, “PBKDF2-SHA-256”.
    Vector(
      name: "wiki pbkdf2", password: "testpassword",
      key: "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d",
      json: """
        {"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2",
        "kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256",
        "salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
        "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
        "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}
        """),
    // go-ethereum, accounts/keystore/testdata/v3_test_vector.json, “31_byte_key”: a leading zero was dropped.
    Vector(
      name: "geth 31 bytes", password: "foo",
      key: "00fa7b3db73dc7dfdf8c5fbdb796d741e4488628c41fc4febd9160a866ba0f35",
      json: """
        {"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"e0c41130a323adc1446fc82f724bca2f"},
        "ciphertext":"9517cd5bdbe69076f9bf5057248c6c050141e970efa36ce53692d5d59a3984","kdf":"scrypt",
        "kdfparams":{"dklen":32,"n":2,"r":8,"p":1,
        "salt":"711f816911c92d649fb4c84b047915679933555030b3552c1212609b38208c63"},
        "mac":"d5e116151c6aa71470e67a7d42c9620c75c4d23229847dcc127794f0732b0db5"},
        "id":"fecfc4ce-e956-48fd-953b-30f8b52ed66c","version":3}
        """),
    // The same file, “30_byte_key”.
    Vector(
      name: "geth 30 bytes", password: "foo",
      key: "000081c29e8142bb6a81bef5a92bda7a8328a5c85bb2f9542e76f9b0f94fc018",
      json: """
        {"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"3ca92af36ad7c2cd92454c59cea5ef00"},
        "ciphertext":"108b7d34f3442fc26ab1ab90ca91476ba6bfa8c00975a49ef9051dc675aa","kdf":"scrypt",
        "kdfparams":{"dklen":32,"n":2,"r":8,"p":1,
        "salt":"d0769e608fb86cda848065642a9c6fa046845c928175662b8e356c77f914cd3b"},
        "mac":"75d0e6759f7b3cefa319c3be41680ab6beea7d8328653474bd06706d4cc67420"},
        "id":"a37e1559-5955-450d-8075-7b8931b392b2","version":3}
        """),
    // web3j, crypto/src/test/java/org/web3j/crypto/WalletTest.java, SCRYPT: the cost that is usual today.
    Vector(
      name: "web3j scrypt", password: "Insecure Pa55w0rd",
      key: "a392604efc2fad9c0b3da43b5f698a2e3f270f170d859912be0d54742275c5f6",
      json: """
        {"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"3021e1ef4774dfc5b08307f3a4c8df00"},
        "ciphertext":"4dd29ba18478b98cf07a8a44167acdf7e04de59777c4b9c139e3d3fa5cb0b931","kdf":"scrypt",
        "kdfparams":{"dklen":32,"n":262144,"r":8,"p":1,
        "salt":"4f9f68c71989eb3887cd947c80b9555fce528f210199d35c35279beb8c2da5ca"},
        "mac":"7e8f2192767af9be18e7a373c1986d9190fcaa43ad689bbb01a62dbde159338d"},
        "id":"7654525c-17e0-4df5-94b5-c7fde752c9d2","version":3}
        """),
  ]

  @Test(arguments: vectors)
  func `a published keystore opens to its published key`(vector: Vector) throws {
    let keystore = try Keystore(parsing: Array(vector.json.utf8))
    #expect(try keystore.open(secret(vector.password)).address == address(of: vector.key))
    #expect(throws: KeystoreError.wrongPassword) {
      try keystore.open(derived: Secret.zeros(32))
    }
  }

  /// go-ethereum, accounts/keystore/testdata/very-light-scrypt.json: an empty password, and the address in the file.
  @Test func `geth's light keystore opens with its empty password to the address it names`() throws
  {
    let light = """
      {"address":"45dea0fb0bba44f4fcf290bba71fd57d7117cbb8","crypto":{"cipher":"aes-128-ctr",
      "ciphertext":"b87781948a1befd247bff51ef4063f716cf6c2d3481163e9a8f42e1f9bb74145",
      "cipherparams":{"iv":"dc4926b48a105133d2f16b96833abf1e"},"kdf":"scrypt",
      "kdfparams":{"dklen":32,"n":2,"p":1,"r":8,
      "salt":"004244bbdc51cadda545b1cfa43cff9ed2ae88e08c61f1479dbb45410722f8f0"},
      "mac":"39990c1684557447940d4c69e06b1b82b2aceacb43f284df65c956daf3046b85"},
      "id":"ce541d8d-c79b-40f8-9f8c-20f59616faba","version":3}
      """
    let key = try Keystore(parsing: Array(light.utf8)).open(secret(""))
    #expect(key.address == (try Address("0x45dea0fb0bba44f4fcf290bba71fd57d7117cbb8")))
  }

  /// The wiki's scrypt vector has n 262144 and r 1. RFC 7914 wants n < 2^(128 · r / 8), and libcrypto computes nothing else; so
  /// the file is refused with the remedy, and all that comes after scrypt is checked from the derived key that the wiki gives.
  @Test
  func `the wiki's scrypt keystore, outside RFC 7914, is refused and opens from its derived key`()
    throws
  {
    let json = """
      {"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"83dbcc02d8ccb40e466191a123791e0e"},
      "ciphertext":"d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c","kdf":"scrypt",
      "kdfparams":{"dklen":32,"n":262144,"r":1,"p":8,
      "salt":"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
      "mac":"2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},
      "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}
      """
    #expect(throws: KeystoreError.scryptBeyondRFC(n: 262_144, r: 1)) {
      try Keystore(parsing: Array(json.utf8))
    }
    let allowed = json.replacing("\"n\":262144,\"r\":1", with: "\"n\":32768,\"r\":1")
    let derived = "fac192ceb5fd772906bea3e118a69e8bbb5cc24229e20d8766fd298291bba6bd"
    let key = try Keystore(parsing: Array(allowed.utf8)).open(
      derived: secret(bytes: try Hex.decode("0x" + derived)))
    // The wiki's address of secret 7a28…fe9d.
    #expect(key.address == (try Address("0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b")))
  }

  /// RFC 7914, sections 11 and 12, the first 32 of 64 bytes.
  @Test(arguments: [
    (
      KeyDerivation.scrypt(n: 16, r: 1, p: 1), "", "",
      "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
    ),
    (
      .scrypt(n: 1024, r: 8, p: 16), "password", "NaCl",
      "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
    ),
    (
      .scrypt(n: 16384, r: 8, p: 1), "pleaseletmein", "SodiumChloride",
      "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    ),
    (
      .pbkdf2(iterations: 1), "passwd", "salt",
      "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
    ),
    (
      .pbkdf2(iterations: 80_000), "Password", "NaCl",
      "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
    ),
  ])
  func `a password becomes what RFC 7914 says`(
    derivation: KeyDerivation, password: String, salt: String, wanted: String
  ) throws {
    let derived = try derivation.derive(secret(password), salt: Array(salt.utf8))
    #expect(derived.withBytes { Hex.digits($0) } == wanted)
  }

  // MARK: Against eth-account

  @Test func `keystores of eth-account open, and it opens ours`() async throws {
    let seed = Int.random(in: 0..<1_000_000)
    let made = try Python.lines("keystores.py", ["make", "--seed", "\(seed)", "--count", "60"])
    #expect(made.count == 60)
    var ours = ""
    var keys: [String] = []
    for line in made {
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      let key = try secret(bytes: Hex.decode("0x" + fields[0]))
      let password = try secret(bytes: Hex.decode("0x" + fields[1]))
      let wanted = try key.privateKey().address
      let theirs = try Keystore(parsing: Array(fields[2].utf8))
      #expect(theirs.address == wanted, "seed \(seed)")
      #expect(try theirs.open(password).address == wanted, "seed \(seed): \(fields[2])")
      let sealed = try Keystore(
        sealing: key, of: wanted, under: password, derivation: theirs.derivation)
      ours += fields[1] + "\t" + sealed.json(id: UUID())
      keys.append("0x" + fields[0])
    }
    try await inFolder { folder in
      let file = folder + "/ours"
      try Data(ours.utf8).write(to: URL(filePath: file))
      let opened = try Python.lines("keystores.py", ["open", file])
      #expect(opened.map { $0.hasPrefix("0x") ? $0 : "0x" + $0 } == keys, "seed \(seed)")
    }
  }

  // MARK: Damage

  @Test func `every byte of a keystore, changed, is refused or gives the same key`() throws {
    let (json, password, address) = try light()
    let bytes = Array(json.utf8)
    var refused = 0
    var random = SystemRandomNumberGenerator()
    for position in bytes.indices {
      for byte in [
        bytes[position] ^ 1, bytes[position] ^ 0x20, UInt8(ascii: "0"), UInt8(ascii: "\""),
        UInt8(ascii: " "), UInt8.random(in: .min ... .max, using: &random),
      ] where byte != bytes[position] {
        var changed = bytes
        changed[position] = byte
        if try isRefused(changed, password, address, "byte \(position) as \(byte)") { refused += 1 }
      }
      if try isRefused(Array(bytes[..<position]), password, address, "cut at \(position)") {
        refused += 1
      }
    }
    #expect(refused > 5 * bytes.count)
  }

  @Test func `every field of a keystore, taken away or replaced, is refused or gives the same key`()
    throws
  {
    let (json, password, address) = try light()
    let whole = try JSONValue(parsing: json)
    let harmless: Set<[String]> = [["id"], ["address"]]
    let paths =
      ["address", "crypto", "id", "version"].map { [$0] }
      + ["cipher", "cipherparams", "ciphertext", "kdf", "kdfparams", "mac"].map { ["crypto", $0] }
      + [["crypto", "cipherparams", "iv"]]
      + ["dklen", "n", "r", "p", "salt"].map { ["crypto", "kdfparams", $0] }
    let others: [JSONValue?] = [
      nil, .null, true, "", "00", [], .object([]), 0, 1, 3, 33, .number("-1"), .number("1.5"),
      .number("1e3"), .number("99999999999999999999"),
    ]
    for path in paths {
      for other in others where other != at(path, whole) {
        let changed = Array(replaced(path[...], whole, other).description.utf8)
        let what = "\(path.joined(separator: ".")): \(other.map(\.description) ?? "none")"
        let isRefused = try isRefused(changed, password, address, what)
        if path == ["id"] { #expect(!isRefused, "\(what)") }
        if !harmless.contains(path) { #expect(isRefused, "\(what)") }
      }
    }
  }

  /// The checksum of the format does not cover the iv.
  @Test func `a changed iv is found by the address, and told apart from a wrong password`() throws {
    let (json, password, address) = try light()
    let keystore = try Keystore(parsing: Array(json.utf8))
    var iv = keystore.iv
    iv[15] ^= 1
    let changed = Keystore(
      address: keystore.address, derivation: keystore.derivation, salt: keystore.salt, iv: iv,
      ciphertext: keystore.ciphertext, mac: keystore.mac)
    do {
      _ = try changed.open(password)
      Issue.record("a changed iv was accepted")
    } catch {
      guard case .otherAddress(_, wanted: address) = error else {
        Issue.record("\(error)")
        return
      }
    }
    #expect(throws: KeystoreError.wrongPassword) { try keystore.open(secret("passwort")) }
  }

  @Test(arguments: [
    ("n", "3"), ("n", "0"), ("n", "1"), ("n", "2097152"), ("n", "18446744073709551615"),
    ("n", "9223372036854775808"), ("r", "0"), ("r", "8388608"), ("r", "18446744073709551615"),
    ("p", "0"), ("p", "17"), ("p", "4294967296"), ("dklen", "16"), ("dklen", "2147483648"),
  ])
  func `scrypt that would take too much is refused before it begins`(name: String, value: String)
    throws
  {
    let (json, _, _) = try light()
    let changed = replaced(
      ["crypto", "kdfparams", name], try JSONValue(parsing: json), .number(value))
    #expect(throws: KeystoreError.self) { try Keystore(parsing: Array(changed.description.utf8)) }
  }

  @Test func `pbkdf2 that would take too long is refused before it begins`() throws {
    for count: UInt64 in [0, 10_000_001, .max] {
      #expect(throws: KeystoreError.self) { try KeyDerivation.pbkdf2(checking: count) }
    }
    #expect(
      try KeyDerivation.scrypt(checking: 1 << 20, r: 8, p: 16) == .scrypt(n: 1 << 20, r: 8, p: 16))
  }

  // MARK: Files

  @Test
  func `a new keystore is its owner's alone, of full cost, with its address, and never overwrites`()
    async throws
  {
    try await inFolder { folder in
      let path = folder + "/key.json"
      let key = try secret(bytes: Hex.decode(devKey))
      let address = try KeyFile.create(
        path, key: key, password: secret("Passwort"), derivation: cheap)
      #expect(address == devAddress)
      #expect(try mode(path) == 0o600)
      let written = try Data(contentsOf: URL(filePath: path))
      let json = try JSONValue(parsing: Array(written))
      #expect(json["version"] == 3)
      #expect(json["address"]?.string == Hex.digits(devAddress.bytes))
      let id = try #require(json["id"]?.string.flatMap(UUID.init(uuidString:)))
      // RFC 9562: version 4, random.
      #expect(id.uuid.6 >> 4 == 4)
      #expect(throws: SecretFileError.exists(path)) {
        try KeyFile.create(path, key: key, password: secret("another"), derivation: cheap)
      }
      #expect(try Data(contentsOf: URL(filePath: path)) == written)
      try FileManager.default.createSymbolicLink(
        atPath: folder + "/link", withDestinationPath: folder + "/nowhere")
      #expect(throws: SecretFileError.exists(folder + "/link")) {
        try KeyFile.create(
          folder + "/link", key: key, password: secret("another"), derivation: cheap)
      }
      let again = folder + "/again.json"
      _ = try KeyFile.create(again, key: key, password: secret("Passwort"), derivation: cheap)
      let other = try JSONValue(parsing: Array(try Data(contentsOf: URL(filePath: again))))
      for path in [["id"], ["crypto", "kdfparams", "salt"], ["crypto", "cipherparams", "iv"]] {
        #expect(at(path, json) != at(path, other), "\(path) is not random")
      }
    }
    #expect(KeyDerivation.standard == .scrypt(n: 262_144, r: 8, p: 1))
  }

  @Test(arguments: [0o600, 0o400, 0o640, 0o604, 0o620, 0o644, 0o666])
  func `a raw key is read only when it is its owner's alone; a keystore is read with a warning`(
    bits: Int
  ) async throws {
    try await inFolder { folder in
      let raw = folder + "/raw"
      try Data((devKey + "\n").utf8).write(to: URL(filePath: raw))
      #expect(chmod(raw, mode_t(bits)) == 0)
      let isPrivate = bits & 0o077 == 0
      if isPrivate {
        #expect(try open(raw).address == devAddress)
      } else {
        #expect(throws: SecretFileError.tooOpen(raw, mode: String(bits, radix: 8))) {
          try open(raw)
        }
      }
      let sealed = folder + "/sealed"
      _ = try KeyFile.create(
        sealed, key: secret(bytes: Hex.decode(devKey)), password: secret("Passwort"),
        derivation: cheap)
      #expect(chmod(sealed, mode_t(bits)) == 0)
      var warnings: [String] = []
      let key = try KeyFile.load(
        sealed, password: { secret("Passwort") }, warn: { warnings.append($0) })
      #expect(key.address == devAddress)
      #expect(warnings.count == (isPrivate ? 0 : 1))
    }
  }

  @Test(arguments: [
    "", "\n", "0x", "ac09", "{", "[]", "{}", String(repeating: "0", count: 64),
    String(repeating: "f", count: 64), String(repeating: "a", count: 63) + "g",
    "0x" + String(repeating: "a", count: 66), String(repeating: "a", count: 64) + " b",
    String(repeating: " ", count: 20_000),
  ])
  func `what is no key is refused, naming the file`(text: String) async throws {
    try await inFolder { folder in
      let path = folder + "/key"
      try Data(text.utf8).write(to: URL(filePath: path))
      #expect(chmod(path, 0o600) == 0)
      do {
        _ = try open(path)
        Issue.record("it was accepted")
      } catch {
        #expect("\(error)".contains(path))
        #expect(text.count < 60 || !"\(error)".contains(text))
      }
    }
  }

  @Test func `no file, a folder, a device and a named pipe are refused at once`() async throws {
    try await inFolder { folder in
      let pipe = folder + "/pipe"
      #expect(mkfifo(pipe, 0o600) == 0)
      for path in [folder + "/none", folder, "/dev/zero", pipe] {
        #expect(throws: SecretFileError.self) { try open(path) }
      }
    }
  }

  @Test(arguments: [
    ("a b", "a b"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\r", "a\r"), ("\n", ""),
    ("", ""), (" a ", " a "),
  ])
  func `a password file's one line end is no part of the password`(text: String, wanted: String) {
    #expect(secret(text).withoutLineEnd().isSame(as: secret(wanted)))
    #expect(!secret(text).isSame(as: secret(text + "x")))
  }

  @Test func `a secret shows nothing of itself`() throws {
    let secret = secret("Passwort")
    let keystore = try light()
    #expect(!"\(secret) \(String(reflecting: secret))".contains("Passwort"))
    var dumped = ""
    dump(secret, to: &dumped)
    dump(try Keystore(parsing: Array(keystore.json.utf8)).open(keystore.password), to: &dumped)
    #expect(!dumped.contains("Passwort") && !dumped.contains(String(devKey.dropFirst(2))))
  }

  // MARK: Help

  /// Dev key: the first account of Hardhat's and anvil's well-known mnemonic. Worth nothing anywhere.
  private let devKey = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
  private let devAddress: Address
  private let cheap = KeyDerivation.scrypt(n: 2, r: 8, p: 1)

  init() throws { devAddress = try Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266") }

  private func open(_ path: String) throws -> PrivateKey {
    try KeyFile.load(path, password: { secret("Passwort") }, warn: { _ in })
  }

  private func address(of key: String) throws -> Address {
    try PrivateKey(Hex.decode("0x" + key)).address
  }

  private func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? Int)
  }

  /// A keystore of the dev key that opens in no time.
  private func light() throws -> (json: String, password: Secret, address: Address) {
    let password = secret("Passwort")
    let keystore = try Keystore(
      sealing: secret(bytes: Hex.decode(devKey)), of: devAddress, under: password,
      derivation: cheap)
    return (keystore.json(id: UUID()), password, devAddress)
  }

  /// Fails when another key than `address`'s comes out.
  private func isRefused(
    _ bytes: [UInt8], _ password: Secret, _ address: Address, _ what: String
  ) throws -> Bool {
    do {
      let opened = try Keystore(parsing: bytes).open(password).address
      #expect(opened == address, "\(what)")
      return false
    } catch {
      // A typed error: nothing else can come.
      return true
    }
  }

  private func at(_ path: [String], _ json: JSONValue) -> JSONValue? {
    path.reduce(json as JSONValue?) { $0?[$1] }
  }

  /// The same with another value at a path; nil takes the field away.
  private func replaced(_ path: ArraySlice<String>, _ json: JSONValue, _ other: JSONValue?)
    -> JSONValue
  {
    guard case .object(let members) = json, let name = path.first else { return json }
    return .object(
      members.compactMap { member in
        guard member.key == name else { return member }
        if path.count > 1 {
          return (member.key, replaced(path.dropFirst(), member.value, other))
        }
        return other.map { (member.key, $0) }
      })
  }
}

func secret(_ text: String) -> Secret { secret(bytes: Array(text.utf8)) }

func secret(bytes: [UInt8]) -> Secret {
  Secret(capacity: bytes.count) {
    $0.copyBytes(from: bytes)
    return bytes.count
  }
}

extension Secret {
  static func zeros(_ count: Int) -> Secret { Secret(capacity: count) { _ in count } }
}

/// A folder of its own for a test, removed afterwards.
func inFolder<R>(_ body: (String) async throws -> R) async throws -> R {
  let folder = FileManager.default.temporaryDirectory.appending(path: "keys-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try await body(folder.path)
}
