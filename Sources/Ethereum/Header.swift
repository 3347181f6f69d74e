import RLP

/// A block header. Its RLP hashes to the block's hash (Yellow Paper, section 4.4; EIP-1559, 4895, 4844, 4788, 7685).
///
/// The optional tail is data: each fork appends fields, and a later field requires all before it. The hash decides whether
/// they were read right.
public struct Header: Sendable, Equatable {
  public var parentHash: Hash32
  public var ommersHash: Hash32
  public var beneficiary: Address
  public var stateRoot: Hash32
  public var transactionsRoot: Hash32
  public var receiptsRoot: Hash32
  public var logsBloom: Bloom
  public var difficulty: UInt256
  public var number: UInt64
  public var gasLimit: UInt64
  public var gasUsed: UInt64
  /// Seconds since 1970.
  public var timestamp: UInt64
  public var extraData: [UInt8]
  public var mixHash: Hash32
  /// Eight bytes.
  public var nonce: [UInt8]
  /// What later forks appended, in their order, as RLP strings.
  public var tail: [Tail]

  /// A field that a fork appended.
  public struct Tail: Sendable, Equatable {
    public let field: Field
    public let bytes: [UInt8]

    public init(field: Field, bytes: [UInt8]) {
      self.field = field
      self.bytes = bytes
    }
  }

  /// The appended fields, in the order of the header.
  public enum Field: String, Sendable, CaseIterable {
    case baseFeePerGas, withdrawalsRoot, blobGasUsed, excessBlobGas, parentBeaconBlockRoot
    case requestsHash, blockAccessListHash, slotNumber

    /// Quantities are minimal integers in RLP, the others 32-byte strings.
    public var isQuantity: Bool {
      switch self {
      case .baseFeePerGas, .blobGasUsed, .excessBlobGas, .slotNumber: true
      case .withdrawalsRoot, .parentBeaconBlockRoot, .requestsHash, .blockAccessListHash: false
      }
    }
  }

  public init(
    parentHash: Hash32, ommersHash: Hash32, beneficiary: Address, stateRoot: Hash32,
    transactionsRoot: Hash32, receiptsRoot: Hash32, logsBloom: Bloom, difficulty: UInt256,
    number: UInt64, gasLimit: UInt64, gasUsed: UInt64, timestamp: UInt64, extraData: [UInt8],
    mixHash: Hash32, nonce: [UInt8], tail: [Tail]
  ) {
    self.parentHash = parentHash
    self.ommersHash = ommersHash
    self.beneficiary = beneficiary
    self.stateRoot = stateRoot
    self.transactionsRoot = transactionsRoot
    self.receiptsRoot = receiptsRoot
    self.logsBloom = logsBloom
    self.difficulty = difficulty
    self.number = number
    self.gasLimit = gasLimit
    self.gasUsed = gasUsed
    self.timestamp = timestamp
    self.extraData = extraData
    self.mixHash = mixHash
    self.nonce = nonce
    self.tail = tail
  }

  /// The value of an appended field, if the header has it.
  public subscript(field: Field) -> [UInt8]? { tail.first { $0.field == field }?.bytes }

  public var encoded: [UInt8] {
    RLP.encode(
      .list(
        [
          .bytes(parentHash.bytes), .bytes(ommersHash.bytes), .bytes(beneficiary.bytes),
          .bytes(stateRoot.bytes), .bytes(transactionsRoot.bytes), .bytes(receiptsRoot.bytes),
          .bytes(logsBloom.bytes), .bytes(difficulty.minimalBigEndianBytes), .integer(number),
          .integer(gasLimit), .integer(gasUsed), .integer(timestamp), .bytes(extraData),
          .bytes(mixHash.bytes), .bytes(nonce),
        ] + tail.map { .bytes($0.bytes) }))
  }

  public var hash: Hash32 { .keccak(encoded) }
}

extension Header {
  /// Decodes a header strictly; a field beyond the known ones is refused.
  public init(encoded bytes: [UInt8]) throws {
    let view = try RLPView(bytes)
    let items = try view.items()
    let known = Field.allCases
    guard (15...15 + known.count).contains(items.count) else {
      throw RLPError.wrongCount(offset: 0, wanted: "15 to \(15 + known.count)", found: items.count)
    }
    func hash(_ index: Int) throws -> Hash32 { try Hash32(items[index].bytes()) }
    self.init(
      parentHash: try hash(0), ommersHash: try hash(1), beneficiary: try Address(items[2].bytes()),
      stateRoot: try hash(3), transactionsRoot: try hash(4), receiptsRoot: try hash(5),
      logsBloom: try Bloom(items[6].bytes()),
      difficulty: try UInt256(bigEndian: items[7].integerBytes(atMost: 32)),
      number: try items[8].integer(), gasLimit: try items[9].integer(),
      gasUsed: try items[10].integer(), timestamp: try items[11].integer(),
      extraData: Array(try items[12].bytes()), mixHash: try hash(13),
      nonce: Array(try items[14].bytes()),
      tail: try zip(known, items.dropFirst(15)).map { field, item in
        let bytes = field.isQuantity ? try item.integerBytes(atMost: 32) : try item.bytes()
        guard field.isQuantity || bytes.count == 32 else {
          throw Hex.DecodingError.wrongLength(wanted: 32, found: bytes.count)
        }
        return Tail(field: field, bytes: Array(bytes))
      })
    guard nonce.count == 8 else {
      throw Hex.DecodingError.wrongLength(wanted: 8, found: nonce.count)
    }
  }
}
