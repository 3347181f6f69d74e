import CCurl
import Foundation

/// Posts bodies to one server and returns its answers, up to a cap; the rest of an answer that is larger is never read.
/// Redirects are not followed: a body may carry a signed transaction, and goes where it was sent or nowhere.
///
/// Over libcurl, and not URLSession: in swift-corelibs-foundation (Swift 6.3.1) a node ends the process with a connection
/// closed after "HTTP/1.1 200 OK", or with the header "Location: //[::1]/", and a body is queued without bound before
/// anyone can cap it.
final class HTTPTransport: Sendable {
  enum Failure: Error, Equatable {
    case transport(String)
    case tooLarge
  }

  struct Answer: Sendable {
    let status: Int
    let retryAfterSeconds: Int?
    let body: [UInt8]
  }

  private let server: HTTPServerOptions
  private let loop: HTTPLoop
  private let deadline: Duration

  /// - Parameters:
  ///   - timeoutSeconds: without a byte for that long an exchange fails.
  ///   - deadlineSeconds: how long a whole exchange may take, however its bytes trickle.
  init(to endpoint: Endpoint, cap: Int, timeoutSeconds: Double, deadlineSeconds: Double) {
    server = HTTPServerOptions(endpoint, cap: cap, patience: .seconds(timeoutSeconds))
    loop = HTTPLoop()
    deadline = .seconds(deadlineSeconds)
  }

  deinit {
    loop.dismiss()
  }

  func post(_ body: [UInt8]) async throws -> Answer {
    let exchange = HTTPExchange(body, to: server, deadline: .now + deadline)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if exchange.begin(continuation) { loop.add(exchange) }
      }
    } onCancel: {
      exchange.finish(.failure(.transport("cancelled")))
      loop.wake()
    }
  }
}

/// Where exchanges go, and what bounds them.
struct HTTPServerOptions: Sendable {
  let url: String
  let isLoopback: Bool
  /// Bytes of an answer's body.
  let cap: Int
  let patience: Duration

  init(_ endpoint: Endpoint, cap: Int, patience: Duration) {
    url = endpoint.url.absoluteString
    isLoopback = ["127.0.0.1", "localhost", "::1", "[::1]"].contains(endpoint.url.host ?? "")
    self.cap = cap
    self.patience = patience
  }
}
