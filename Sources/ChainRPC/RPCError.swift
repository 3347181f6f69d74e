import JSON

/// What went wrong with a call to an endpoint. None of it says that a transaction failed: a lost answer is unknown.
public enum RPCError: Error, Sendable, Equatable {
  /// No answer: refused, reset, timed out, TLS.
  case transport(endpoint: String, why: String)
  /// An HTTP status that is not 200.
  case http(endpoint: String, status: Int, retryAfterSeconds: Int?)
  /// The answer is larger than the cap.
  case bodyTooLarge(endpoint: String, cap: Int)
  /// The answer is not JSON-RPC, or not what the method returns.
  case malformed(endpoint: String, what: String)
  /// The answer is not what the hash stands for that it was asked by, or that it names itself.
  case disproved(endpoint: String, what: String)
  /// The endpoint's own error.
  case remote(endpoint: String, code: Int, message: String, data: String?)
  /// Endpoints do not agree.
  case noQuorum(what: String, needed: Int, answers: [String])
}

extension RPCError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .transport(let endpoint, let why): "no answer from \(endpoint): \(why)"
    case .http(let endpoint, let status, _) where (300..<400).contains(status):
      "\(endpoint) answered with HTTP status \(status): it redirects, which is not followed; name the address itself"
    case .http(let endpoint, let status, _): "\(endpoint) answered with HTTP status \(status)"
    case .bodyTooLarge(let endpoint, let cap): "\(endpoint) answered with more than \(cap) bytes"
    case .malformed(let endpoint, let what): "\(endpoint) gave a malformed answer: \(what)"
    case .disproved(let endpoint, let what): "\(endpoint) contradicts a hash: \(what)"
    case .remote(let endpoint, let code, let message, _): "\(endpoint): \(message) (\(code))"
    case .noQuorum(let what, let needed, let answers):
      "no \(needed) endpoints agree on \(what): \(answers.joined(separator: "; "))"
    }
  }
}
