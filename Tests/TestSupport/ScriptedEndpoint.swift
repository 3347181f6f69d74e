import Foundation
import JSON

/// An HTTP/1.1 server on the loopback whose every answer a test plans, the broken ones too. A thread accepts, a thread serves
/// each connection.
public final class ScriptedEndpoint: @unchecked Sendable {
  public struct Request: Sendable {
    public let target: String
    /// Names in lower case.
    public let headers: [String: String]
    public let body: [UInt8]

    public var json: JSONValue? { try? JSONValue(parsing: body) }
  }

  public enum Answer: Sendable {
    case whole(status: Int = 200, headers: [String] = [], body: [UInt8])
    case chunked([[UInt8]])
    /// A whole answer that says nothing of closing, then closes.
    case thenClosed([UInt8])
    /// Announces more bytes than it sends, then closes.
    case half([UInt8], announced: Int)
    /// The first chunks of a chunked body, then closes.
    case halfChunked([[UInt8]])
    /// Bytes as they are, then closes.
    case raw(String)
    /// Closes without a byte.
    case dropped
    /// Never answers, until the client hangs up.
    case silent
    /// A body that never ends, as fast as it is taken.
    case endless(status: Int = 200)
    /// A body that never ends, a byte at a time.
    case trickle

    public static func json(_ value: JSONValue, status: Int = 200, headers: [String] = []) -> Answer
    {
      .whole(status: status, headers: headers, body: Array(value.description.utf8))
    }

    public static func text(_ text: String, status: Int = 200, headers: [String] = []) -> Answer {
      .whole(status: status, headers: headers, body: Array(text.utf8))
    }

    /// The result of a single call.
    public static func result(_ value: JSONValue) -> Answer {
      .json(["jsonrpc": "2.0", "id": 1, "result": value])
    }
  }

  public struct CannotListen: Error {}

  public let port: UInt16
  private let listener: Int32
  private let answer: @Sendable (Request) -> Answer

  // What the threads share; the condition protects all of it.
  private let condition = NSCondition()
  private var received: [Request] = []
  private var sentBytes = 0
  private var hangUps = 0
  private var connections = 0
  private var clients: Set<Int32> = []
  private var stopped = false

