"""The JSON-RPC methods: reads parameters strictly, asks the blockchain, renders as geth does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rlp
from eth.rlp.logs import Log
from eth_abi import decode as abi_decode

from . import rendering as render
from .blockchain import Block, Blockchain, Call
from .errors import (
    INTERNAL,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    REVERTED,
    RPCError,
    invalid_params,
    server_error,
)

CLIENT_VERSION = "ParalleliX-devnet/v1/py-evm-0.12.1b1"
SUGGESTED_TIP = 10**9
MAX_BATCH = 1_000  # geth's BatchRequestLimit
MAX_FEE_HISTORY = 1_024
MAX_MINE = 100_000
ERROR_STRING = bytes.fromhex("08c379a0")  # Error(string)
PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)


@dataclass(frozen=True)
class Limits:
    """What a provider refuses to answer in one eth_getLogs; None is no limit."""

    log_range: int | None = None
    log_results: int | None = None


class RPC:
    def __init__(self, chain: Blockchain, limits: Limits) -> None:
        self.chain = chain
        self.limits = limits
        self.methods: dict[str, Callable[..., Any]] = {
            name: getattr(self, name) for name in dir(type(self)) if _is_method(name)
        }

    # Requests

    def answer(self, request: Any) -> Any | None:
        """The reply to a decoded body, a request or a batch; None when nothing is to be said."""
        if not isinstance(request, list):
            return self._answer_one(request)
        if not request:
            return _failure(None, RPCError(INVALID_REQUEST, "empty batch"))
        if len(request) > MAX_BATCH:
            return _failure(None, RPCError(INVALID_REQUEST, "batch too large"))
        replies = [self._answer_one(one) for one in request]
        return [reply for reply in replies if reply is not None] or None

    def _answer_one(self, request: Any) -> dict | None:
        if not isinstance(request, dict):
            return _failure(None, RPCError(INVALID_REQUEST, "invalid request"))
        identifier = request.get("id")
        if isinstance(identifier, dict | list):
            return _failure(None, RPCError(INVALID_REQUEST, "invalid request"))
        try:
            result = self._call(request)
        except RPCError as error:
            reply = _failure(identifier, error)
        except Exception as error:  # noqa: BLE001 - whatever a client sent, the chain goes on
            message = f"{type(error).__name__}: {error}"
            reply = _failure(identifier, RPCError(INTERNAL, message))
        else:
            reply = {"jsonrpc": "2.0", "id": identifier, "result": result}
        return reply if "id" in request else None

    def _call(self, request: dict) -> Any:
        name, params = request.get("method"), request.get("params")
        if not isinstance(name, str):
            raise RPCError(INVALID_REQUEST, "invalid request")
        method = self.methods.get(name)
        if method is None:
            message = f"the method {name[:100]} does not exist/is not available"
            raise RPCError(METHOD_NOT_FOUND, message)
        if params is None:
            params = []
        if not isinstance(params, list):
            raise invalid_params("non-array args")
        least, most = _arity(method)
        if len(params) < least:
            raise invalid_params(f"missing value for required argument {len(params)}")
        if len(params) > most:
            raise invalid_params(f"too many arguments, want at most {most}")
        return method(*params)

    # Node

    def web3_clientVersion(self) -> str:
        return CLIENT_VERSION

    def net_version(self) -> str:
        return str(self.chain.chain_id)

    def net_listening(self) -> bool:
        return True

    def eth_chainId(self) -> str:
        return render.quantity(self.chain.chain_id)

    def eth_syncing(self) -> bool:
        return False

    def eth_accounts(self) -> list:
        return []

    # Blocks

    def eth_blockNumber(self) -> str:
        return render.quantity(self.chain.head.number)

    def eth_getBlockByNumber(self, tag: Any, full: Any = False) -> dict | None:
        full = _boolean(full)
        if tag == "pending":
            head = self.chain.head
            fee = self.chain.next_base_fee(head)
            return render.pending_block(head, fee, list(self.chain.mempool), full)
        block = self._block_by_tag(tag)
        return render.block(block, full) if block else None

    def eth_getBlockByHash(self, block_hash: Any, full: Any = False) -> dict | None:
        block = self.chain.by_hash(_hash32(block_hash))
        return render.block(block, _boolean(full)) if block else None

    def eth_getBlockTransactionCountByNumber(self, tag: Any) -> str | None:
        if tag == "pending":
            return render.quantity(len(self.chain.mempool))
        block = self._block_by_tag(tag)
        return render.quantity(len(block.transactions)) if block else None

    def eth_getBlockReceipts(self, where: Any) -> list | None:
        block = self._find_block(where)
        if block is None:
            return None
        return [render.receipt(block, index) for index in range(len(block.transactions))]

    def debug_getRawHeader(self, where: Any) -> str:
        return render.data(rlp.encode(self._block(where).header))

    def debug_getRawReceipts(self, where: Any) -> list:
        return [render.data(receipt.encode()) for receipt in self._block(where).receipts]

    def debug_getRawTransaction(self, transaction_hash: Any) -> str:
        key = _hash32(transaction_hash)
        mined = self.chain.mined(key)
        waiting = mined[0].transactions[mined[1]] if mined else self.chain.mempool.get(key)
        return render.data(waiting.raw) if waiting else "0x"

    # Transactions

    def eth_getTransactionByHash(self, transaction_hash: Any) -> dict | None:
        key = _hash32(transaction_hash)
        mined = self.chain.mined(key)
        if mined:
            return render.mined_transaction(*mined)
        waiting = self.chain.mempool.get(key)
        if waiting is None:
            return None
        return render.pending_transaction(waiting, self.chain.next_base_fee(self.chain.head))

    def eth_getTransactionReceipt(self, transaction_hash: Any) -> dict | None:
        mined = self.chain.mined(_hash32(transaction_hash))
        return render.receipt(*mined) if mined else None

    def eth_sendRawTransaction(self, raw: Any) -> str:
        return render.data(self.chain.send(_data(raw)))

    # Logs

    def eth_getLogs(self, criteria: Any) -> list:
        if not isinstance(criteria, dict):
            raise invalid_params("invalid argument 0: filter is not an object")
        addresses = _addresses(criteria.get("address"))
        topics = _topics(criteria.get("topics"))
        blocks = self._log_blocks(criteria)
        found: list[dict] = []
        for block in blocks:
            if not block.header.bloom:
                continue
            for index in range(len(block.receipts)):
                found += render.logs(block, index, lambda log: _matches(log, addresses, topics))
            most = self.limits.log_results
            if most is not None and len(found) > most and len(blocks) > 1:
                # The wording of a well-known provider, with the range that would have fitted.
                end = max(blocks[0].number, block.number - 1)
                raise RPCError(
                    LIMIT_EXCEEDED,
                    f"query returned more than {most} results. Try with this block range "
                    f"[{hex(blocks[0].number)}, {hex(end)}].",
                )
        return found

    def _log_blocks(self, criteria: dict) -> list[Block]:
        start, end = criteria.get("fromBlock"), criteria.get("toBlock")
        if criteria.get("blockHash") is not None:
            if start is not None or end is not None:
                raise invalid_params(
                    "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"
                )
            block = self.chain.by_hash(_hash32(criteria["blockHash"]))
            if block is None:
                raise server_error("unknown block")
            return [block]
        first = self._log_bound(start, self.chain.head.number)
        last = self._log_bound(end, self.chain.head.number)
        if first > last:
            raise invalid_params("invalid block range params")
        most = self.limits.log_range
        if most is not None and last - first + 1 > most:
            raise invalid_params(f"exceed maximum block range: {most}")
        # A range that runs past the head is answered as far as there are blocks, as geth does.
        return self.chain.canonical[first : last + 1]

    def _log_bound(self, tag: Any, default: int) -> int:
        if tag is None:
            return default
        if tag == "pending":
            raise invalid_params("pending logs are not supported")
        named = self._named_block(tag)
        return named.number if named else _number(tag)

    # State

    def eth_getBalance(self, address: Any, where: Any = "latest") -> str:
        return render.quantity(self._state(where).get_balance(_address(address)))

    def eth_getTransactionCount(self, address: Any, where: Any = "latest") -> str:
        account = _address(address)
        if where == "pending":
            return render.quantity(self.chain.next_nonce(account))
        return render.quantity(self._state(where).get_nonce(account))

    def eth_getCode(self, address: Any, where: Any = "latest") -> str:
        return render.data(self._state(where).get_code(_address(address)))

    def eth_getStorageAt(self, address: Any, slot: Any, where: Any = "latest") -> str:
        value = self._state(where).get_storage(_address(address), _slot(slot))
        return render.data(value.to_bytes(32, "big"))

    def eth_getProof(self, address: Any, slots: Any, where: Any = "latest") -> dict:
        if not isinstance(slots, list) or len(slots) > 1_024:
            raise invalid_params("invalid argument 1: want an array of at most 1024 storage keys")
        target = _address(address)
        account, proof = self.chain.account_proof(self._block(where), target)
        storage = []
        for key in slots:
            value, nodes = self.chain.storage_proof(account, _slot(key))
            storage.append(
                {
                    "key": key,
                    "value": render.quantity(value),
                    "proof": [render.data(node) for node in nodes],
                }
            )
        return {
            "address": render.address(target),
            "accountProof": [render.data(node) for node in proof],
            "balance": render.quantity(account.balance),
            "codeHash": render.data(account.code_hash),
            "nonce": render.quantity(account.nonce),
            "storageHash": render.data(account.storage_root),
            "storageProof": storage,
        }

    # Execution

    def eth_call(self, arguments: Any, where: Any = "latest") -> str:
        computation = self.chain.call(self._block(where), _call_arguments(arguments))
        if computation.is_error:
            raise _execution_error(computation)
        return render.data(computation.output)

    def eth_estimateGas(self, arguments: Any, where: Any = "latest") -> str:
        call = _call_arguments(arguments)
        gas, computation = self.chain.estimate_gas(self._block(where), call)
        if computation.is_error:
            raise _execution_error(computation)
        return render.quantity(gas)

    # Fees

    def eth_gasPrice(self) -> str:
        return render.quantity(self.chain.next_base_fee(self.chain.head) + SUGGESTED_TIP)

    def eth_maxPriorityFeePerGas(self) -> str:
        return render.quantity(SUGGESTED_TIP)

    def eth_blobBaseFee(self) -> str:
        return render.quantity(1)

    def eth_feeHistory(self, count: Any, newest: Any, percentiles: Any = None) -> dict:
        count = min(_number(count), MAX_FEE_HISTORY)
        percentiles = _percentiles(percentiles)
        last = self._block(newest)
        first = max(0, last.number - count + 1)
        blocks = self.chain.canonical[first : last.number + 1] if count else []
        if not blocks:
            return {"oldestBlock": "0x0", "gasUsedRatio": []}
        history = {
            "oldestBlock": render.quantity(first),
            "baseFeePerGas": [
                render.quantity(fee)
                for fee in [b.header.base_fee_per_gas for b in blocks]
                + [self.chain.next_base_fee(last)]
            ],
            "gasUsedRatio": [b.header.gas_used / b.header.gas_limit for b in blocks],
            "baseFeePerBlobGas": ["0x1"] * (len(blocks) + 1),
            "blobGasUsedRatio": [0] * len(blocks),
        }
        if percentiles:
            history["reward"] = [_rewards(block, percentiles) for block in blocks]
        return history

    # The dev chain's own: anvil's names where anvil has one

    def evm_mine(self, options: Any = None) -> str:
        """`[]`, `[timestamp]`, or `[{"blocks": N, "timestamp": T}]`."""
        blocks, timestamp = 1, None
        if isinstance(options, dict):
            blocks = _number(options.get("blocks", 1))
            timestamp = options.get("timestamp")
        elif options is not None:
            timestamp = options
        if blocks > MAX_MINE:
            raise invalid_params(f"cannot mine {blocks} blocks at once, at most {MAX_MINE}")
        self.chain.mine(blocks, None if timestamp is None else _number(timestamp))
        return "0x0"

    def evm_setAutomine(self, on: Any) -> bool:
        self.chain.set_automine(_boolean(on))
        return True

    def evm_snapshot(self) -> str:
        return render.quantity(self.chain.snapshot())

    def evm_revert(self, identifier: Any) -> bool:
        return self.chain.revert(_number(identifier))

    def evm_increaseTime(self, seconds: Any) -> int:
        self.chain.time_offset += _number(seconds)
        return self.chain.time_offset

    def evm_setNextBlockTimestamp(self, timestamp: Any) -> None:
        self.chain.set_next_timestamp(_number(timestamp))

    def dev_setHead(self, where: Any) -> str:
        """Any block known, also an orphaned one by its hash: a reorg without mining."""
        block = self._block(where)
        self.chain.set_head(block)
        return render.data(block.hash)

    def dev_setFinalized(self, number: Any) -> str:
        self.chain.set_finalized(None if number is None else _number(number))
        return render.quantity(self.chain.finalized.number)

    def dev_dropTransaction(self, transaction_hash: Any) -> bool:
        return self.chain.mempool.remove(_hash32(transaction_hash))

    # Finding blocks

    def _named_block(self, tag: Any) -> Block | None:
        if not isinstance(tag, str):
            return None
        if tag in ("latest", "pending"):
            return self.chain.head
        if tag in ("safe", "finalized"):
            return self.chain.finalized
        return self.chain.canonical[0] if tag == "earliest" else None

    def _block_by_tag(self, tag: Any) -> Block | None:
        return self._named_block(tag) or self.chain.by_number(_number(tag))

    def _find_block(self, where: Any) -> Block | None:
        """A tag, a number, a hash, or EIP-1898's object."""
        if isinstance(where, dict):
            if ("blockHash" in where) == ("blockNumber" in where):
                raise invalid_params("want one of blockHash and blockNumber")
            if "blockNumber" in where:
                return self._block_by_tag(where["blockNumber"])
            block = self.chain.by_hash(_hash32(where["blockHash"]))
            if where.get("requireCanonical") and block and not self.chain.is_canonical(block):
                raise server_error("hash is not currently canonical")
            return block
        if isinstance(where, str) and len(where) == 66:
            return self.chain.by_hash(_hash32(where))
        return self._block_by_tag(where)

    def _block(self, where: Any) -> Block:
        block = self._find_block("latest" if where is None else where)
        if block is None:
            raise server_error("header not found")
        return block

    def _state(self, where: Any):
        return self.chain.state_at(self._block(where))


