/// An event as Solidity writes it, for example `Deposit(address indexed user, uint256 amount)`.
///
/// Source: Solidity ABI specification, "Events".
public struct EventSignature: Sendable, Hashable {
  public enum ParameterType: String, Sendable, Hashable {
    case address, uint256, bytes32, bool
  }

  public struct Parameter: Sendable, Hashable {
    public let type: ParameterType
    public let isIndexed: Bool
    public let name: String
  }

  public enum Value: Sendable, Hashable {
    case address(Address)
    case uint256(UInt256)
    case bytes32(Hash32)
    case bool(Bool)

    public var address: Address? { if case .address(let value) = self { value } else { nil } }
    public var uint256: UInt256? { if case .uint256(let value) = self { value } else { nil } }
  }

  public enum EventError: Error, Equatable, Sendable, CustomStringConvertible {
    case badSignature(String, reason: String)
    case anotherEvent
    case wrongTopicCount(wanted: Int, found: Int)
    case wrongDataLength(wanted: Int, found: Int)
    case dirtyPadding(parameter: String)

    public var description: String {
      switch self {
      case .badSignature(let text, let reason):
        "\"\(text)\" is no event signature (\(reason)); write it like "
          + "Deposit(address indexed user, uint256 amount)"
      case .anotherEvent: "the log is of another event"
      case .wrongTopicCount(let wanted, let found): "\(found) topics where \(wanted) are due"
      case .wrongDataLength(let wanted, let found): "\(found) bytes of data where \(wanted) are due"
      case .dirtyPadding(let parameter): "the padding of \(parameter) is not zero"
      }
    }
  }

  public let name: String
  public let parameters: [Parameter]
  /// Keccak-256 of the canonical signature, for example `Deposit(address,uint256)`.
  public let topic: Hash32

  public init(_ text: String) throws(EventError) {
    func bad(_ reason: String) -> EventError {
      .badSignature(String(text.prefix(200)), reason: reason)
    }
    guard let open = text.firstIndex(of: "("), text.hasSuffix(")") else {
      throw bad("no parentheses")
    }
    let name = text[..<open]
    guard !name.isEmpty,
      name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
    else { throw bad("no name") }
    var parameters: [Parameter] = []
    let inside = text[text.index(after: open)...].dropLast()
    for part in inside.split(separator: ",", omittingEmptySubsequences: false) {
      let words = part.split(separator: " ")
      guard let first = words.first, let type = ParameterType(rawValue: String(first)) else {
        throw bad("the type in \"\(part)\" is none of address, uint256, bytes32, bool")
      }
      let isIndexed = words.dropFirst().first == "indexed"
      let names = words.dropFirst(isIndexed ? 2 : 1)
      guard names.count <= 1 else { throw bad("too many words in \"\(part)\"") }
      parameters.append(
        Parameter(type: type, isIndexed: isIndexed, name: names.first.map(String.init) ?? ""))
    }
    guard parameters.count(where: \.isIndexed) <= 3 else { throw bad("more than three indexed") }
    self.name = String(name)
    self.parameters = parameters
    let types = parameters.map(\.type.rawValue).joined(separator: ",")
    let canonical = "\(name)(\(types))"
    self.topic = .keccak(Array(canonical.utf8))
  }

  /// The values of a log of this event, in the order of the parameters. Every byte of it must be as the ABI says.
  public func decode(_ log: Log) throws(EventError) -> [Value] {
    guard log.topics.first == topic else { throw .anotherEvent }
    let indexed = parameters.count(where: \.isIndexed)
    guard log.topics.count == 1 + indexed else {
      throw .wrongTopicCount(wanted: 1 + indexed, found: log.topics.count)
    }
    let plain = parameters.count - indexed
    guard log.data.count == 32 * plain else {
      throw .wrongDataLength(wanted: 32 * plain, found: log.data.count)
    }
    var topics = log.topics.dropFirst()
    var data = log.data[...]
    var values: [Value] = []
    for parameter in parameters {
      let word: [UInt8]
      if parameter.isIndexed {
        word = topics.popFirst()?.bytes ?? []
      } else {
        word = Array(data.prefix(32))
        data = data.dropFirst(32)
      }
      values.append(try Self.value(of: parameter, word: word))
    }
    return values
  }

  private static func value(of parameter: Parameter, word: [UInt8]) throws(EventError) -> Value {
    do {
      switch parameter.type {
      case .uint256: return .uint256(try UInt256(bigEndian: word))
      case .bytes32: return .bytes32(try Hash32(word))
      case .address:
        guard word.prefix(12).allSatisfy({ $0 == 0 }) else {
          throw EventError.dirtyPadding(parameter: parameter.name)
        }
        return .address(try Address(word.suffix(20)))
      case .bool:
        guard word.dropLast().allSatisfy({ $0 == 0 }), let last = word.last, last <= 1 else {
          throw EventError.dirtyPadding(parameter: parameter.name)
        }
        return .bool(last == 1)
      }
    } catch let error as EventError {
      throw error
    } catch {
      throw .wrongDataLength(wanted: 32, found: word.count)
    }
  }
}
