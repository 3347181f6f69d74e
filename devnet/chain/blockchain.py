"""Blocks, state and forks: builds Prague blocks with py-evm and keeps every one it ever built.

Nothing is pruned: py-evm's trie database keeps old nodes, so the state of every block, also of
orphaned ones, stays readable. A block is identified by its hash; `canonical` is only the chain
that ends in the current head, and any known block can become the head.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import rlp
from eth.abc import ComputationAPI, ReceiptAPI
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.db.trie import make_trie_root_and_nodes
from eth.rlp.accounts import Account
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth.vm.forks.london.transactions import UnsignedDynamicFeeTransaction
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.prague.state import PragueState
from eth_bloom import BloomFilter
from eth_utils import ValidationError, keccak
from trie import HexaryTrie

from .errors import invalid_params, server_error
from .mempool import Mempool
from .transactions import TRANSACTION_GAS_CAP, Transaction, check_gas, decode

GAS_LIMIT = 36_000_000
GENESIS_BASE_FEE = 10**9
COINBASE = bytes.fromhex("00000000000000000000000000000000c01bba5e")
PREVIOUS_HASHES = 256  # what BLOCKHASH can see
CALL_GAS = 50_000_000  # geth's default cap for eth_call
GENESIS_AGE = 3_600  # seconds, so that the blocks of the set-up do not lead the clock


@dataclass(frozen=True, eq=False)
class Block:
    header: PragueBlockHeader
    transactions: tuple[Transaction, ...]
    receipts: tuple[ReceiptAPI, ...]

    @property
    def number(self) -> int:
        return self.header.block_number

    @property
    def hash(self) -> bytes:
        return self.header.hash

    @cached_property
    def size(self) -> int:
        """Bytes of the RLP of (header, transactions, no uncles, no withdrawals)."""
        transactions = [
            rlp.decode(t.raw) if t.type == 0 else t.raw for t in self.transactions
        ]
        return len(rlp.encode([rlp.decode(rlp.encode(self.header)), transactions, [], []]))

    def gas_used(self, index: int) -> int:
        """The gas of one transaction: receipts carry the cumulative figure."""
        before = self.receipts[index - 1].gas_used if index else 0
        return self.receipts[index].gas_used - before

    def first_log_index(self, index: int) -> int:
        return sum(len(receipt.logs) for receipt in self.receipts[:index])


@dataclass(frozen=True)
class Call:
    """The arguments of eth_call and eth_estimateGas, decoded."""

    sender: bytes
    to: bytes
    data: bytes
    value: int
    gas: int | None
    gas_price: int | None
    access_list: tuple


@dataclass(frozen=True)
class Snapshot:
    head: Block
    mempool: Mempool
    time_offset: int


class Blockchain:
    def __init__(self, chain_id: int, balances: dict[bytes, int], finality_lag: int) -> None:
        self.chain_id = chain_id
        self.automine = True
        self.time_offset = 0
        self.mempool = Mempool()
        self._next_timestamp: int | None = None
        self._finality_lag = finality_lag
        self._pinned_final: int | None = None
        self._arrivals = itertools.count()
        # Never taken back: a block that is mined again has another prevRandao, so another hash.
        self._mined = itertools.count(1)
        self._snapshots: dict[int, Snapshot] = {}
        self._snapshot_ids = itertools.count(1)
        self._db = AtomicDB()
        self._blocks: dict[bytes, Block] = {}
        self._mined_in: dict[bytes, tuple[Block, int]] = {}
        genesis = self._genesis(balances)
        self._blocks[genesis.hash] = genesis
        self.canonical: list[Block] = [genesis]

    # Reading

    @property
    def head(self) -> Block:
        return self.canonical[-1]

    @property
    def finalized(self) -> Block:
        if self._pinned_final is not None:
            return self.canonical[min(self._pinned_final, self.head.number)]
        return self.canonical[max(0, self.head.number - self._finality_lag)]

    def by_number(self, number: int) -> Block | None:
        return self.canonical[number] if 0 <= number <= self.head.number else None

    def by_hash(self, block_hash: bytes) -> Block | None:
        return self._blocks.get(block_hash)

    def is_canonical(self, block: Block) -> bool:
        return self.by_number(block.number) is block

    def mined(self, transaction_hash: bytes) -> tuple[Block, int] | None:
        """Block and index of a transaction, in the canonical chain only."""
        return self._mined_in.get(transaction_hash)

    def state_at(self, block: Block) -> PragueState:
        """The state after `block`, to read; nothing done to it is kept."""
        return self._state(block.header, block.header.state_root)

    def next_base_fee(self, block: Block) -> int:
        return calculate_expected_base_fee_per_gas(block.header)

    def next_nonce(self, sender: bytes) -> int:
        """The sender's nonce after what waits in the mempool without a gap."""
        return self.mempool.next_nonce(sender, self.state_at(self.head).get_nonce(sender))

    def account_proof(self, block: Block, address: bytes) -> tuple[Account, list[bytes]]:
        """The account and its Merkle proof (EIP-1186); an empty account proves its absence."""
        trie = HexaryTrie(self._db, block.header.state_root)
        encoded = trie.get(keccak(address))
        account = rlp.decode(encoded, Account) if encoded else Account()
        return account, _proof(trie, keccak(address))

    def storage_proof(self, account: Account, slot: int) -> tuple[int, list[bytes]]:
        if account.storage_root == BLANK_ROOT_HASH:
            return 0, []
        trie = HexaryTrie(self._db, account.storage_root)
        key = keccak(slot.to_bytes(32, "big"))
        encoded = trie.get(key)
        return (int.from_bytes(rlp.decode(encoded), "big") if encoded else 0), _proof(trie, key)

    # Executing without keeping

    def call(self, block: Block, call: Call) -> ComputationAPI:
        """Runs a call on the state after `block`, in that block's context, as geth does."""
        return self._execute(block, call, min(call.gas or CALL_GAS, CALL_GAS))[0]

    def estimate_gas(self, block: Block, call: Call) -> tuple[int, ComputationAPI]:
        """The least gas limit, within 1.5 %, with which the call succeeds (geth's search).

        When it fails with all the gas there is, that computation is returned with 0.
        """
        high = min(call.gas or TRANSACTION_GAS_CAP, TRANSACTION_GAS_CAP)
        if call.gas_price:
            available = self.state_at(block).get_balance(call.sender) - call.value
            high = min(high, max(available, 0) // call.gas_price)
        computation, used = self._execute(block, call, high)
        if computation.is_error:
            return 0, computation
        if not call.data and call.to and not self.state_at(block).get_code(call.to):
            return used, computation
        low = used - 1
        # A call's callee gets 63/64 of what is left (EIP-150): the first guess allows for that.
        guess = (used + computation.get_gas_refund() + 2_300) * 64 // 63
        while low + 1 < high:
            if (high - low) / high < 0.015:
                break
            middle = guess if low < guess < high else (low + high) // 2
            guess = 0
            if self._succeeds(block, call, middle):
                high = middle
            else:
                low = middle
        return high, computation

    def _succeeds(self, block: Block, call: Call, gas: int) -> bool:
        return not self._execute(block, call, gas)[0].is_error

    def _execute(self, block: Block, call: Call, gas: int) -> tuple[ComputationAPI, int]:
        header = block.header.copy(base_fee_per_gas=0)
        state = self._state(header, header.state_root)
        balance = state.get_balance(call.sender)
        cost = call.value + gas * (call.gas_price or 0)
        if balance < cost:
            raise server_error(
                "insufficient funds for gas * price + value: address "
                f"0x{call.sender.hex()} have {balance} want {cost}"
            )
        unsigned = UnsignedDynamicFeeTransaction(
            chain_id=self.chain_id,
            nonce=state.get_nonce(call.sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=gas,
            to=call.to,
            value=call.value,
            data=call.data,
            access_list=call.access_list,
        )
        check_gas(unsigned)
        transaction = _Unsigned(unsigned, call.sender)
        executor = state.get_transaction_executor()
        message = executor.build_evm_message(transaction)
        computation = executor.build_computation(message, transaction)
        executor.finalize_computation(transaction, computation)
        return computation, PragueVM.finalize_gas_used(transaction, computation)

    # Changing

    def send(self, raw: bytes) -> bytes:
        """Takes a raw transaction into the mempool, mines when automine is on; its hash."""
        transaction = decode(raw, self.chain_id, GAS_LIMIT, next(self._arrivals))
        state = self.state_at(self.head)
        self.mempool.add(
            transaction, state.get_nonce(transaction.sender), state.get_balance(transaction.sender)
        )
        if self.automine:
            self._mine_waiting()
        return transaction.hash

    def mine(self, count: int = 1, timestamp: int | None = None) -> None:
        """Mines blocks of what waits; the first one at `timestamp` (Unix seconds) if given."""
        if timestamp is not None:
            self.set_next_timestamp(timestamp)
        for _ in range(count):
            self._mine_block()

    def set_automine(self, on: bool) -> None:
        self.automine = on
        if on:
            self._mine_waiting()

    def set_next_timestamp(self, timestamp: int) -> None:
        if timestamp <= self.head.header.timestamp:
            raise invalid_params(
                f"timestamp {timestamp} is not after the head's {self.head.header.timestamp}"
            )
        self._next_timestamp = timestamp

    def snapshot(self) -> int:
        identifier = next(self._snapshot_ids)
        self._snapshots[identifier] = Snapshot(self.head, self.mempool.copy(), self.time_offset)
        return identifier

    def revert(self, identifier: int) -> bool:
        """Back to a snapshot: head, mempool and clock as they were; it and later ones are used."""
        snapshot = self._snapshots.get(identifier)
        if snapshot is None:
            return False
        self._snapshots = {i: s for i, s in self._snapshots.items() if i < identifier}
        self._move_head(snapshot.head)
        self.mempool = snapshot.mempool
        self.time_offset = snapshot.time_offset
        self._next_timestamp = None
        return True

    def set_head(self, block: Block) -> None:
        """Makes any known block the head, as a reorg does.

        Transactions of blocks left behind go back to the mempool unless the new chain has them.
        They are not mined by themselves, whatever automine says: who reorganises decides.
        """
        for transaction in self._move_head(block):
            if transaction.hash not in self._mined_in:
                self.mempool.put(transaction)
        self.mempool.prune(self.state_at(block).get_nonce)

    def set_finalized(self, number: int | None) -> None:
        """Pins `finalized` and `safe`; None lets them follow the head at the lag again."""
        if number is not None and not 0 <= number <= self.head.number:
            raise invalid_params(f"block {number} is above the head, {self.head.number}")
        self._pinned_final = number

    def _genesis(self, balances: dict[bytes, int]) -> Block:
        header = PragueBlockHeader(
            difficulty=0,
            block_number=0,
            gas_limit=GAS_LIMIT,
            timestamp=int(time.time()) - GENESIS_AGE,
            base_fee_per_gas=GENESIS_BASE_FEE,
            extra_data=b"ParalleliX dev chain",
            nonce=bytes(8),
        )
        state = self._state(header, BLANK_ROOT_HASH)
        for address, balance in balances.items():
            state.set_balance(address, balance)
        state.persist()
        return Block(header.copy(state_root=state.state_root), (), ())

    def _state(self, header: PragueBlockHeader, state_root: bytes) -> PragueState:
        context = ExecutionContext(
            coinbase=header.coinbase,
            timestamp=header.timestamp,
            block_number=header.block_number,
            difficulty=0,
            mix_hash=header.mix_hash,
            gas_limit=header.gas_limit,
            prev_hashes=self._ancestors(header),
            chain_id=self.chain_id,
            base_fee_per_gas=header.base_fee_per_gas,
            excess_blob_gas=header.excess_blob_gas,
        )
        return PragueState(self._db, context, state_root)

    def _ancestors(self, header: PragueBlockHeader) -> Iterator[bytes]:
        parent = self._blocks.get(header.parent_hash)
        for _ in range(PREVIOUS_HASHES):
            if parent is None:
                return
            yield parent.hash
            parent = self._blocks.get(parent.header.parent_hash)

    def _timestamp(self) -> int:
        chosen, self._next_timestamp = self._next_timestamp, None
        clock = int(time.time()) + self.time_offset
        return chosen or max(self.head.header.timestamp + 1, clock)

    def _mine_waiting(self) -> None:
        while self.mempool.best(
            self.next_base_fee(self.head), self.state_at(self.head).get_nonce, set()
        ):
            self._mine_block()

    def _mine_block(self) -> None:
        parent = self.head
        sequence = next(self._mined)
        header = PragueBlockHeader(
            difficulty=0,
            block_number=parent.number + 1,
            gas_limit=GAS_LIMIT,
            timestamp=self._timestamp(),
            coinbase=COINBASE,
            parent_hash=parent.hash,
            extra_data=b"ParalleliX dev chain",
            mix_hash=keccak(b"dev chain block " + sequence.to_bytes(8, "big")),
            nonce=bytes(8),
            base_fee_per_gas=self.next_base_fee(parent),
        )
        state = self._state(header, parent.header.state_root)
        mined: list[Transaction] = []
        receipts: list[ReceiptAPI] = []
        full: set[bytes] = set()
        while transaction := self.mempool.best(header.base_fee_per_gas, state.get_nonce, full):
            if transaction.signed.gas > GAS_LIMIT - header.gas_used:
                full.add(transaction.sender)
                continue
            state.lock_changes()
            self.mempool.remove(transaction.hash)
            try:
                computation = state.apply_transaction(transaction.signed)
            except ValidationError:
                # What was affordable when it came no longer is: dropped, as geth does.
                continue
            receipt = PragueVM.make_receipt(header, transaction.signed, computation, state)
            header = header.copy(
                gas_used=receipt.gas_used, bloom=int(BloomFilter(header.bloom) | receipt.bloom)
            )
            mined.append(transaction)
            receipts.append(receipt)
        state.persist()
        header = header.copy(
            state_root=state.state_root,
            transaction_root=make_trie_root_and_nodes([t.signed for t in mined])[0],
            receipt_root=make_trie_root_and_nodes(receipts)[0],
        )
        block = Block(header, tuple(mined), tuple(receipts))
        self._blocks[block.hash] = block
        self._append(block)

    def _append(self, block: Block) -> None:
        self.canonical.append(block)
        for index, transaction in enumerate(block.transactions):
            self._mined_in[transaction.hash] = (block, index)

    def _move_head(self, block: Block) -> list[Transaction]:
        """Makes `block` the head; the transactions of the blocks that were left, in order."""
        branch: list[Block] = []
        while not self.is_canonical(block):
            branch.append(block)
            block = self._blocks[block.header.parent_hash]
        left = self.canonical[block.number + 1 :]
        del self.canonical[block.number + 1 :]
        orphaned = [transaction for old in left for transaction in old.transactions]
        for transaction in orphaned:
            del self._mined_in[transaction.hash]
        for new in reversed(branch):
            self._append(new)
        return orphaned


class _Unsigned:
    """An unsigned transaction with the sender it pretends to have, as the executor reads it."""

    type_id = 2

    def __init__(self, unsigned: UnsignedDynamicFeeTransaction, sender: bytes) -> None:
        self._unsigned = unsigned
        self.sender = sender
        # The executor's debug line asks for a signature.
        self.r = self.s = self.y_parity = 0

    def __getattr__(self, name: str):
        return getattr(self._unsigned, name)


def _proof(trie: HexaryTrie, key: bytes) -> list[bytes]:
    """Nodes from the root to the key; one that is embedded in its parent is not repeated."""
    nodes = [rlp.encode(node) for node in trie.get_proof(key)]
    return [node for index, node in enumerate(nodes) if index == 0 or len(node) >= 32]
