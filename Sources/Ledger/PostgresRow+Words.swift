import Credits
import Ethereum
import Postgres

/// The ledger's words in an answer. Amounts travel as decimal text.
extension PostgresRow {
  public func address(_ name: String) throws -> Address { try Address(bytes(name)) }

  public func hash(_ name: String) throws -> Hash32 { try Hash32(bytes(name)) }

  public func optionalHash(_ name: String) throws -> Hash32? {
    try optionalBytes(name).map { try Hash32($0) }
  }

  /// A whole, non-negative amount in wei.
  public func wei(_ name: String) throws -> UInt256 {
    let text = try text(name)
    guard let amount = UInt256(decimal: text) else {
      throw PostgresError.column(name: name, problem: "is \(text.prefix(90)), not an amount in wei")
    }
    return amount
  }

  /// A whole amount in wei that may be negative.
  public func signedWei(_ name: String) throws -> SignedWei {
    let text = try text(name)
    guard let amount = SignedWei(text) else {
      throw PostgresError.column(name: name, problem: "is \(text.prefix(90)), not an amount in wei")
    }
    return amount
  }
}

extension PostgresValue {
  public static func address(_ address: Address) -> PostgresValue { .bytes(address.bytes) }
  public static func hash(_ hash: Hash32) -> PostgresValue { .bytes(hash.bytes) }
  public static func wei(_ amount: UInt256) -> PostgresValue { .text(amount.description) }
}
