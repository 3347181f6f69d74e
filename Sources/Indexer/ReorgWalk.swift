import Ethereum

/// Where the chain and the stored headers part: walks down from the highest stored block to the common ancestor.
///
/// A pure machine: it says which numbers it wants to see of the chain, is told the hashes there, and ends in a verdict. What is
/// stored below `firstRevocable` was final and is never given up, and a chain that is merely shorter is no fork: a stale or syncing endpoint
/// must not cause a rollback.
struct ReorgWalk: Sendable {
  /// A stored, canonical block.
  struct Stored: Sendable, Equatable {
    let number: UInt64
    let hash: Hash32
  }

  enum Verdict: Sendable, Equatable {
    /// The highest stored block is in the chain.
    case same
    /// The chain's head is `head`, below our highest block, and is ours there: wait.
    case behind(head: UInt64)
    /// Our blocks from `from` on are not in the chain.
    case fork(from: UInt64)
    /// The fork reaches down to `number`, which was final: a person must decide.
    case tooDeep(number: UInt64, stored: Hash32, chain: Hash32)
  }

  /// Canonical stored blocks, highest first; they must reach down to one below `firstRevocable`, or to the lowest there is.
  let stored: [Stored]
  /// The block after the highest that was final.
  let firstRevocable: UInt64

  /// What the chain's hashes say, or nil while one that is needed is missing.
  ///
  /// - Parameters:
  ///   - chain: the chain's hash at a number, as far as it was asked
  ///   - head: the number of the chain's head; stored blocks above it are not asked for
  func verdict(chain: [UInt64: Hash32], head: UInt64) -> Verdict? {
    var foreign = false
    for block in stored where block.number <= head {
      guard let hash = chain[block.number] else { return nil }
      if hash == block.hash {
        if foreign { return .fork(from: block.number + 1) }
        return stored.first == block ? .same : .behind(head: head)
      }
      foreign = true
      if block.number < firstRevocable {
        return .tooDeep(number: block.number, stored: block.hash, chain: hash)
      }
    }
    // Everything that can be compared is foreign, and nothing of it was final.
    if foreign { return .fork(from: firstRevocable) }
    return stored.isEmpty ? .same : .behind(head: head)
  }

  /// The numbers that the next question should cover, highest first: those not asked yet, in doubling steps, because
  /// most walks end at the first block.
  func next(chain: [UInt64: Hash32], head: UInt64) -> [UInt64] {
    let unknown = stored.lazy.map(\.number).filter { $0 <= head && chain[$0] == nil }
    return Array(unknown.prefix(max(1, chain.count)))
  }
}