  public init(_ answer: @escaping @Sendable (Request) -> Answer) throws {
    self.answer = answer
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let listening = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 64) == 0
          && getsockname(listener, $0, &length) == 0
      }
    }
    guard listening else {
      close(listener)
      throw CannotListen()
    }
    self.listener = listener
    self.port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [self] in acceptAll() }
  }

  /// The nth request gets the nth answer, later ones the last.
  public convenience init(_ answers: Answer...) throws {
    let plan = Plan(answers)
    try self.init { _ in plan.next() }
  }

  private final class Plan: @unchecked Sendable {
    private let lock = NSLock()
    private var answers: [Answer]

    init(_ answers: [Answer]) { self.answers = answers }

    func next() -> Answer {
      lock.withLock {
        answers.count > 1 ? answers.removeFirst() : answers.first ?? .dropped
      }
    }
  }

  /// Serves while `body` runs.
  @discardableResult
  public static func with<Value>(
    _ answers: Answer..., body: (ScriptedEndpoint) async throws -> Value
  ) async throws -> Value {
    let plan = Plan(answers)
    let endpoint = try ScriptedEndpoint { _ in plan.next() }
    defer { endpoint.stop() }
    return try await body(endpoint)
  }

  public func url(user: String = "", path: String = "") -> String {
    "http://\(user.isEmpty ? "" : user + "@")127.0.0.1:\(port)\(path)"
  }

  public var requests: [Request] { condition.withLock { received } }

  public var connectionCount: Int { condition.withLock { connections } }

  /// Bytes of endless bodies that the client's side has taken.
  public var bytesTaken: Int { condition.withLock { sentBytes } }

  /// Returns when a request has come in.
  public func untilAsked(times: Int = 1) async {
    await until { self.received.count >= times }
  }

  /// Returns when the client has closed a connection before the server did.
  public func untilHungUp(times: Int = 1) async {
    await until { self.hangUps >= times }
  }

  private func until(_ holds: @escaping @Sendable () -> Bool) async {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread { [self] in
        condition.lock()
        while !holds() { condition.wait() }
        condition.unlock()
        continuation.resume()
      }
    }
  }

  public func stop() {
    // The threads wake, and close what is theirs: under the same lock, since a number that is closed may be another's at once.
    condition.withLock {
      stopped = true
      for client in clients { shutdown(client, Int32(SHUT_RDWR)) }
    }
    shutdown(listener, Int32(SHUT_RDWR))
  }

  // MARK: Serving

  private func acceptAll() {
    while true {
      let client = accept(listener, nil, nil)
      guard client >= 0 else {
        if errno == EINTR || errno == ECONNABORTED { continue }
        break
      }
      let isOpen = condition.withLock {
        connections += 1
        if !stopped { clients.insert(client) }
        return !stopped
      }
      guard isOpen else {
        close(client)
        continue
      }
      // Answers go out in several writes; none is to wait for the other side's acknowledgement of the one before.
      var yes: Int32 = 1
      setsockopt(
        client, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
      Thread.detachNewThread { [self] in
        while let request = read(client) {
          condition.withLock {
            received.append(request)
            condition.broadcast()
          }
          guard serve(answer(request), client) else { break }
        }
        condition.withLock {
          clients.remove(client)
          close(client)
        }
      }
    }
    close(listener)
  }

  private func read(_ client: Int32) -> Request? {
    var bytes: [UInt8] = []
    let blank = Array("\r\n\r\n".utf8)
    var head: Range<Int>?
    while head == nil {
      guard let more = receive(client) else { return nil }
      bytes += more
      head = bytes.firstRange(of: blank).map { 0..<$0.lowerBound }
    }
    guard let head else { return nil }
    let lines = String(decoding: bytes[head], as: UTF8.self).split(separator: "\r\n")
    let target = lines.first?.split(separator: " ").dropFirst().first.map(String.init) ?? ""
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      headers[line[..<colon].lowercased()] =
        line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
    if headers["expect"] != nil { _ = send("HTTP/1.1 100 Continue\r\n\r\n", client) }
    let length = headers["content-length"].flatMap(Int.init) ?? 0
    while bytes.count < head.upperBound + 4 + length {
      guard let more = receive(client) else { return nil }
      bytes += more
    }
    return Request(
      target: target, headers: headers, body: Array(bytes[(head.upperBound + 4)...].prefix(length)))
  }

  private func receive(_ client: Int32) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = recv(client, &buffer, buffer.count, 0)
    return count > 0 ? Array(buffer.prefix(count)) : nil
  }

  /// Whether the connection may carry another request.
  private func serve(_ answer: Answer, _ client: Int32) -> Bool {
    func head(_ status: Int, _ headers: [String]) -> String {
      "HTTP/1.1 \(status) Planned\r\n" + headers.map { $0 + "\r\n" }.joined() + "\r\n"
    }
    func chunk(_ bytes: [UInt8]) -> [UInt8] {
      Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + Array("\r\n".utf8)
    }
    let isChunked = ["Transfer-Encoding: chunked"]
    switch answer {
    case .whole(let status, let headers, let body):
      return send(head(status, ["Content-Length: \(body.count)"] + headers), client)
        && send(body, client)
    case .chunked(let parts):
      return send(head(200, isChunked), client) && send(parts.flatMap(chunk), client)
        && send("0\r\n\r\n", client)
    case .thenClosed(let body):
      _ = send(head(200, ["Content-Length: \(body.count)"]), client) && send(body, client)
      return false
    case .half(let body, let announced):
      _ = send(head(200, ["Content-Length: \(announced)"]), client) && send(body, client)
      return false
    case .halfChunked(let parts):
      _ = send(head(200, isChunked), client) && send(parts.flatMap(chunk), client)
      return false
    case .raw(let text):
      _ = send(text, client)
      return false
    case .dropped: return false
    case .silent:
      while receive(client) != nil {}
      hungUp()
      return false
    case .endless(let status):
      let part = chunk([UInt8](repeating: UInt8(ascii: " "), count: 65536))
      guard send(head(status, isChunked + ["Location: /elsewhere"]), client) else { return false }
      while send(part, client) { condition.withLock { sentBytes += part.count } }
      hungUp()
      return false
    case .trickle:
      guard send(head(200, isChunked), client) else { return false }
      while send(chunk([UInt8(ascii: " ")]), client) { usleep(50_000) }
      hungUp()
      return false
    }
  }

  private func hungUp() {
    condition.withLock {
      hangUps += 1
      condition.broadcast()
    }
  }

  private func send(_ text: String, _ client: Int32) -> Bool { send(Array(text.utf8), client) }

  private func send(_ bytes: [UInt8], _ client: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Foundation.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }
}
