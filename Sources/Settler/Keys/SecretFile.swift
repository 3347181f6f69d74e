import Foundation

/// A file that holds a secret, opened once: its mode and its bytes are those of the same file.
struct SecretFile {
  let bytes: Secret
  let mode: mode_t

  /// Someone else than the owner may read or change it.
  var isOpenToOthers: Bool { mode & 0o077 != 0 }
  var octalMode: String { String(mode, radix: 8) }

  /// - Parameter limit: bytes; a larger file is refused before it is read.
  static func read(_ path: String, atMost limit: Int) throws(SecretFileError) -> SecretFile {
    // Not blocking: a named pipe without a writer must not hang the program.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw .unreadable(path, systemError()) }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .unreadable(path, systemError()) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .unreadable(path, "it is no file") }
    do {
      return SecretFile(
        bytes: try Secret(reading: descriptor, atMost: limit), mode: status.st_mode & 0o7777)
    } catch {
      throw .unreadable(path, error.description)
    }
  }

  /// Writes a file that was not there before, with mode 0600, and returns when it is on the disk. Leaves none behind when it fails.
  static func create(_ path: String, _ text: String) throws(SecretFileError) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw errno == EEXIST ? .exists(path) : .unwritable(path, systemError())
    }
    var bytes = Array(text.utf8)[...]
    var reason: String?
    while reason == nil, !bytes.isEmpty {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe write(descriptor, $0.baseAddress, $0.count)
      }
      if count >= 0 {
        bytes = bytes.dropFirst(count)
      } else if errno != EINTR {
        reason = systemError()
      }
    }
    if reason == nil, fsync(descriptor) != 0 { reason = systemError() }
    if close(descriptor) != 0, reason == nil { reason = systemError() }
    if reason == nil { reason = syncFolder(of: path) }
    if let reason {
      unsafe unlink(path)
      throw .unwritable(path, reason)
    }
  }

  /// A new name is on the disk when its folder is.
  private static func syncFolder(of path: String) -> String? {
    let folder = URL(filePath: path).deletingLastPathComponent().path
    let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return systemError() }
    defer { close(descriptor) }
    return fsync(descriptor) == 0 ? nil : systemError()
  }

  static func systemError() -> String { unsafe String(cString: strerror(errno)) }
}

enum SecretFileError: Error, Equatable, CustomStringConvertible {
  case unreadable(String, String)
  case tooOpen(String, mode: String)
  case exists(String)
  case unwritable(String, String)

  var description: String {
    switch self {
    case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
    case .tooOpen(let path, let mode):
      "\(path) has mode \(mode), others may read it; make it its owner's alone: chmod 600 \(path)"
    case .exists(let path):
      "\(path) is there already and is not overwritten; name a file that does not exist"
    case .unwritable(let path, let reason): "cannot write \(path): \(reason)"
    }
  }
}

/// Why a descriptor did not give a secret.
enum SecretReadError: Error, Equatable, CustomStringConvertible {
  case system(String)
  case tooLong(limit: Int)

  var description: String {
    switch self {
    case .system(let reason): reason
    case .tooLong(let limit): "it holds more than \(limit) bytes"
    }
  }
}

extension Secret {
  /// Reads a descriptor to its end.
  convenience init(reading descriptor: Int32, atMost limit: Int) throws(SecretReadError) {
    // One byte more than allowed, to see that there is more.
    unsafe try self.init(capacity: limit + 1) { (buffer) throws(SecretReadError) in
      var used = 0
      while used < buffer.count {
        let count = unsafe read(
          descriptor, buffer.baseAddress?.advanced(by: used), buffer.count - used)
        if count == 0 { return used }
        if count > 0 {
          used += count
        } else if errno != EINTR {
          throw .system(SecretFile.systemError())
        }
      }
      throw .tooLong(limit: limit)
    }
  }
}
