import Credits
import Ethereum

func address(_ byte: UInt8) -> Address { try! Address([UInt8](repeating: byte, count: 20)) }

func hash(_ byte: UInt8) -> Hash32 { try! Hash32([UInt8](repeating: byte, count: 32)) }

func signed(_ value: Int64) -> SignedWei {
  SignedWei(UInt256(value.magnitude), isNegative: value < 0)
}

func wei(_ value: UInt64) -> UInt256 { UInt256(value) }

func owed(_ operators: UInt64, _ infrastructure: UInt64, _ treasury: UInt64) -> ByRole<UInt256> {
  ByRole(operator: wei(operators), infrastructure: wei(infrastructure), treasury: wei(treasury))
}

func accrued(_ operators: Int64, _ infrastructure: Int64, _ treasury: Int64) -> ByRole<SignedWei> {
  ByRole(
    operator: signed(operators), infrastructure: signed(infrastructure), treasury: signed(treasury))
}

let treasury = address(0xee)
let infrastructure = address(0xdd)

func split(
  _ operators: Int = 8500, _ treasuryPart: Int = 1000, _ infrastructurePart: Int = 500,
  fallbackTo: Split.FallbackRole = .infrastructure
) throws -> Split {
  try Split(
    operatorsBasisPoints: operators, treasuryBasisPoints: treasuryPart,
    infrastructureBasisPoints: infrastructurePart, treasuryWallet: treasury,
    infrastructureWallet: infrastructure, fallbackTo: fallbackTo)
}
