import Ethereum

/// A message that people sign with a wallet, as EIP-712 typed data, in the domain of one ledger's vault.
///
/// Messages here are flat: one struct of words. What the wallet shows and what is hashed come from the same
/// list of fields, so they cannot drift apart.
public protocol TypedMessage {
  static var typeName: String { get }
  var fields: [TypedField] { get }
  var domain: SettlementDomain { get }
}

/// A field of a typed message: name, Solidity type and value.
public struct TypedField: Hashable, Sendable {
  public enum Value: Hashable, Sendable {
    case bytes32(Hash32)
    case uint(UInt256)
    case address(Address)
  }

  public let name: String
  public let type: String
  public let value: Value

  public static func bytes32(_ name: String, _ value: Hash32) -> TypedField {
    TypedField(name: name, type: "bytes32", value: .bytes32(value))
  }

  public static func uint(_ name: String, bits: Int, _ value: UInt256) -> TypedField {
    TypedField(name: name, type: "uint\(bits)", value: .uint(value))
  }

  public static func address(_ name: String, _ value: Address) -> TypedField {
    TypedField(name: name, type: "address", value: .address(value))
  }

  /// The value as one ABI word (EIP-712, `encodeData`).
  var word: [UInt8] {
    switch value {
    case .bytes32(let hash): hash.bytes
    case .uint(let number): number.bigEndianBytes
    case .address(let address): [UInt8](repeating: 0, count: 12) + address.bytes
    }
  }

  /// The value in `eth_signTypedData_v4`; numbers as decimal strings, since JSON's lose digits.
  var text: String {
    switch value {
    case .bytes32(let hash): hash.description
    case .uint(let number): number.description
    case .address(let address): address.description
    }
  }
}

/// Whose messages these are: a ledger's vault on its chain.
public struct SettlementDomain: Hashable, Sendable {
  public static let name = "ParalleliX credits"
  public static let version = "1"

  public let chainID: UInt64
  public let vault: Address

  public init(chainID: UInt64, vault: Address) {
    self.chainID = chainID
    self.vault = vault
  }

  static let type =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"

  /// EIP-712, `domainSeparator`.
  public var separator: Hash32 {
    Hash32.keccak(
      keccak(Self.type) + keccak(Self.name) + keccak(Self.version)
        + TypedField.uint("chainId", bits: 256, UInt256(chainID)).word
        + TypedField.address("verifyingContract", vault).word)
  }
}

extension TypedMessage {
  /// EIP-712, `encodeType`.
  public static func typeString(of fields: [TypedField]) -> String {
    "\(typeName)(\(fields.map { "\($0.type) \($0.name)" }.joined(separator: ",")))"
  }

  /// What is signed: keccak256(0x19 0x01 ‖ domain separator ‖ struct hash).
  public var digest: Hash32 {
    let fields = fields
    let structHash = Hash32.keccak(keccak(Self.typeString(of: fields)) + fields.flatMap(\.word))
    return Hash32.keccak([0x19, 0x01] + domain.separator.bytes + structHash.bytes)
  }

  /// The message for a wallet's `eth_signTypedData_v4`. Every value is hex, digits or a fixed word, so
  /// nothing needs escaping.
  public var typedDataJSON: String {
    let types = fields.map { #"{"name":"\#($0.name)","type":"\#($0.type)"}"# }
    let values = fields.map { #""\#($0.name)":"\#($0.text)""# }
    let parts = [
      #"{"types":{"EIP712Domain":[{"name":"name","type":"string"},"#,
      #"{"name":"version","type":"string"},{"name":"chainId","type":"uint256"},"#,
      #"{"name":"verifyingContract","type":"address"}],"#,
      #""\#(Self.typeName)":[\#(types.joined(separator: ","))]},"#,
      #""primaryType":"\#(Self.typeName)","#,
      #""domain":{"name":"\#(SettlementDomain.name)","version":"\#(SettlementDomain.version)","#,
      #""chainId":\#(domain.chainID),"verifyingContract":"\#(domain.vault)"},"#,
      #""message":{\#(values.joined(separator: ","))}}"#,
    ]
    return parts.joined()
  }

  /// Who signed this message.
  /// - Throws: the error of signature recovery.
  public func signer(of signature: Signature) throws -> Address {
    try signature.recover(digest)
  }
}

private func keccak(_ text: String) -> [UInt8] { Hash32.keccak(Array(text.utf8)).bytes }
