import Ethereum

/// An event of one indexed address and uint256 amounts, read from its signature as text:
/// `Deposit(address indexed user, uint256 amount)`.
struct FollowedEvent: Sendable, Equatable {
  /// `Deposit(address,uint256)`: its Keccak hash is the topic.
  let canonical: String
  let topic: Hash32
  /// Which of the log's data words holds the amount, and which the cumulative total, if there is one.
  private let amountWord: Int
  private let totalWord: Int?
  private let words: Int

  /// - Parameters:
  ///   - text: name and parameters, with `indexed` where it belongs; names are free, except that of several amounts one must be
  ///     called `amount` (and, with `withTotal`, one `total`)
  ///   - withTotal: the event also carries a cumulative total
  init(_ text: String, withTotal: Bool = false) throws(FollowedEventError) {
    func wrong(_ why: String) -> FollowedEventError { .unusable(text, why: why) }
    guard let open = text.firstIndex(of: "("), text.last == ")" else {
      throw wrong("there are no parentheses")
    }
    let name = text[..<open].split(separator: " ").last.map(String.init) ?? ""
    let isName = name.utf8.enumerated().allSatisfy { position, byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "_"), UInt8(ascii: "$"):
        true
      case UInt8(ascii: "0")...UInt8(ascii: "9"): position > 0
      default: false
      }
    }
    guard !name.isEmpty, isName else { throw wrong("the name is missing or no identifier") }

    var types: [String] = []
    var indexed: [String] = []
    var data: [(type: String, name: String)] = []
    for parameter in text[text.index(after: open)...].dropLast().split(
      separator: ",", omittingEmptySubsequences: false)
    {
      let words = parameter.split(separator: " ").map(String.init)
      guard let given = words.first else { throw wrong("a parameter is empty") }
      let type = given == "uint" ? "uint256" : given
      types.append(type)
      let isIndexed = words.dropFirst().first == "indexed"
      let names = words.dropFirst(isIndexed ? 2 : 1)
      guard names.count <= 1 else { throw wrong("\"\(parameter)\" is not a type and a name") }
      if isIndexed { indexed.append(type) } else { data.append((type, names.first ?? "")) }
    }
    guard indexed == ["address"] else {
      throw wrong("exactly one parameter must be indexed, and it must be an address")
    }
    // Only static words: then each parameter is one word of the data, in order.
    guard data.allSatisfy({ ["uint256", "address", "bool", "bytes32"].contains($0.type) }) else {
      throw wrong("a parameter that is not indexed may be uint256, address, bool or bytes32")
    }
    let amounts = data.indices.filter { data[$0].type == "uint256" }
    guard
      let amount = amounts.first(where: { data[$0].name == "amount" })
        ?? (amounts.count == 1 ? amounts[0] : nil)
    else {
      throw wrong(
        amounts.isEmpty
          ? "there is no uint256 amount" : "of several uint256 one must be named amount")
    }
    let total = amounts.first { data[$0].name == "total" }
    guard !withTotal || total != nil else { throw wrong("there is no uint256 total") }
    canonical = "\(name)(\(types.joined(separator: ",")))"
    topic = Hash32.keccak(Array(canonical.utf8))
    amountWord = amount
    totalWord = withTotal ? total : nil
    words = data.count
  }

  /// The account and amounts of a log with this topic; nil when the log is not laid out as the signature says.
  func decode(_ log: ChainLog) -> (account: Address, amount: UInt256, total: UInt256?)? {
    guard log.topics.count == 2, log.topics[0] == topic,
      let account = Address(topic: log.topics[1]),
      log.data.count == 32 * words, let amount = UInt256(word: amountWord, of: log.data)
    else { return nil }
    return (account, amount, totalWord.flatMap { UInt256(word: $0, of: log.data) })
  }
}

enum FollowedEventError: Error, Equatable, CustomStringConvertible {
  case unusable(String, why: String)
  case sameEvent(String)

  var description: String {
    switch self {
    case .unusable(let text, let why):
      "event signature \"\(text)\" cannot be followed: \(why); give one like \"\(FollowedLogs.defaultDeposit)\""
    case .sameEvent(let text):
      "two of the followed events have the signature \(text); DEPOSIT_EVENT and WITHDRAW_EVENT must differ"
    }
  }
}

extension Address {
  /// The address in an indexed topic; nil when the 12 bytes before it are not zero.
  init?(topic: Hash32) {
    let bytes = topic.bytes
    guard bytes.prefix(12).allSatisfy({ $0 == 0 }), let address = try? Address(bytes.suffix(20))
    else { return nil }
    self = address
  }

  /// The address as an indexed topic.
  var topicBytes: [UInt8] { [UInt8](repeating: 0, count: 12) + bytes }
}

extension UInt256 {
  /// A word of ABI-encoded data.
  init?(word: Int, of data: [UInt8]) {
    guard word >= 0, data.count / 32 > word,
      let value = try? UInt256(bigEndian: data[32 * word..<32 * word + 32])
    else {
      return nil
    }
    self = value
  }
}
