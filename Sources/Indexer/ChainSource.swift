import Ethereum

/// What the chain-sync asks of the chain. The endpoint pool answers it; tests answer for a chain of their own.
///
/// What decides is agreed by the quorum; what is bulky comes from any one endpoint and is checked against what was agreed.
protocol ChainSource: Sendable {
  /// How many endpoints must agree, of how many: `1 of 1`.
  var quorum: String { get }

  /// Where the chain stands now.
  func tip() async throws -> ChainTip
  /// The hash at a number on which the quorum agrees; nil when too few of them do.
  func agreedHash(at number: UInt64) async throws -> Hash32?
  /// Headers of consecutive numbers from one endpoint, each hash recomputed from the fields.
  func headers(_ range: ClosedRange<UInt64>) async throws -> [CheckedHeader]
  /// All logs of a block, from receipts that rebuild the header's `receiptsRoot`.
  func provenLogs(of header: CheckedHeader) async throws -> [ChainLog]
  /// `eth_getLogs` at one endpoint: believed only as far as it is proven.
  func logs(_ filter: LogFilter, in range: ClosedRange<UInt64>) async throws -> (
    logs: [ChainLog], endpoint: String
  )
  /// Takes an endpoint out of use because its answer was disproved.
  /// - Throws: `ChainFault.contradicted` when no other endpoint is left
  func exclude(_ endpoint: String, because reason: String) async throws
}

/// Where the chain stands, as far as the quorum agrees.
struct ChainTip: Sendable {
  let head: BlockReference?
  /// The head's time, seconds since 1970.
  let headTimestamp: UInt64
  let finalized: BlockReference?
}

/// Why the chain did not answer.
enum ChainFault: Error, Equatable, CustomStringConvertible {
  /// For now: time-outs, rate limits, connections refused, a block that is not there yet.
  case unavailable(String)
  /// No endpoint offers it: receipts, history.
  case unsupported(String)
  /// `eth_getLogs` refused the range with this error.
  case refused(code: Int?, message: String)
  /// What endpoints said is disproved, and none is left.
  case contradicted(String)

  var description: String {
    switch self {
    case .unavailable(let what): "the endpoints do not answer: \(what)"
    case .unsupported(let what): "no endpoint offers \(what); name one in RPC_URL that does"
    case .refused(_, let message): "eth_getLogs was refused: \(message)"
    case .contradicted(let what): "\(what); no endpoint is left, name another one in RPC_URL"
    }
  }
}
