import RLP

/// The root of the Merkle-Patricia trie of a list: key is the RLP of the index, value the item's bytes (Yellow Paper,
/// appendix D; sections 4.4.1 and 4.4.3). Used for receipts and transactions.
public enum OrderedTrie {
  /// The root of the empty trie: Keccak of RLP's empty string.
  public static let emptyRoot = Hash32.keccak([0x80])

  public static func root(_ values: [[UInt8]]) -> Hash32 {
    guard !values.isEmpty else { return emptyRoot }
    let leaves = values.enumerated().map { index, value in
      (key: nibbles(RLP.encode(.integer(UInt64(index)))), value: value)
    }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    return .keccak(RLP.encode(node(leaves[...], depth: 0)))
  }

  // Keys are at most 9 bytes, so the depth is at most 18.
  private static func node(
    _ leaves: ArraySlice<(key: [UInt8], value: [UInt8])>, depth: Int
  ) -> RLPItem {
    guard let first = leaves.first, let last = leaves.last else { return .bytes([]) }
    if leaves.count == 1 {
      return .list([.bytes(packed(first.key[depth...], isLeaf: true)), .bytes(first.value)])
    }
    // Sorted, so what the first and the last key share, all share.
    var shared = 0
    while depth + shared < min(first.key.count, last.key.count),
      first.key[depth + shared] == last.key[depth + shared]
    { shared += 1 }
    if shared > 0 {
      return .list([
        .bytes(packed(first.key[depth..<depth + shared], isLeaf: false)),
        reference(node(leaves, depth: depth + shared)),
      ])
    }
    var branches = [RLPItem](repeating: .bytes([]), count: 17)
    var rest = leaves
    if first.key.count == depth {
      branches[16] = .bytes(first.value)
      rest = rest.dropFirst()
    }
    while let next = rest.first {
      let end = rest.firstIndex { $0.key[depth] != next.key[depth] } ?? rest.endIndex
      branches[Int(next.key[depth])] = reference(
        node(rest[rest.startIndex..<end], depth: depth + 1))
      rest = rest[end...]
    }
    return .list(branches)
  }

  /// A node below 32 bytes is in its parent itself, any other as its hash.
  private static func reference(_ node: RLPItem) -> RLPItem {
    let encoded = RLP.encode(node)
    return encoded.count < 32 ? node : .bytes(Hash32.keccak(encoded).bytes)
  }

  private static func nibbles(_ bytes: [UInt8]) -> [UInt8] {
    bytes.flatMap { [$0 >> 4, $0 & 15] }
  }

  /// Hex-prefix encoding (Yellow Paper, appendix C).
  private static func packed(_ nibbles: ArraySlice<UInt8>, isLeaf: Bool) -> [UInt8] {
    let flag: UInt8 = isLeaf ? 2 : 0
    var rest = nibbles
    var bytes: [UInt8] = []
    if nibbles.count % 2 == 1, let odd = rest.popFirst() {
      bytes.append((flag + 1) << 4 | odd)
    } else {
      bytes.append(flag << 4)
    }
    while let high = rest.popFirst(), let low = rest.popFirst() { bytes.append(high << 4 | low) }
    return bytes
  }
}
