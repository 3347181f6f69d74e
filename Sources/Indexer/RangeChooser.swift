/// How many blocks the next `eth_getLogs` asks for: grows while answers come, gives way when a provider objects.
///
/// Providers object in two ways, and mixing them up either stalls or hammers (the two classes are Envio's): a *structural*
/// limit ("at most N blocks") holds for good and becomes the ceiling; a *density* limit ("too many results", an answer too
/// large, a time-out) holds for these blocks only and shrinks the range for now.
struct RangeChooser: Sendable, Equatable {
  /// The most blocks a range may have; only ever falls.
  private(set) var ceiling: UInt64
  /// How many blocks the next range has, 1 to `ceiling`.
  private(set) var size: UInt64

  static let defaultCeiling: UInt64 = 10_000

  /// - Parameters:
  ///   - initial: blocks of the first range
  ///   - ceiling: the most blocks of any range; both are raised to 1 if they are 0
  init(initial: UInt64 = 2_000, ceiling: UInt64 = defaultCeiling) {
    self.ceiling = max(1, ceiling)
    self.size = min(max(1, initial), self.ceiling)
  }

  /// The range to ask for next, within `from ... to`. Requires `from <= to`.
  func next(from: UInt64, to: UInt64) -> ClosedRange<UInt64> {
    precondition(from <= to)
    return from...(to - from < size ? to : from + (size - 1))
  }

  /// An answer came: the next range is half as large again, up to the ceiling.
  mutating func succeeded() {
    let grown = size.addingReportingOverflow(size / 2 + 1)
    size = grown.overflow ? ceiling : min(ceiling, grown.partialValue)
  }

  /// The provider objected to `range`. False when there is no smaller range left to try.
  mutating func refused(_ range: ClosedRange<UInt64>, because objection: Objection) -> Bool {
    let asked = range.upperBound - range.lowerBound + 1
    switch objection {
    case .structural(let most):
      // A limit that would still allow what was just refused is not the limit that was meant.
      ceiling = max(1, min(most ?? asked / 2, asked == 1 ? 1 : asked - 1))
      size = min(size, ceiling)
    case .density(let suggested):
      size = max(1, min(suggested ?? asked / 2, asked / 2))
    }
    return asked > 1
  }
}

extension RangeChooser {
  /// Why a provider refused a range.
  enum Objection: Sendable, Equatable {
    /// The range has too many blocks, whatever is in them; `most` blocks are allowed, if it said so.
    case structural(most: UInt64?)
    /// What is in these blocks is too much, or took too long; `suggested` blocks would fit, if it said so.
    case density(suggested: UInt64?)

    /// Reads a provider's refusal; nil when it is about something else. The texts are those of Alchemy, Infura, QuickNode,
    /// Ankr, Chainstack, dRPC, geth, erigon, reth and Nethermind.
    init?(code: Int?, message: String) {
      let text = message.lowercased()
      let saysDensity = [
        "response size", "query returned more than", "more than", "too many results",
        "too many logs",
        "query timeout", "timed out", "timeout", "response is too big", "response too large",
        "max results",
        "exceeds max results", "logs matched by query exceeds limit", "content too large",
        "limit on the number of logs",
      ].contains { text.contains($0) }
      let suggested = Self.suggestedLength(in: text)
      if saysDensity {
        self = .density(suggested: suggested)
        return
      }
      let saysRange =
        text.contains("range") || text.contains("too many blocks")
        || text.contains("blocks distance")
      if saysRange && (text.contains("block") || text.contains("limit") || text.contains("exceed"))
      {
        self = .structural(most: suggested ?? Self.firstCount(in: text))
        return
      }
      // -32005 is EIP-1474's "limit exceeded": something is too much, and the text does not say what.
      guard code == -32005 else { return nil }
      self = .density(suggested: suggested)
    }

    /// The length of a range in square brackets, `[0x10, 0x1f]`, as several providers suggest one.
    private static func suggestedLength(in text: String) -> UInt64? {
      guard let open = text.lastIndex(of: "["), let close = text[open...].firstIndex(of: "]") else {
        return nil
      }
      let bounds = text[text.index(after: open)..<close].split {
        $0 == "," || $0 == " " || $0 == "-"
      }
      guard bounds.count == 2, let from = number(bounds[0]), let to = number(bounds[1]), from <= to,
        to - from < UInt64.max
      else { return nil }
      return to - from + 1
    }

    /// The first number above 0 in the text, with thousands' commas and a `k` understood: "1,000", "2K".
    private static func firstCount(in text: String) -> UInt64? {
      for word in text.split(whereSeparator: {
        !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == ","))
      }) {
        var digits = word.filter { $0 != "," }
        let thousands = digits.hasSuffix("k")
        if thousands { digits.removeLast() }
        guard let value = number(Substring(digits)), value > 0 else { continue }
        let scaled = value.multipliedReportingOverflow(by: thousands ? 1_000 : 1)
        if !scaled.overflow { return scaled.partialValue }
      }
      return nil
    }

    private static func number(_ text: Substring) -> UInt64? {
      text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }
  }
}
