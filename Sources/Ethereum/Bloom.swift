/// The 2048-bit bloom filter of a header or receipt (Yellow Paper, section 4.3.1).
public struct Bloom: Hashable, Sendable {
  public private(set) var bytes: [UInt8]

  public static let empty = Bloom()

  public init() {
    bytes = [UInt8](repeating: 0, count: 256)
  }

  public init(_ bytes: some Collection<UInt8>) throws(Hex.DecodingError) {
    guard bytes.count == 256 else { throw .wrongLength(wanted: 256, found: bytes.count) }
    self.bytes = Array(bytes)
  }

  public mutating func insert(_ value: [UInt8]) {
    for bit in Self.bits(of: value) { bytes[255 - bit / 8] |= 1 << UInt8(bit % 8) }
  }

  /// False: the value is certainly not in. True: it may be.
  public func mayContain(_ value: [UInt8]) -> Bool {
    Self.bits(of: value).allSatisfy { bytes[255 - $0 / 8] & 1 << UInt8($0 % 8) != 0 }
  }

  public mutating func insert(_ log: Log) {
    insert(log.address.bytes)
    for topic in log.topics { insert(topic.bytes) }
  }

  private static func bits(of value: [UInt8]) -> [Int] {
    let hash = Hash32.keccak(value).bytes
    return [0, 2, 4].map { (Int(hash[$0]) << 8 | Int(hash[$0 + 1])) & 2047 }
  }
}
