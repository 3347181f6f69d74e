import Ethereum
import Foundation

/// Several endpoints: any that answers for what can be checked, a quorum for what must be believed.
public struct EndpointPool: Sendable {
  public let clients: [EthereumClient]
  /// How many must agree.
  public let quorum: Int

  public enum PoolError: Error, Sendable, Equatable, CustomStringConvertible {
    case quorumTooLarge(quorum: Int, endpoints: Int)
    case quorumTooSmall(quorum: Int)
    case sameEndpointTwice(endpoint: String)
    case wrongChain(endpoint: String, wanted: UInt64, found: UInt64)

    public var description: String {
      switch self {
      case .quorumTooLarge(let quorum, let endpoints):
        "QUORUM is \(quorum), and RPC_URL names \(endpoints): name more endpoints or lower it"
      case .quorumTooSmall(let quorum):
        "QUORUM is \(quorum): at least one endpoint must be believed, write 1 or more"
      case .sameEndpointTwice(let endpoint):
        "RPC_URL names \(endpoint) twice: one endpoint has one voice, name it once"
      case .wrongChain(let endpoint, let wanted, let found):
        "\(endpoint) serves chain \(found), not \(wanted): mend RPC_URL or CHAIN_ID"
      }
    }
  }

  /// - Parameter quorum: nil: 1 of 1, else 2.
  public init(_ endpoints: [Endpoint], quorum: Int? = nil) throws(PoolError) {
    self.clients = endpoints.map { EthereumClient(JSONRPCClient($0)) }
    self.quorum = quorum ?? max(1, min(2, endpoints.count))
    guard self.quorum >= 1 else { throw .quorumTooSmall(quorum: self.quorum) }
    guard self.quorum <= endpoints.count else {
      throw .quorumTooLarge(quorum: self.quorum, endpoints: endpoints.count)
    }
    var seen: Set<URL> = []
    for endpoint in endpoints where !seen.insert(endpoint.url).inserted {
      throw .sameEndpointTwice(endpoint: endpoint.description)
    }
  }

  /// For example "1 of 1".
  public var quorumText: String { "\(quorum) of \(clients.count)" }

  /// Every endpoint that answers must serve this chain, and at least one must answer.
  public func checkChain(_ chainID: UInt64) async throws {
    var answered = false
    var failure: (any Error)?
    for client in clients {
      do {
        let found = try await client.chainID()
        guard found == chainID else {
          throw PoolError.wrongChain(
            endpoint: client.rpc.endpoint.description, wanted: chainID, found: found)
        }
        answered = true
      } catch let error as PoolError {
        throw error
      } catch {
        failure = error
      }
    }
    if !answered, let failure { throw failure }
  }

  /// The first answer, asking one endpoint after the other. For what the caller can check.
  public func first<Value: Sendable>(
    _ question: @Sendable (EthereumClient) async throws -> Value
  ) async throws -> Value {
    var failure: (any Error)?
    for client in clients {
      do {
        return try await question(client)
      } catch {
        failure = failure ?? error
        if Task.isCancelled { break }
      }
    }
    throw failure ?? RPCError.noQuorum(what: "anything", needed: 1, answers: [])
  }

  /// The answer that at least `quorum` endpoints give, and more than give any other: a tie is no agreement.
  public func agreed<Value: Sendable & Hashable>(
    on what: String, _ question: @escaping @Sendable (EthereumClient) async throws -> Value
  ) async throws -> Value {
    let answers = await all(question)
    var votes: [Value: Int] = [:]
    for case .success(let value) in answers.map(\.result) { votes[value, default: 0] += 1 }
    let most = votes.values.max() ?? 0
    let winners = votes.filter { $0.value == most }
    if most >= quorum, winners.count == 1, let winner = winners.first { return winner.key }
    if clients.count == 1, case .failure(let error)? = answers.first?.result { throw error }
    throw RPCError.noQuorum(
      what: what, needed: quorum,
      answers: answers.map { answer in
        switch answer.result {
        case .success(let value): "\(answer.endpoint): \(value)"
        case .failure(let error): "\(answer.endpoint): \(error)"
        }
      })
  }

  /// What each endpoint answers, asked at once, in the order of the endpoints.
  public func all<Value: Sendable>(
    _ question: @escaping @Sendable (EthereumClient) async throws -> Value
  ) async -> [(endpoint: String, result: Result<Value, any Error>)] {
    await withTaskGroup(of: (Int, Result<Value, any Error>).self) { group in
      for (index, client) in clients.enumerated() {
        group.addTask {
          do {
            return (index, .success(try await question(client)))
          } catch {
            return (index, .failure(error))
          }
        }
      }
      var results: [(Int, Result<Value, any Error>)] = []
      for await result in group { results.append(result) }
      return results.sorted { $0.0 < $1.0 }.map {
        (clients[$0.0].rpc.endpoint.description, $0.1)
      }
    }
  }
}
