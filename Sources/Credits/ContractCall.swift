import Ethereum

/// Call data of the reference vault and of the token (Solidity ABI specification).
public enum ContractCall {
  // MARK: Reading

  /// The vault's balance of a user, or the token's of any holder.
  public static func balanceOf(_ holder: Address) -> [UInt8] {
    selector("balanceOf(address)") + word(holder)
  }

  public static func charged(_ user: Address) -> [UInt8] {
    selector("charged(address)") + word(user)
  }

  public static func paidTotal(_ payee: Address) -> [UInt8] {
    selector("paidTotal(address)") + word(payee)
  }

  public static func pool() -> [UInt8] { selector("pool()") }
  public static func settler() -> [UInt8] { selector("settler()") }

  // MARK: Settling

  /// - Parameter spent: cumulative wei, one a user.
  public static func charge(_ users: [Address], _ spent: [UInt256]) -> [UInt8] {
    twoLists("charge(address[],uint256[])", users, spent)
  }

  /// - Parameter paid: cumulative wei, one a payee.
  public static func pay(_ payees: [Address], _ paid: [UInt256]) -> [UInt8] {
    twoLists("pay(address[],uint256[])", payees, paid)
  }

  /// The token's (ERC-20): wei that are moved now.
  public static func transfer(to payee: Address, _ amount: UInt256) -> [UInt8] {
    selector("transfer(address,uint256)") + word(payee) + amount.bigEndianBytes
  }

  // MARK: Words

  /// Two dynamic arrays of one word an element (“Use of Dynamic Types”).
  private static func twoLists(
    _ signature: String, _ addresses: [Address], _ amounts: [UInt256]
  ) -> [UInt8] {
    let count = UInt256(UInt64(addresses.count)).bigEndianBytes
    let second = UInt256(UInt64(64 + 32 + 32 * addresses.count)).bigEndianBytes
    return selector(signature) + UInt256(64).bigEndianBytes + second
      + count + addresses.flatMap(word) + count + amounts.flatMap(\.bigEndianBytes)
  }

  private static func selector(_ signature: String) -> [UInt8] {
    Array(Hash32.keccak(Array(signature.utf8)).bytes.prefix(4))
  }

  private static func word(_ address: Address) -> [UInt8] {
    [UInt8](repeating: 0, count: 12) + address.bytes
  }
}
