"""Blocks, transactions, receipts and logs as geth renders them in JSON."""

from collections.abc import Callable

from eth.rlp.logs import Log

from .blockchain import Block
from .transactions import Transaction


def quantity(value: int) -> str:
    return hex(value)


def data(value: bytes) -> str:
    return "0x" + value.hex()


def address(value: bytes) -> str:
    return "0x" + value.hex()


def bloom(value: int) -> str:
    return data(value.to_bytes(256, "big"))


def block(it: Block, full: bool) -> dict:
    header = it.header
    return {
        "number": quantity(it.number),
        "hash": data(it.hash),
        "parentHash": data(header.parent_hash),
        "nonce": data(header.nonce),
        "sha3Uncles": data(header.uncles_hash),
        "logsBloom": bloom(header.bloom),
        "transactionsRoot": data(header.transaction_root),
        "stateRoot": data(header.state_root),
        "receiptsRoot": data(header.receipt_root),
        "miner": address(header.coinbase),
        "difficulty": quantity(header.difficulty),
        "extraData": data(header.extra_data),
        "size": quantity(it.size),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "mixHash": data(header.mix_hash),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "withdrawalsRoot": data(header.withdrawals_root),
        "blobGasUsed": quantity(header.blob_gas_used),
        "excessBlobGas": quantity(header.excess_blob_gas),
        "parentBeaconBlockRoot": data(header.parent_beacon_block_root),
        "requestsHash": data(header.requests_hash),
        "uncles": [],
        "withdrawals": [],
        "transactions": [
            mined_transaction(it, index) if full else data(transaction.hash)
            for index, transaction in enumerate(it.transactions)
        ],
    }


def pending_block(
    parent: Block, base_fee: int, transactions: list[Transaction], full: bool
) -> dict:
    """The block that would come next: what is not known before it is mined is null."""
    rendered = block(parent, False)
    unknown = ("hash", "nonce", "miner", "stateRoot", "receiptsRoot", "transactionsRoot", "mixHash")
    rendered |= dict.fromkeys(unknown)
    return rendered | {
        "number": quantity(parent.number + 1),
        "parentHash": data(parent.hash),
        "logsBloom": bloom(0),
        "gasUsed": quantity(0),
        "timestamp": quantity(parent.header.timestamp + 1),
        "baseFeePerGas": quantity(base_fee),
        "transactions": [
            pending_transaction(it, base_fee) if full else data(it.hash) for it in transactions
        ],
    }


def mined_transaction(it: Block, index: int) -> dict:
    transaction = it.transactions[index]
    price = transaction.effective_gas_price(it.header.base_fee_per_gas)
    return _transaction(transaction, price) | {
        "blockHash": data(it.hash),
        "blockNumber": quantity(it.number),
        "transactionIndex": quantity(index),
    }


def pending_transaction(it: Transaction, base_fee: int) -> dict:
    place = dict.fromkeys(("blockHash", "blockNumber", "transactionIndex"))
    return _transaction(it, it.signed.max_fee_per_gas) | place


def _transaction(it: Transaction, gas_price: int) -> dict:
    signed = it.signed
    rendered = {
        "hash": data(it.hash),
        "type": quantity(it.type),
        "chainId": quantity(signed.chain_id),
        "nonce": quantity(signed.nonce),
        "from": address(it.sender),
        "to": address(signed.to) if signed.to else None,
        "value": quantity(signed.value),
        "input": data(signed.data),
        "gas": quantity(signed.gas),
        "gasPrice": quantity(gas_price),
        "v": quantity(signed.v if it.type == 0 else signed.y_parity),
        "r": quantity(signed.r),
        "s": quantity(signed.s),
    }
    if it.type >= 1:
        rendered["yParity"] = quantity(signed.y_parity)
        rendered["accessList"] = [
            {
                "address": address(account),
                "storageKeys": [data(slot.to_bytes(32, "big")) for slot in slots],
            }
            for account, slots in signed.access_list
        ]
    if it.type == 2:
        rendered["maxFeePerGas"] = quantity(signed.max_fee_per_gas)
        rendered["maxPriorityFeePerGas"] = quantity(signed.max_priority_fee_per_gas)
    return rendered


def receipt(it: Block, index: int) -> dict:
    transaction, mined = it.transactions[index], it.receipts[index]
    return {
        "transactionHash": data(transaction.hash),
        "transactionIndex": quantity(index),
        "blockHash": data(it.hash),
        "blockNumber": quantity(it.number),
        "from": address(transaction.sender),
        "to": address(transaction.signed.to) if transaction.signed.to else None,
        "cumulativeGasUsed": quantity(mined.gas_used),
        "gasUsed": quantity(it.gas_used(index)),
        "effectiveGasPrice": quantity(
            transaction.effective_gas_price(it.header.base_fee_per_gas)
        ),
        "contractAddress": address(transaction.creates) if transaction.creates else None,
        "logs": logs(it, index),
        "logsBloom": bloom(mined.bloom),
        "status": quantity(1 if mined.state_root == b"\x01" else 0),
        "type": quantity(transaction.type),
    }


def logs(it: Block, index: int, wanted: Callable[[Log], bool] = lambda _: True) -> list[dict]:
    """The wanted logs of one transaction; `logIndex` counts all of the block's."""
    first = it.first_log_index(index)
    return [
        {
            "address": address(log.address),
            "topics": [data(topic.to_bytes(32, "big")) for topic in log.topics],
            "data": data(log.data),
            "blockNumber": quantity(it.number),
            "blockHash": data(it.hash),
            "blockTimestamp": quantity(it.header.timestamp),
            "transactionHash": data(it.transactions[index].hash),
            "transactionIndex": quantity(index),
            "logIndex": quantity(first + position),
            "removed": False,
        }
        for position, log in enumerate(it.receipts[index].logs)
        if wanted(log)
    ]
