import RLP

/// A transaction to be signed: EIP-1559, or legacy with EIP-155's replay protection.
public struct Transaction: Sendable, Hashable {
  public enum Fees: Sendable, Hashable {
    /// EIP-1559, wei per gas.
    case dynamic(maxFee: UInt256, priorityFee: UInt256)
    /// EIP-155, wei per gas.
    case legacy(gasPrice: UInt256)
  }

  public var chainID: UInt64
  public var nonce: UInt64
  public var fees: Fees
  public var gasLimit: UInt64
  public var to: Address
  /// Wei.
  public var value: UInt256
  public var data: [UInt8]

  public init(
    chainID: UInt64, nonce: UInt64, fees: Fees, gasLimit: UInt64, to: Address, value: UInt256,
    data: [UInt8]
  ) {
    self.chainID = chainID
    self.nonce = nonce
    self.fees = fees
    self.gasLimit = gasLimit
    self.to = to
    self.value = value
    self.data = data
  }

  private var payload: [RLPItem] {
    let rest: [RLPItem] = [
      .integer(gasLimit), .bytes(to.bytes), .bytes(value.minimalBigEndianBytes), .bytes(data),
    ]
    switch fees {
    case .dynamic(let maxFee, let priorityFee):
      return [
        .integer(chainID), .integer(nonce), .bytes(priorityFee.minimalBigEndianBytes),
        .bytes(maxFee.minimalBigEndianBytes),
      ] + rest + [.list([])]
    case .legacy(let gasPrice):
      return [.integer(nonce), .bytes(gasPrice.minimalBigEndianBytes)] + rest
    }
  }

  /// What is signed.
  public var signingHash: Hash32 {
    switch fees {
    case .dynamic: .keccak([2] + RLP.encode(.list(payload)))
    case .legacy:
      .keccak(RLP.encode(.list(payload + [.integer(chainID), .bytes([]), .bytes([])])))
    }
  }

  /// The bytes that go to an endpoint.
  public func encoded(with signature: Signature) throws -> [UInt8] {
    let r = RLPItem.bytes(Array(signature.r.bytes.drop { $0 == 0 }))
    let s = RLPItem.bytes(Array(signature.s.bytes.drop { $0 == 0 }))
    switch fees {
    case .dynamic:
      return [2] + RLP.encode(.list(payload + [.integer(UInt64(signature.yParity)), r, s]))
    case .legacy:
      let v = try UInt256(chainID).multiplied(by: 2).adding(UInt256(35 + UInt64(signature.yParity)))
      return RLP.encode(.list(payload + [.bytes(v.minimalBigEndianBytes), r, s]))
    }
  }

  public func signed(by key: PrivateKey) throws -> SignedTransaction {
    let signature = try key.sign(signingHash)
    return SignedTransaction(
      transaction: self, signature: signature, raw: try encoded(with: signature),
      sender: key.address)
  }
}

/// A transaction with its signature, and the bytes that an endpoint gets.
public struct SignedTransaction: Sendable, Hashable {
  public let transaction: Transaction
  public let signature: Signature
  public let raw: [UInt8]
  public let sender: Address

  public var hash: Hash32 { .keccak(raw) }

  init(transaction: Transaction, signature: Signature, raw: [UInt8], sender: Address) {
    self.transaction = transaction
    self.signature = signature
    self.raw = raw
    self.sender = sender
  }

  public enum DecodingError: Error, Equatable, Sendable, CustomStringConvertible {
    case unsupported(String)

    public var description: String {
      switch self {
      case .unsupported(let what): "not a transaction of ours: \(what)"
      }
    }
  }

  /// Decodes raw bytes strictly and recovers the sender. Contract creations and access lists are refused: we sign none.
  public init(raw: [UInt8]) throws {
    let isDynamic = raw.first == 2
    let items = try RLPView(isDynamic ? Array(raw.dropFirst()) : raw).items()
    guard items.count == (isDynamic ? 12 : 9) else {
      throw RLPError.wrongCount(offset: 0, wanted: isDynamic ? "12" : "9", found: items.count)
    }
    func amount(_ index: Int) throws -> UInt256 {
      try UInt256(bigEndian: items[index].integerBytes(atMost: 32))
    }
    func word(_ index: Int) throws -> [UInt8] {
      let bytes = try items[index].integerBytes(atMost: 32)
      return [UInt8](repeating: 0, count: 32 - bytes.count) + bytes
    }
    let transaction: Transaction
    let yParity: UInt8
    if isDynamic {
      guard try items[8].items().isEmpty else { throw DecodingError.unsupported("an access list") }
      transaction = Transaction(
        chainID: try items[0].integer(), nonce: try items[1].integer(),
        fees: .dynamic(maxFee: try amount(3), priorityFee: try amount(2)),
        gasLimit: try items[4].integer(), to: try Address(items[5].bytes()), value: try amount(6),
        data: Array(try items[7].bytes()))
      let parity = try items[9].integer()
      guard parity <= 1 else { throw SigningError.invalidSignature("y parity \(parity)") }
      yParity = UInt8(parity)
    } else {
      let v = try items[6].integer()
      guard v >= 35 else { throw DecodingError.unsupported("a legacy transaction without EIP-155") }
      yParity = UInt8((v - 35) % 2)
      transaction = Transaction(
        chainID: (v - 35) / 2, nonce: try items[0].integer(),
        fees: .legacy(gasPrice: try amount(1)), gasLimit: try items[2].integer(),
        to: try Address(items[3].bytes()), value: try amount(4), data: Array(try items[5].bytes()))
    }
    let first = isDynamic ? 10 : 7
    let signature = try Signature(word(first) + word(first + 1) + [yParity])
    self.init(
      transaction: transaction, signature: signature, raw: raw,
      sender: try signature.recover(transaction.signingHash))
  }
}
