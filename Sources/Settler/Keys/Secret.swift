import CCrypto
import Ethereum
import Foundation

/// Bytes that must not outlive their use, a key or a password: one allocation that is wiped when it goes, and never shown.
@safe final class Secret: Sendable, CustomStringConvertible {
  // Written in init, wiped in deinit; between them only read.
  private nonisolated(unsafe) let whole: UnsafeMutableRawBufferPointer
  let count: Int

  /// - Parameter fill: writes from the start of at most `capacity` bytes, and returns how many it wrote.
  init<E>(
    capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(E) -> Int
  ) throws(E) {
    let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: max(capacity, 1), alignment: 16)
    unsafe whole.initializeMemory(as: UInt8.self, repeating: 0)
    do {
      count = unsafe min(try fill(whole), capacity)
    } catch {
      unsafe Self.wipe(whole)
      throw error
    }
    unsafe self.whole = whole
  }

  deinit { unsafe Self.wipe(whole) }

  private static func wipe(_ bytes: UnsafeMutableRawBufferPointer) {
    if let start = bytes.baseAddress { unsafe explicit_bzero(start, bytes.count) }
    unsafe bytes.deallocate()
  }

  var description: String { "Secret(\(count) bytes)" }

  func withBytes<R, E>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try unsafe body(UnsafeRawBufferPointer(rebasing: whole[..<count]))
  }
}

extension Secret {
  /// Random bytes of libcrypto's generator (`RAND_bytes`); nil when it has no entropy.
  static func random(_ count: Int) -> Secret? {
    var isRandom = false
    let secret = unsafe Secret(capacity: count) { bytes in
      isRandom =
        unsafe RAND_bytes(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(count)) == 1
      return count
    }
    return isRandom ? secret : nil
  }

  /// Without the one line end (LF or CR LF) that editors and `echo` leave at the end of a file.
  func withoutLineEnd() -> Secret {
    unsafe withBytes { bytes in
      var kept = unsafe bytes[...]
      if unsafe kept.last == UInt8(ascii: "\n") {
        unsafe kept.removeLast()
        if unsafe kept.last == UInt8(ascii: "\r") { unsafe kept.removeLast() }
      }
      return unsafe Secret(copying: kept)
    }
  }

  /// The 32 bytes of a private key written as 64 hexadecimal digits, with or without 0x, and white space around them;
  /// nil for anything else.
  func decodedKey() -> Secret? {
    unsafe withBytes { bytes in
      let isSpace: (UInt8) -> Bool = { [0x20, 0x09, 0x0a, 0x0d].contains($0) }
      var digits = unsafe bytes[...].drop(while: isSpace)
      while let last = unsafe digits.last, isSpace(last) { unsafe digits.removeLast() }
      if unsafe digits.starts(with: "0x".utf8) { unsafe digits = unsafe digits.dropFirst(2) }
      guard unsafe digits.count == 64 else { return nil }
      var isHex = true
      let key = unsafe Secret(capacity: 32) { key in
        for unsafe(position, digit) in unsafe digits.enumerated() {
          guard let value = Hex.value(of: digit) else {
            isHex = false
            break
          }
          unsafe key[position / 2] = key[position / 2] << 4 | value
        }
        return 32
      }
      return isHex ? key : nil
    }
  }

  func privateKey() throws(SigningError) -> PrivateKey {
    try unsafe withBytes { (bytes) throws(SigningError) in try unsafe PrivateKey(bytes.bytes) }
  }

  convenience init(copying bytes: Slice<UnsafeRawBufferPointer>) {
    unsafe self.init(capacity: bytes.count) {
      unsafe $0.copyBytes(from: bytes)
      return unsafe bytes.count
    }
  }

  func isSame(as other: Secret) -> Bool {
    unsafe withBytes { left in
      unsafe other.withBytes { right in
        unsafe left.count == right.count
          && CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
      }
    }
  }
}
