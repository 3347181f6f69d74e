import Foundation

/// A very small HTTP/1.1 server for health, status and metrics: GET only, one request a connection, bounded in size,
/// time and number.
public final class HTTPServer: @unchecked Sendable {
  public struct Response: Sendable {
    public let status: Int
    public let contentType: String
    public let body: String

    public init(status: Int = 200, contentType: String = "application/json", body: String) {
      self.status = status
      self.contentType = contentType
      self.body = body
    }
  }

  public enum ListenError: Error, Sendable, CustomStringConvertible {
    case badAddress(String)
    case cannotListen(address: String, why: String)

    public var description: String {
      switch self {
      case .badAddress(let text): "\"\(text)\" is not an address and port like 127.0.0.1:9100"
      case .cannotListen(let address, let why):
        "cannot listen on \(address): \(why); choose another with --listen"
      }
    }
  }

  // The descriptor is closed once, by stop(), under the lock; the slots bound the threads.
  private let lock = NSLock()
  private var descriptor: Int32
  private let slots = DispatchSemaphore(value: 16)
  private let answer: @Sendable (_ path: String) -> Response
  public let port: UInt16

  /// - Parameter address: for example `127.0.0.1:9100`; port 0 takes any free one.
  public init(
    _ address: String, _ answer: @escaping @Sendable (_ path: String) -> Response
  ) throws(ListenError) {
    self.answer = answer
    let parts = address.split(separator: ":", omittingEmptySubsequences: false)
    var socketAddress = sockaddr_in()
    guard parts.count == 2, let port = UInt16(parts[1]),
      unsafe inet_pton(AF_INET, String(parts[0]), &socketAddress.sin_addr) == 1
    else { throw .badAddress(address) }
    socketAddress.sin_family = sa_family_t(AF_INET)
    socketAddress.sin_port = port.bigEndian
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var yes: Int32 = 1
    unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listening = unsafe withUnsafeMutablePointer(to: &socketAddress) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe bind(descriptor, pointer, length) == 0 && listen(descriptor, 16) == 0
          && getsockname(descriptor, pointer, &length) == 0
      }
    }
    guard listening else {
      let why = unsafe String(cString: strerror(errno))
      close(descriptor)
      throw .cannotListen(address: address, why: why)
    }
    self.descriptor = descriptor
    self.port = UInt16(bigEndian: socketAddress.sin_port)
    let thread = Thread { [self] in accept(descriptor) }
    thread.name = "http"
    thread.start()
  }

  public func stop() {
    lock.withLock {
      guard descriptor >= 0 else { return }
      shutdown(descriptor, Int32(SHUT_RDWR))
      close(descriptor)
      descriptor = -1
    }
  }

  private func accept(_ listener: Int32) {
    while true {
      slots.wait()
      let client = Foundation.accept(listener, nil, nil)
      guard client >= 0 else {
        let reason = errno
        slots.signal()
        if reason == EINTR || reason == ECONNABORTED { continue }
        // A shortage passes; the service must not lose its metrics for good.
        guard [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(reason) else { return }
        Thread.sleep(forTimeInterval: 1)
        continue
      }
      Thread.detachNewThread { [self] in
        serve(client)
        close(client)
        slots.signal()
      }
    }
  }

  private func serve(_ client: Int32) {
    var timeout = timeval(tv_sec: 5, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    unsafe setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
    unsafe setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
    var request: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 2048)
    let end = Array("\r\n\r\n".utf8)
    // Whoever sends a byte now and then must not keep a slot.
    let deadline = ContinuousClock.now + .seconds(10)
    while request.count < 8192, !request.suffix(4).elementsEqual(end) {
      let count = unsafe recv(client, &buffer, buffer.count, 0)
      guard count > 0, ContinuousClock.now < deadline else { return }
      request += buffer.prefix(count)
    }
    let line = String(decoding: request.prefix { $0 != 13 }, as: UTF8.self).split(separator: " ")
    let response: Response
    if line.count == 3, line[0] == "GET" {
      response = answer(String(line[1].prefix { $0 != "?" }))
    } else {
      response = Response(status: 405, contentType: "text/plain", body: "GET only\n")
    }
    let body = Array(response.body.utf8)
    let head =
      "HTTP/1.1 \(response.status) \(response.status == 200 ? "OK" : "Not OK")\r\n"
      + "Content-Type: \(response.contentType)\r\nContent-Length: \(body.count)\r\n"
      + "Connection: close\r\n\r\n"
    var rest = (Array(head.utf8) + body)[...]
    while !rest.isEmpty {
      let sent = unsafe rest.withUnsafeBytes {
        unsafe send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard sent > 0 else { return }
      rest = rest.dropFirst(sent)
    }
  }
}
