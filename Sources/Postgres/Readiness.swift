import Foundation

/// Waiting for a socket, on the thread that calls (poll(2)).
enum Readiness {
  struct Events: OptionSet {
    let rawValue: Int16
    static let input = Events(rawValue: Int16(POLLIN))
    static let output = Events(rawValue: Int16(POLLOUT))
  }

  /// Waits until the socket is ready for one of `events`, or broken, which reads as ready for input; or until the deadline, or
  /// until it is woken up: then returns none.
  @discardableResult
  static func wait(
    _ socket: Int32, for events: Events, until deadline: ContinuousClock.Instant? = nil,
    orUntil wakeUp: WakeUp? = nil
  ) -> Events {
    // poll(2) would wait for ever for what is closed already.
    guard socket >= 0 else { return .input }
    var descriptors = [pollfd(fd: socket, events: events.rawValue, revents: 0)]
    if let wakeUp {
      descriptors.append(pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0))
    }
    while true {
      let left = deadline.map { milliseconds(ContinuousClock.now.duration(to: $0)) }
      let ready = unsafe poll(&descriptors, nfds_t(descriptors.count), left ?? -1)
      if ready < 0, errno == EINTR { continue }
      let found = Events(rawValue: descriptors[0].revents)
      // POLLERR, POLLHUP and POLLNVAL
      return ready < 0 || !found.subtracting([.input, .output]).isEmpty
        ? found.union(.input) : found
    }
  }

  /// Rounded up, so that nobody spins through the last millisecond.
  private static func milliseconds(_ duration: Duration) -> Int32 {
    let (seconds, attoseconds) = duration.components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < 1_000_000 else { return 1_000_000_000 }
    return Int32(seconds) * 1000
      + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}

/// Ends a wait from another thread (pipe(2)).
final class WakeUp: Sendable {
  let descriptor: Int32
  private let writer: Int32

  init() throws(PostgresError) {
    var ends: [Int32] = [-1, -1]
    guard unsafe pipe(&ends) == 0 else {
      throw .misuse(
        unsafe "no pipe: \(String(cString: strerror(errno))); raise the limit of open files")
    }
    (descriptor, writer) = (ends[0], ends[1])
  }

  deinit {
    close(descriptor)
    close(writer)
  }

  /// Safe from any thread; once is enough.
  func signal() {
    var byte: UInt8 = 1
    _ = unsafe write(writer, &byte, 1)
  }
}
