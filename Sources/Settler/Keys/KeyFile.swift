import Credits
import Ethereum
import Foundation

/// A private key in a file that only its owner can read: 64 hexadecimal digits, with or without 0x.
enum KeyFile {
  enum KeyFileError: Error, Equatable, CustomStringConvertible {
    case unreadable(String)
    case tooOpen(path: String, mode: String)
    case notAKey(String)

    var description: String {
      switch self {
      case .unreadable(let path): "cannot read the key file \(path)"
      case .tooOpen(let path, let mode):
        "the key file \(path) has mode \(mode); make it readable for its owner only: chmod 600 \(path)"
      case .notAKey(let path):
        "\(path) does not hold a private key: one line of 64 hexadecimal digits"
      }
    }
  }

  static func load(path: String) throws -> PrivateKey {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw KeyFileError.unreadable(path) }
    defer { close(descriptor) }
    // The mode of what was opened, not of what the path names a moment later.
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw KeyFileError.unreadable(path)
    }
    guard status.st_mode & 0o077 == 0 else {
      throw KeyFileError.tooOpen(path: path, mode: String(status.st_mode & 0o777, radix: 8))
    }
    var text = [UInt8](repeating: 0, count: 128)
    defer { explicit_bzero(&text, text.count) }
    let count = read(descriptor, &text, text.count)
    guard count > 0, count < text.count else { throw KeyFileError.notAKey(path) }
    var digits = text[..<count]
    while let last = digits.last, last == 0x0a || last == 0x0d || last == 0x20 { digits.removeLast() }
    if digits.starts(with: Array("0x".utf8)) { digits = digits.dropFirst(2) }
    var key: [UInt8] = []
    defer { explicit_bzero(&key, key.count) }
    key.reserveCapacity(32)
    guard digits.count == 64 else { throw KeyFileError.notAKey(path) }
    var high: UInt8?
    for digit in digits {
      guard let nibble = UInt8(String(UnicodeScalar(digit)), radix: 16) else {
        throw KeyFileError.notAKey(path)
      }
      if let first = high {
        key.append(first << 4 | nibble)
        high = nil
      } else {
        high = nibble
      }
    }
    return try PrivateKey(key)
  }
}

extension TypedMessage {
  func signed(by key: PrivateKey) throws -> Signature { try key.sign(digest) }
}
