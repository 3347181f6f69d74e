import Ethereum

/// Which logs are followed, and what they say: the vault's four events, and the token's transfers from and to the vault.
struct FollowedLogs: Sendable {
  let vault: Address
  let token: Address
  private let events: [Hash32: (kind: VaultEvent.Kind, event: FollowedEvent)]
  private let blooms: [BloomQuery]

  static let defaultDeposit = "Deposit(address indexed user, uint256 amount)"
  static let defaultWithdraw = "Withdraw(address indexed user, uint256 amount)"
  /// `Transfer(address indexed from, address indexed to, uint256 value)` (EIP-20).
  static let transferTopic = Hash32.keccak(Array("Transfer(address,address,uint256)".utf8))

  /// - Parameters:
  ///   - depositEvent, withdrawEvent: signatures as text; `Charged` and `Paid` are the reference vault's
  init(
    vault: Address, token: Address, depositEvent: String = defaultDeposit,
    withdrawEvent: String = defaultWithdraw
  ) throws(FollowedEventError) {
    let kinds: [(VaultEvent.Kind, FollowedEvent)] = [
      (.deposit, try FollowedEvent(depositEvent)),
      (.withdraw, try FollowedEvent(withdrawEvent)),
      (
        .charged,
        try FollowedEvent(
          "Charged(address indexed user, uint256 amount, uint256 total)", withTotal: true)
      ),
      (
        .paid,
        try FollowedEvent(
          "Paid(address indexed payee, uint256 amount, uint256 total)", withTotal: true)
      ),
    ]
    var events: [Hash32: (kind: VaultEvent.Kind, event: FollowedEvent)] = [:]
    for (kind, event) in kinds {
      guard events.updateValue((kind, event), forKey: event.topic) == nil else {
        throw .sameEvent(event.canonical)
      }
    }
    self.vault = vault
    self.token = token
    self.events = events
    blooms =
      kinds.map { BloomQuery(allOf: [vault.bytes, $0.1.topic.bytes]) } + [
        BloomQuery(allOf: [token.bytes, Self.transferTopic.bytes, vault.topicBytes])
      ]
  }

  /// What `eth_getLogs` is asked: the address, and the alternatives at each topic, empty for any.
  var filters: [LogFilter] {
    [
      LogFilter(address: vault, topics: [events.keys.sorted()]),
      LogFilter(address: token, topics: [[Self.transferTopic], [vaultTopic], []]),
      LogFilter(address: token, topics: [[Self.transferTopic], [], [vaultTopic]]),
    ]
  }

  private var vaultTopic: Hash32 {
    guard let topic = try? Hash32(vault.topicBytes) else {
      preconditionFailure("an address topic has 32 bytes")
    }
    return topic
  }

  /// False only when the header proves that its block holds no followed log.
  func mayConcern(_ header: CheckedHeader) -> Bool {
    guard header.hasTransactions else { return false }
    // Some chains leave blooms empty: with transactions in the block that is no evidence.
    if header.bloom.allSatisfy({ $0 == 0 }) { return true }
    return blooms.contains { $0.mayMatch(header.bloom) }
  }

  /// The followed ones of some blocks' logs, in the chain's order, each once.
  ///
  /// - Throws: `UnreadableLog` for a vault's event that is not laid out as its signature says: skipping it could lose money
  func rows(of logs: some Sequence<ChainLog>) throws(UnreadableLog) -> FollowedRows {
    var rows = FollowedRows()
    var followed: Set<ChainLog> = []
    for log in logs where log.address == vault || log.address == token { followed.insert(log) }
    let ordered = followed.sorted {
      ($0.place.block.number, $0.place.index) < ($1.place.block.number, $1.place.index)
    }
    var ordinals: [Hash32: UInt32] = [:]
    for log in ordered {
      if log.address == vault, let topic = log.topics.first, let (kind, event) = events[topic] {
        guard let facts = event.decode(log) else {
          throw UnreadableLog(place: log.place, event: event.canonical)
        }
        let ordinal = ordinals[log.place.transaction, default: 0]
        ordinals[log.place.transaction] = ordinal + 1
        rows.events.append(
          VaultEvent(
            kind: kind, account: facts.account, amount: facts.amount, total: facts.total,
            place: log.place, ordinal: ordinal))
      } else if log.address == token, let transfer = transfer(log) {
        rows.transfers.append(transfer)
      }
    }
    return rows
  }

  /// Nil for any other log of the token: another event, other parties, another layout (ERC-721 has the same topic).
  private func transfer(_ log: ChainLog) -> TokenTransfer? {
    guard log.topics.count == 3, log.topics[0] == Self.transferTopic, log.data.count == 32,
      let sender = Address(topic: log.topics[1]), let recipient = Address(topic: log.topics[2]),
      sender == vault || recipient == vault, let amount = UInt256(word: 0, of: log.data)
    else { return nil }
    return TokenTransfer(sender: sender, recipient: recipient, amount: amount, place: log.place)
  }
}

/// What `eth_getLogs` filters by.
struct LogFilter: Sendable, Hashable {
  let address: Address
  /// The alternatives at each position; empty: any.
  let topics: [[Hash32]]
}

/// A log of the vault with a followed topic that its signature does not describe.
struct UnreadableLog: Error, Equatable, CustomStringConvertible {
  let place: LogPlace
  let event: String

  var description: String {
    "log \(place.index) of block \(place.block.number) has the topic of \(event) but another layout; "
      + "check DEPOSIT_EVENT and WITHDRAW_EVENT against the vault's ABI"
  }
}