def _is_method(name: str) -> bool:
    return name.partition("_")[0] in ("web3", "net", "eth", "debug", "evm", "dev")


def _arity(method: Callable[..., Any]) -> tuple[int, int]:
    most = method.__code__.co_argcount - 1
    return most - len(method.__defaults__ or ()), most


def _failure(identifier: Any, error: RPCError) -> dict:
    return {"jsonrpc": "2.0", "id": identifier, "error": error.to_json()}


# Parameters


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid_params(f"want a boolean, got {_shown(value)}")
    return value


def _data(value: Any, length: int | None = None) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise invalid_params(f"want 0x-prefixed hex, got {_shown(value)}")
    try:
        # bytes.fromhex would skip blanks.
        decoded = bytes.fromhex(value[2:]) if value.isascii() and value.isalnum() else None
    except ValueError:
        decoded = None
    if decoded is None:
        raise invalid_params(f"invalid hex string: {_shown(value)}")
    if length is not None and len(decoded) != length:
        raise invalid_params(f"want {length} bytes, got {len(decoded)}")
    return decoded


def _hash32(value: Any) -> bytes:
    return _data(value, 32)


def _address(value: Any) -> bytes:
    return _data(value, 20)


def _number(value: Any) -> int:
    """A quantity as hex; plain JSON integers are taken too, as anvil takes them."""
    number = -1
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.startswith("0x") and value.isalnum():
        try:
            number = int(value, 16)
        except ValueError:
            pass
    if not 0 <= number < 2**64:
        raise invalid_params(f"want a quantity or a block tag, got {_shown(value)}")
    return number


