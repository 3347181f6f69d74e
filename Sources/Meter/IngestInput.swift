import Foundation
import Service

/// The bytes of a file or of stdin, as they come. Waiting for them blocks the thread that calls.
struct IngestInput {
  private let descriptor: Int32
  private let name: String

  struct ReadError: Error, CustomStringConvertible { let description: String }

  static let standard = IngestInput(descriptor: STDIN_FILENO, name: "stdin")

  private init(descriptor: Int32, name: String) {
    self.descriptor = descriptor
    self.name = name
  }

  /// Opens a file, for as long as the process lives (open(2)).
  init(path: String) throws(UsageError) {
    name = path
    descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw UsageError(unsafe "cannot read \(path): \(String(cString: strerror(errno)))")
    }
  }

  /// What is there to be read, at most 64 KB; nil at the end, or when it is stopped (poll(2), read(2)).
  func next(isStopped: () -> Bool) throws -> [UInt8]? {
    var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while !isStopped() {
      // A signal is taken by another thread and does not end the wait: so it is a short one.
      let ready = unsafe poll(&state, 1, 200)
      if ready == 0 || ready < 0 && errno == EINTR { continue }
      var bytes = [UInt8](repeating: 0, count: 1 << 16)
      let count = unsafe read(descriptor, &bytes, bytes.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw ReadError(
          description: unsafe "cannot read \(name): \(String(cString: strerror(errno)))")
      }
      return count == 0 ? nil : Array(bytes.prefix(count))
    }
    return nil
  }
}
