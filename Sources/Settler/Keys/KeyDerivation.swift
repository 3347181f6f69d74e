import CCrypto

/// How a keystore's password becomes 32 bytes: the two functions of Web3 Secret Storage, computed by libcrypto.
///
/// Values exist only within bounds: a file from a stranger takes neither the machine's memory nor an hour.
enum KeyDerivation: Equatable {
  case scrypt(n: UInt64, r: UInt64, p: UInt64)
  /// HMAC-SHA-256.
  case pbkdf2(iterations: UInt64)

  /// 256 MiB and about a second: what geth writes.
  static let standard = KeyDerivation.scrypt(n: 262_144, r: 8, p: 1)

  /// Bytes that a password becomes: 16 for the cipher, 16 for the checksum.
  static let length = 32
  /// Four times what `standard` takes.
  static let memoryLimit: UInt64 = 1 << 30
  static let parallelLimit: UInt64 = 16
  static let iterationLimit: UInt64 = 10_000_000

  static func scrypt(checking n: UInt64, r: UInt64, p: UInt64) throws(KeystoreError)
    -> KeyDerivation
  {
    guard n >= 2, n & (n - 1) == 0 else {
      throw .badField("crypto.kdfparams.n", "is \(n), not a power of two")
    }
    guard r >= 1 else { throw .badField("crypto.kdfparams.r", "is \(r)") }
    guard (1...parallelLimit).contains(p) else {
      throw .badField("crypto.kdfparams.p", "is \(p); 1 to \(parallelLimit) are read")
    }
    let (blocks, overflow) = n.multipliedReportingOverflow(by: r)
    guard !overflow, blocks <= memoryLimit / 128 else {
      throw .badField(
        "crypto.kdfparams", "asks for more than \(memoryLimit >> 20) MiB (n \(n), r \(r))")
    }
    // RFC 7914, section 2: n < 2^(128 · r / 8). libcrypto computes nothing else, and files of 2015 with n 262144 and r 1 exist.
    guard r >= 4 || n < 1 << (16 * r) else { throw .scryptBeyondRFC(n: n, r: r) }
    return .scrypt(n: n, r: r, p: p)
  }

  static func pbkdf2(checking iterations: UInt64) throws(KeystoreError) -> KeyDerivation {
    guard (1...iterationLimit).contains(iterations) else {
      throw .badField("crypto.kdfparams.c", "is \(iterations); 1 to \(iterationLimit) are read")
    }
    return .pbkdf2(iterations: iterations)
  }

  /// `EVP_PBE_scrypt` or `PKCS5_PBKDF2_HMAC`.
  func derive(_ password: Secret, salt: [UInt8]) throws(KeystoreError) -> Secret {
    var succeeded = false
    let derived = unsafe Secret(capacity: Self.length) { output in
      let output = unsafe output.assumingMemoryBound(to: UInt8.self)
      succeeded = unsafe password.withBytes { password in
        let password = unsafe password.assumingMemoryBound(to: CChar.self)
        switch self {
        case .scrypt(let n, let r, let p):
          // What the function needs: 128 · r · (n + p + 2), and a little.
          let memory = 128 * r * (n + p + 2) + 4096
          return unsafe EVP_PBE_scrypt(
            password.baseAddress, password.count, salt, salt.count, n, r, p, memory,
            output.baseAddress, Self.length) == 1
        case .pbkdf2(let iterations):
          return unsafe PKCS5_PBKDF2_HMAC(
            password.baseAddress, Int32(password.count), salt, Int32(salt.count),
            Int32(iterations), EVP_sha256(), Int32(Self.length), output.baseAddress) == 1
        }
      }
      return Self.length
    }
    guard succeeded else { throw .cryptoFailed("key derivation") }
    return derived
  }
}

/// AES-128 in counter mode, which encrypts and decrypts alike: `EVP_aes_128_ctr`.
enum CounterMode {
  /// `output` has the length of `input`. False when libcrypto fails.
  static func apply(
    key: UnsafeRawBufferPointer, iv: [UInt8], input: UnsafeRawBufferPointer,
    output: UnsafeMutableRawBufferPointer
  ) -> Bool {
    precondition(key.count == 16 && iv.count == 16 && output.count == input.count)
    let context = unsafe EVP_CIPHER_CTX_new()
    // Wipes its key schedule.
    defer { unsafe EVP_CIPHER_CTX_free(context) }
    var written: Int32 = 0
    return unsafe EVP_EncryptInit_ex(
      context, EVP_aes_128_ctr(), nil,
      key.assumingMemoryBound(to: UInt8.self).baseAddress, iv) == 1
      && EVP_EncryptUpdate(
        context, output.assumingMemoryBound(to: UInt8.self).baseAddress, &written,
        input.assumingMemoryBound(to: UInt8.self).baseAddress, Int32(input.count)) == 1
      && Int(written) == input.count
  }
}