def _quantity(value: Any, default: int | None) -> int | None:
    """A 256-bit quantity, as in values and fees; `default` when it is absent."""
    if value is None:
        return default
    number = -1
    if isinstance(value, str) and value.startswith("0x") and 2 < len(value) <= 66:
        try:
            number = int(value, 16)
        except ValueError:
            pass
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if not 0 <= number < 2**256:
        raise invalid_params(f"want a quantity, got {_shown(value)}")
    return number


def _slot(value: Any) -> int:
    slot = _quantity(value, None)
    if slot is None:
        raise invalid_params("want a storage key, got null")
    return slot


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _addresses(value: Any) -> frozenset[bytes] | None:
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    return frozenset(_address(one) for one in values) or None


def _topics(value: Any) -> list[frozenset[int] | None]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > 4:
        raise invalid_params("exceed max topics")
    topics: list[frozenset[int] | None] = []
    for position in value:
        alternatives = position if isinstance(position, list) else [position]
        # A null, also among alternatives, matches every topic.
        if not alternatives or None in alternatives:
            topics.append(None)
        else:
            topics.append(frozenset(int.from_bytes(_hash32(one), "big") for one in alternatives))
    return topics


def _matches(
    log: Log, addresses: frozenset[bytes] | None, topics: list[frozenset[int] | None]
) -> bool:
    if addresses is not None and log.address not in addresses:
        return False
    if len(topics) > len(log.topics):
        return False
    return all(
        wanted is None or topic in wanted
        for wanted, topic in zip(topics, log.topics, strict=False)
    )


