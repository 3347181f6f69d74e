"""Raw transactions: decoding, and every check that needs no state. Error texts are geth's."""

from dataclasses import dataclass, field

from eth._utils.address import generate_contract_address
from eth.abc import SignedTransactionAPI
from eth.constants import SECPK1_N
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth_utils import keccak

from .errors import server_error

# EIP-7825: no transaction may use more gas than this, whatever the block's limit is.
TRANSACTION_GAS_CAP = 16_777_216
# geth's txMaxSize, 4 slots of 32 KiB.
MAX_BYTES = 131_072
MAX_INIT_CODE = 49_152  # EIP-3860
ACCEPTED_TYPES = (0, 1, 2)


@dataclass(frozen=True, eq=False)
class Transaction:
    raw: bytes
    signed: SignedTransactionAPI
    type: int
    hash: bytes
    sender: bytes
    # The order of arrival, which decides between equal tips.
    arrival: int = field(default=0)

    @property
    def nonce(self) -> int:
        return self.signed.nonce

    @property
    def cost(self) -> int:
        """The most it can take from its sender, wei."""
        return self.signed.gas * self.signed.max_fee_per_gas + self.signed.value

    @property
    def creates(self) -> bytes | None:
        """The address of the contract that it makes, if it makes one."""
        return None if self.signed.to else generate_contract_address(self.sender, self.nonce)

    def tip(self, base_fee: int) -> int:
        """What the miner earns per gas; negative when the transaction cannot be mined yet."""
        return min(self.signed.max_fee_per_gas - base_fee, self.signed.max_priority_fee_per_gas)

    def effective_gas_price(self, base_fee: int) -> int:
        return base_fee + self.tip(base_fee)


def decode(raw: bytes, chain_id: int, block_gas_limit: int, arrival: int) -> Transaction:
    """Decodes signed bytes and makes every check that needs no state; raises `RPCError`."""
    if len(raw) > MAX_BYTES:
        raise server_error(f"oversized data: transaction size {len(raw)}, limit {MAX_BYTES}")
    if not raw:
        raise server_error("typed transaction too short")
    kind = raw[0] if raw[0] < 0x80 else 0
    if kind not in ACCEPTED_TYPES or raw[0] == 0:
        if raw[0] < 0xC0:
            raise server_error("transaction type not supported")
    try:
        signed = PragueTransactionBuilder.decode(raw)
        signed.validate()
    except Exception as error:  # noqa: BLE001 - hostile bytes; py-evm raises many kinds
        raise server_error(f"rlp: invalid transaction: {error}") from error
    _check_fields(signed, kind, chain_id, block_gas_limit)
    try:
        sender = signed.sender
    except Exception as error:  # noqa: BLE001
        raise server_error("invalid sender") from error
    return Transaction(raw, signed, kind, keccak(raw), sender, arrival)


def _check_fields(
    signed: SignedTransactionAPI, kind: int, chain_id: int, block_gas_limit: int
) -> None:
    if kind == 0 and signed.v < 35:
        raise server_error("only replay-protected (EIP-155) transactions allowed over RPC")
    if signed.chain_id != chain_id:
        raise server_error(
            f"invalid sender: invalid chain id for signer: have {signed.chain_id} want {chain_id}"
        )
    if signed.y_parity not in (0, 1) or not (
        0 < signed.r < SECPK1_N and 0 < signed.s <= SECPK1_N // 2
    ):
        raise server_error("invalid transaction v, r, s values")
    if signed.max_fee_per_gas < signed.max_priority_fee_per_gas:
        raise server_error(
            "max priority fee per gas higher than max fee per gas: "
            f"maxPriorityFeePerGas: {signed.max_priority_fee_per_gas}, "
            f"maxFeePerGas: {signed.max_fee_per_gas}"
        )
    if signed.nonce >= 2**64 - 1:
        raise server_error("nonce has max value")
    if not signed.to and len(signed.data) > MAX_INIT_CODE:
        raise server_error(
            f"max initcode size exceeded: code size {len(signed.data)}, limit {MAX_INIT_CODE}"
        )
    if signed.gas > TRANSACTION_GAS_CAP:
        raise server_error(
            f"transaction gas limit too high (cap: {TRANSACTION_GAS_CAP}, tx: {signed.gas})"
        )
    if signed.gas > block_gas_limit:
        raise server_error("exceeds block gas limit")
    check_gas(signed)


def check_gas(transaction) -> None:
    """Refuses a gas limit under the intrinsic gas, or under EIP-7623's floor for its data."""
    intrinsic = intrinsic_gas(transaction)
    if transaction.gas < intrinsic:
        raise server_error(
            f"intrinsic gas too low: gas {transaction.gas}, minimum needed {intrinsic}"
        )
    floor = floor_gas(transaction.data)
    if transaction.gas < floor:
        raise server_error(
            "insufficient gas for floor data gas cost: "
            f"gas {transaction.gas}, minimum needed {floor}"
        )


def intrinsic_gas(transaction) -> int:
    gas = transaction.intrinsic_gas
    if not transaction.to:
        # EIP-3860. py-evm charges it in the executor and leaves it out of its intrinsic gas.
        gas += 2 * ((len(transaction.data) + 31) // 32)
    return gas


def floor_gas(data: bytes) -> int:
    """EIP-7623: 21,000 and 10 gas a token, a zero byte is one token, any other four."""
    zeros = data.count(0)
    return 21_000 + 10 * (zeros + 4 * (len(data) - zeros))
