import Ethereum

/// Which logs are followed, and what they say: the vault's four events, and the token's transfers from and to the vault.
struct FollowedLogs: Sendable {
  let vault: Address
  let token: Address
  private let events: [Hash32: FollowedEvent]
  private let transfer: EventSignature
  private let vaultTopic: Hash32

  static let defaultDeposit = "Deposit(address indexed user, uint256 amount)"
  static let defaultWithdraw = "Withdraw(address indexed user, uint256 amount)"

  /// - Parameters:
  ///   - depositEvent, withdrawEvent: signatures as text; `Charged` and `Paid` are the reference vault's
  /// - Throws: `FollowedEventError`, or `EventSignature.EventError` for a text that is no signature
  init(
    vault: Address, token: Address, depositEvent: String = defaultDeposit,
    withdrawEvent: String = defaultWithdraw
  ) throws {
    var events: [Hash32: FollowedEvent] = [:]
    for event in [
      try FollowedEvent(.deposit, depositEvent),
      try FollowedEvent(.withdraw, withdrawEvent),
      try FollowedEvent(.charged, "Charged(address indexed user, uint256 amount, uint256 total)"),
      try FollowedEvent(.paid, "Paid(address indexed payee, uint256 amount, uint256 total)"),
    ] {
      guard events.updateValue(event, forKey: event.signature.topic) == nil else {
        throw FollowedEventError.sameEvent(event.signature.name)
      }
    }
    self.vault = vault
    self.token = token
    self.events = events
    // EIP-20.
    transfer = try EventSignature(
      "Transfer(address indexed from, address indexed to, uint256 value)")
    vaultTopic = try Hash32([UInt8](repeating: 0, count: 12) + vault.bytes)
  }

  /// What `eth_getLogs` is asked.
  var filters: [LogFilter] {
    [
      LogFilter(address: vault, topics: [events.keys.sorted()]),
      LogFilter(address: token, topics: [[transfer.topic], [vaultTopic]]),
      LogFilter(address: token, topics: [[transfer.topic], nil, [vaultTopic]]),
    ]
  }

  /// False only when the header proves that its block holds no followed log.
  func mayConcern(_ header: Header) -> Bool {
    guard header.transactionsRoot != OrderedTrie.emptyRoot else { return false }
    let bloom = header.logsBloom
    // Some chains leave blooms empty: with transactions in the block that is no evidence.
    if bloom == .empty { return true }
    if bloom.mayContain(vault.bytes), events.keys.contains(where: { bloom.mayContain($0.bytes) }) {
      return true
    }
    return bloom.mayContain(token.bytes) && bloom.mayContain(vaultTopic.bytes)
      && bloom.mayContain(transfer.topic.bytes)
  }

  /// Whether a log is of the vault or the token at all.
  func isOurs(_ log: ChainLog) -> Bool {
    log.log.address == vault || log.log.address == token
  }

  /// The followed ones of some blocks' logs, in the chain's order, each once.
  ///
  /// - Throws: `UnreadableLog` for a vault's event that is not laid out as its signature says: skipping it could lose money
  func rows(of logs: some Sequence<ChainLog>) throws(UnreadableLog) -> FollowedRows {
    var rows = FollowedRows()
    let ordered = Set(logs.lazy.filter(isOurs)).sorted {
      ($0.place.block.number, $0.place.index) < ($1.place.block.number, $1.place.index)
    }
    var ordinals: [Hash32: UInt32] = [:]
    for entry in ordered {
      if entry.log.address == vault, let topic = entry.log.topics.first, let event = events[topic] {
        let ordinal = ordinals[entry.place.transaction, default: 0]
        ordinals[entry.place.transaction] = ordinal + 1
        do {
          rows.events.append(try event.decode(entry, ordinal: ordinal))
        } catch {
          throw UnreadableLog(place: entry.place, event: event.signature.name, why: error)
        }
      }
      // Both when vault and token are one contract.
      if entry.log.address == token, let transfer = decodeTransfer(entry) {
        rows.transfers.append(transfer)
      }
    }
    return rows
  }

  /// Nil for any other log of the token: another event, other parties, another layout (ERC-721 has the same topic).
  private func decodeTransfer(_ entry: ChainLog) -> TokenTransfer? {
    guard let values = try? transfer.decode(entry.log), let sender = values[0].address,
      let recipient = values[1].address, let amount = values[2].uint256,
      sender == vault || recipient == vault
    else { return nil }
    return TokenTransfer(sender: sender, recipient: recipient, amount: amount, place: entry.place)
  }
}

/// An event of one account and uint256 amounts.
private struct FollowedEvent: Sendable {
  let kind: VaultEvent.Kind
  let signature: EventSignature
  private let account: Int
  private let amount: Int
  private let total: Int?

  init(_ kind: VaultEvent.Kind, _ text: String) throws {
    signature = try EventSignature(text)
    self.kind = kind
    let parameters = signature.parameters
    func unusable(_ why: String) -> FollowedEventError { .unusable(text, why: why) }
    let accounts = parameters.indices.filter {
      parameters[$0].isIndexed && parameters[$0].type == .address
    }
    guard accounts.count == 1, let account = accounts.first else {
      throw unusable("exactly one address must be indexed: whose money it is")
    }
    let amounts = parameters.indices.filter {
      parameters[$0].type == .uint256 && !parameters[$0].isIndexed
    }
    let named = amounts.first { parameters[$0].name == "amount" }
    guard let amount = named ?? (amounts.count == 1 ? amounts.first : nil) else {
      throw unusable("of its uint256 that are not indexed one must be the amount, by its name")
    }
    self.account = account
    self.amount = amount
    total =
      kind == .charged || kind == .paid ? amounts.first { parameters[$0].name == "total" } : nil
  }

  func decode(_ entry: ChainLog, ordinal: UInt32) throws(EventSignature.EventError) -> VaultEvent {
    let values = try signature.decode(entry.log)
    guard let account = values[account].address, let amount = values[amount].uint256 else {
      throw .anotherEvent
    }
    return VaultEvent(
      kind: kind, account: account, amount: amount, total: total.flatMap { values[$0].uint256 },
      place: entry.place, ordinal: ordinal)
  }
}

enum FollowedEventError: Error, Equatable, CustomStringConvertible {
  case unusable(String, why: String)
  case sameEvent(String)

  var description: String {
    switch self {
    case .unusable(let text, let why):
      "\"\(text)\" cannot be followed: \(why); give one like \"\(FollowedLogs.defaultDeposit)\""
    case .sameEvent(let name):
      "two of the followed events are the same, \(name): DEPOSIT_EVENT and WITHDRAW_EVENT must differ"
    }
  }
}

/// What `eth_getLogs` filters by.
struct LogFilter: Sendable, Hashable {
  let address: Address
  /// The alternatives at each position; nil: any.
  let topics: [[Hash32]?]
}

/// A log of the vault with a followed topic that its signature does not describe.
struct UnreadableLog: Error, CustomStringConvertible {
  let place: LogPlace
  let event: String
  let why: EventSignature.EventError

  var description: String {
    "log \(place.index) of block \(place.block.number) has the topic of \(event) but not its layout (\(why)): "
      + "check DEPOSIT_EVENT and WITHDRAW_EVENT against the vault's ABI"
  }
}