def _call_arguments(value: Any) -> Call:
    if not isinstance(value, dict):
        raise invalid_params("invalid argument 0: call is not an object")
    payload = value.get("input") if value.get("input") is not None else value.get("data")
    fee = value.get("maxFeePerGas") if value.get("gasPrice") is None else value.get("gasPrice")
    return Call(
        sender=bytes(20) if value.get("from") is None else _address(value["from"]),
        to=b"" if value.get("to") is None else _address(value["to"]),
        data=b"" if payload is None else _data(payload),
        value=_quantity(value.get("value"), 0),
        gas=_quantity(value.get("gas"), None),
        gas_price=_quantity(fee, None),
        access_list=_access_list(value.get("accessList")),
    )


def _access_list(value: Any) -> tuple:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise invalid_params("invalid access list")
    return tuple(
        (_address(entry.get("address")), tuple(_slot(k) for k in entry.get("storageKeys") or ()))
        for entry in value
    )


def _percentiles(value: Any) -> list[float]:
    if value is None:
        return []
    good = isinstance(value, list) and len(value) <= 100
    if not good or not all(isinstance(p, int | float) and 0 <= p <= 100 for p in value):
        raise invalid_params("invalid reward percentile")
    if value != sorted(value):
        raise invalid_params("invalid reward percentile: must be ascending")
    return value


