import JSON

/// JSON-RPC 2.0 over HTTP to one endpoint.
public final class JSONRPCClient: Sendable {
  public struct Call: Sendable {
    public let method: String
    public let parameters: [JSONValue]

    public init(_ method: String, _ parameters: [JSONValue] = []) {
      self.method = method
      self.parameters = parameters
    }
  }

  public let endpoint: Endpoint
  private let cap: Int
  private let transport: HTTPTransport

  /// - Parameters:
  ///   - timeoutSeconds: without a byte for that long, a call fails.
  ///   - deadlineSeconds: a call that takes that long fails, however its bytes trickle.
  ///   - bodyCap: bytes; larger answers are refused.
  public init(
    _ endpoint: Endpoint, timeoutSeconds: Double = 20, deadlineSeconds: Double = 80,
    bodyCap: Int = 64 << 20
  ) {
    self.endpoint = endpoint
    self.cap = bodyCap
    self.transport = HTTPTransport(
      to: endpoint, cap: bodyCap, timeoutSeconds: timeoutSeconds, deadlineSeconds: deadlineSeconds)
  }

  public func call(_ method: String, _ parameters: [JSONValue] = []) async throws(RPCError)
    -> JSONValue
  {
    let answer = try await post(request(Call(method, parameters), id: 1))
    return try result(of: answer, id: 1)
  }

  /// Sends calls in one body; the answers come in the order of the calls, whatever the order on the wire.
  public func batch(_ calls: [Call]) async throws(RPCError) -> [Result<JSONValue, RPCError>] {
    guard !calls.isEmpty else { return [] }
    let requests = calls.enumerated().map { request($1, id: $0 + 1) }
    let reply = try await post(.array(requests))
    guard let answers = reply.array else {
      // A node that refuses the batch as a whole answers with one error (JSON-RPC 2.0, section 6).
      if let error = try error(in: reply) { throw error }
      throw malformed("a batch was not answered with an array")
    }
    var byID: [Int: JSONValue] = [:]
    for answer in answers {
      guard let id = answer["id"]?.number.flatMap(Int.init), (1...calls.count).contains(id) else {
        throw malformed("a batch answer has an id that was not asked")
      }
      guard byID.updateValue(answer, forKey: id) == nil else {
        throw malformed("a batch answers id \(id) twice")
      }
    }
    var results: [Result<JSONValue, RPCError>] = []
    for id in 1...calls.count {
      guard let answer = byID[id] else { throw malformed("a batch leaves out id \(id)") }
      do {
        results.append(.success(try result(of: answer, id: id)))
      } catch {
        results.append(.failure(error))
      }
    }
    return results
  }

  func malformed(_ what: String) -> RPCError {
    .malformed(endpoint: endpoint.description, what: what)
  }

  func disproved(_ what: String) -> RPCError {
    .disproved(endpoint: endpoint.description, what: what)
  }

  private func request(_ call: Call, id: Int) -> JSONValue {
    [
      "jsonrpc": "2.0", "id": .number(id), "method": .string(call.method),
      "params": .array(call.parameters),
    ]
  }

  private func result(of answer: JSONValue, id: Int) throws(RPCError) -> JSONValue {
    if let error = try error(in: answer) { throw error }
    guard answer["id"]?.number == String(id) else { throw malformed("the answer's id is not ours") }
    guard let result = answer["result"] else { throw malformed("neither result nor error") }
    return result
  }

  private func error(in answer: JSONValue) throws(RPCError) -> RPCError? {
    guard let error = answer["error"], error != .null else { return nil }
    guard let code = error["code"]?.number.flatMap(Int.init) else {
      throw malformed("an error without a code")
    }
    return .remote(
      endpoint: endpoint.description, code: code,
      message: endpoint.withoutSecrets(error["message"]?.string ?? "no message"),
      data: error["data"]?.string)
  }

  private func post(_ body: JSONValue) async throws(RPCError) -> JSONValue {
    let answer: HTTPTransport.Answer
    do {
      answer = try await transport.post(Array(body.description.utf8))
    } catch HTTPTransport.Failure.tooLarge {
      throw .bodyTooLarge(endpoint: endpoint.description, cap: cap)
    } catch HTTPTransport.Failure.transport(let why) {
      throw .transport(endpoint: endpoint.description, why: why)
    } catch {
      throw .transport(endpoint: endpoint.description, why: "cancelled")
    }
    guard answer.status == 200 else {
      throw .http(
        endpoint: endpoint.description, status: answer.status,
        retryAfterSeconds: answer.retryAfterSeconds)
    }
    do {
      return try JSONValue(parsing: answer.body)
    } catch {
      throw malformed(endpoint.withoutSecrets("\(error)"))
    }
  }
}
