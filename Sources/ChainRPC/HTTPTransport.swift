import Foundation
import Synchronization

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// Posts bodies and collects answers up to a cap; the rest of an answer that is larger is never read.
final class HTTPTransport: NSObject, URLSessionDataDelegate, Sendable {
  enum Failure: Error {
    case transport(String)
    case tooLarge
  }

  struct Answer: Sendable {
    let status: Int
    let retryAfterSeconds: Int?
    let body: [UInt8]
  }

  private struct Exchange {
    let continuation: CheckedContinuation<Answer, any Error>
    var status = 0
    var retryAfterSeconds: Int?
    var body: [UInt8] = []
  }

  private let cap: Int
  private let timeoutSeconds: Double
  private let exchanges = Mutex<[Int: Exchange]>([:])

  init(cap: Int, timeoutSeconds: Double) {
    self.cap = cap
    self.timeoutSeconds = timeoutSeconds
  }

  func makeSession() -> URLSession {
    let configuration = URLSessionConfiguration.ephemeral
    configuration.timeoutIntervalForRequest = timeoutSeconds
    configuration.timeoutIntervalForResource = 4 * timeoutSeconds
    configuration.httpShouldSetCookies = false
    configuration.httpMaximumConnectionsPerHost = 16
    return URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
  }

  func post(_ body: [UInt8], to url: URL, session: URLSession) async throws -> Answer {
    var request = URLRequest(url: url)
    request.httpMethod = "POST"
    request.setValue("application/json", forHTTPHeaderField: "Content-Type")
    request.httpBody = Data(body)
    let task = session.dataTask(with: request)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        exchanges.withLock { $0[task.taskIdentifier] = Exchange(continuation: continuation) }
        task.resume()
      }
    } onCancel: {
      task.cancel()
    }
  }

  func urlSession(
    _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
    completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
  ) {
    let http = response as? HTTPURLResponse
    exchanges.withLock {
      $0[dataTask.taskIdentifier]?.status = http?.statusCode ?? 0
      $0[dataTask.taskIdentifier]?.retryAfterSeconds =
        http?.value(forHTTPHeaderField: "Retry-After").flatMap(Int.init)
    }
    completionHandler(.allow)
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    let refused: Exchange? = exchanges.withLock { exchanges in
      let count = exchanges[dataTask.taskIdentifier]?.body.count ?? 0
      if count + data.count > cap { return exchanges.removeValue(forKey: dataTask.taskIdentifier) }
      exchanges[dataTask.taskIdentifier]?.body.append(contentsOf: data)
      return nil
    }
    if let refused {
      dataTask.cancel()
      refused.continuation.resume(throwing: Failure.tooLarge)
    }
  }

  func urlSession(
    _ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?
  ) {
    let exchange = exchanges.withLock { $0.removeValue(forKey: task.taskIdentifier) }
    guard let exchange else { return }
    if let error {
      // The URL may hold a key, and URLError's text may hold the URL: only the code is kept.
      let code = (error as? URLError).map { "URL error \($0.code.rawValue)" } ?? "failed"
      exchange.continuation.resume(throwing: Failure.transport(Self.name(error) ?? code))
    } else {
      exchange.continuation.resume(
        returning: Answer(
          status: exchange.status, retryAfterSeconds: exchange.retryAfterSeconds,
          body: exchange.body))
    }
  }

  private static func name(_ error: any Error) -> String? {
    switch (error as? URLError)?.code {
    case .timedOut: "timed out"
    case .cannotConnectToHost: "cannot connect"
    case .cannotFindHost: "unknown host"
    case .networkConnectionLost: "connection lost"
    case .cancelled: "cancelled"
    case .secureConnectionFailed, .serverCertificateUntrusted: "TLS failed"
    default: nil
    }
  }
}