def _rewards(block: Block, percentiles: list[float]) -> list[str]:
    """Tips at percentiles of the block's gas, the transactions in order of their tip."""
    paid = sorted(
        (transaction.tip(block.header.base_fee_per_gas), block.gas_used(index))
        for index, transaction in enumerate(block.transactions)
    )
    if not paid:
        return ["0x0"] * len(percentiles)
    rewards, position, total = [], 0, paid[0][1]
    for percentile in percentiles:
        while total < block.header.gas_used * percentile / 100 and position < len(paid) - 1:
            position += 1
            total += paid[position][1]
        rewards.append(render.quantity(paid[position][0]))
    return rewards


def _execution_error(computation) -> RPCError:
    """geth's error of a failed call: code 3 with the revert data, or -32000 with the reason."""
    if type(computation.error).__name__ != "Revert":
        return server_error(_reason(computation.error))
    output = computation.output
    message = "execution reverted"
    try:
        if output[:4] == ERROR_STRING:
            message += f": {abi_decode(['string'], output[4:])[0]}"
        elif output[:4] == PANIC:
            message += f": panic code {hex(abi_decode(['uint256'], output[4:])[0])}"
    except Exception:  # noqa: BLE001 - a contract may revert with any bytes
        pass
    return RPCError(REVERTED, message, render.data(output))


def _reason(error: Exception) -> str:
    known = {
        "OutOfGas": "out of gas",
        "InvalidInstruction": "invalid opcode",
        "InvalidJumpDestination": "invalid jump destination",
        "InsufficientStack": "stack underflow",
        "FullStack": "stack limit reached 1024",
        "WriteProtection": "write protection",
        "InsufficientFunds": "insufficient funds for transfer",
        "OutOfBoundsRead": "return data out of bounds",
        "ContractCreationCollision": "contract address collision",
    }
    return known.get(type(error).__name__, f"{type(error).__name__}: {error}")
