import RLP

/// A log entry of a receipt (Yellow Paper, section 4.3.1).
public struct Log: Hashable, Sendable {
  public let address: Address
  /// At most four.
  public let topics: [Hash32]
  public let data: [UInt8]

  public init(address: Address, topics: [Hash32], data: [UInt8]) {
    self.address = address
    self.topics = topics
    self.data = data
  }

  var item: RLPItem {
    .list([.bytes(address.bytes), .list(topics.map { .bytes($0.bytes) }), .bytes(data)])
  }
}

/// A transaction receipt, legacy or typed (EIP-2718).
public struct Receipt: Hashable, Sendable {
  public enum Outcome: Hashable, Sendable {
    /// Before Byzantium: the state root after the transaction.
    case stateRoot(Hash32)
    /// EIP-658.
    case status(Bool)
  }

  /// 0: legacy; 1 to 4: the EIP-2718 type.
  public let type: UInt8
  public let outcome: Outcome
  public let cumulativeGasUsed: UInt64
  public let logs: [Log]

  public init(type: UInt8, outcome: Outcome, cumulativeGasUsed: UInt64, logs: [Log]) {
    self.type = type
    self.outcome = outcome
    self.cumulativeGasUsed = cumulativeGasUsed
    self.logs = logs
  }

  public var succeeded: Bool {
    switch outcome {
    case .status(let success): success
    // Before Byzantium a receipt does not say; no vault is that old.
    case .stateRoot: true
    }
  }

  /// Computed from the logs, never believed.
  public var bloom: Bloom {
    var bloom = Bloom()
    for log in logs { bloom.insert(log) }
    return bloom
  }

  /// The bytes that the receipts trie holds.
  public var encoded: [UInt8] {
    let first: RLPItem =
      switch outcome {
      case .stateRoot(let root): .bytes(root.bytes)
      case .status(let success): .integer(success ? 1 : 0)
      }
    let body = RLP.encode(
      .list([
        first, .integer(cumulativeGasUsed), .bytes(bloom.bytes), .list(logs.map(\.item)),
      ]))
    return type == 0 ? body : [type] + body
  }
}
