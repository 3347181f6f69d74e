import Credits
import Ethereum
import Service

/// The settler's words on a command line: addresses, amounts in PRLX, epochs.
extension Arguments {
  func address(_ name: String) throws(UsageError) -> Address? {
    guard let text = optional(name) else { return nil }
    return try parsed(name, text) { try Address($0) }
  }

  func requiredAddress(_ name: String) throws(UsageError) -> Address {
    try parsed(name, try required(name)) { try Address($0) }
  }

  func amount(_ name: String) throws(UsageError) -> UInt256? {
    guard let text = optional(name) else { return nil }
    return try parsed(name, text) { try PRLX.wei($0) }
  }

  /// In milliseconds.
  func durationMs(_ name: String) throws(UsageError) -> Int64? {
    guard let components = try duration(name)?.components else { return nil }
    return components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
  }

  /// The word at a place, an epoch's number.
  func epoch(at place: Int) throws(UsageError) -> UInt64 {
    let text = try word(at: place, "the epoch's number")
    guard let epoch = UInt64(text), epoch >= 1, epoch <= UInt64(Int64.max) else {
      throw UsageError("\"\(text)\" is no epoch's number")
    }
    return epoch
  }
}
