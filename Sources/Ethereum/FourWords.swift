/// Four 64-bit words, the storage of 256-bit values. Not SIMD4: its alignment of 32 bytes is more than the memory of
/// asynchronous functions is aligned to, and values across an `await` then abort the process ("freed pointer was not the
/// last allocation", Swift 6.3.1, optimised builds).
struct FourWords: Hashable, Sendable {
  private var first, second, third, fourth: UInt64

  init(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ fourth: UInt64) {
    self.first = first
    self.second = second
    self.third = third
    self.fourth = fourth
  }

  init(repeating word: UInt64) {
    self.init(word, word, word, word)
  }

  subscript(index: Int) -> UInt64 {
    get {
      switch index {
      case 0: first
      case 1: second
      case 2: third
      default: fourth
      }
    }
    set {
      switch index {
      case 0: first = newValue
      case 1: second = newValue
      case 2: third = newValue
      default: fourth = newValue
      }
    }
  }
}
