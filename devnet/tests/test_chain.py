"""Blocks, proofs, forks and the mempool, as a client of JSON-RPC sees them."""

import os
import signal
import subprocess
import sys
import time

import pytest
import rlp
from eth_utils import keccak
from helpers import GWEI, PRLX, Devnet, RPCFailure, call_data
from trie import HexaryTrie

TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
# The fields of a Prague header in the order in which they hash, with geth's JSON names.
HASHES = "parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom".split()
HEADER = [
    *HASHES,
    *"difficulty number gasLimit gasUsed timestamp extraData mixHash nonce baseFeePerGas".split(),
    *"withdrawalsRoot blobGasUsed excessBlobGas parentBeaconBlockRoot requestsHash".split(),
]
QUANTITIES = {
    *"difficulty number gasLimit gasUsed timestamp baseFeePerGas".split(),
    *"blobGasUsed excessBlobGas".split(),
}


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def encode_header(block: dict) -> bytes:
    fields = [
        int(block[name], 16) if name in QUANTITIES else raw(block[name]) for name in HEADER
    ]
    return rlp.encode(fields)


def trie_root(items: list[bytes]) -> bytes:
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return trie.root_hash


def encode_receipt(receipt: dict) -> bytes:
    logs = [
        [raw(log["address"]), [raw(topic) for topic in log["topics"]], raw(log["data"])]
        for log in receipt["logs"]
    ]
    fields = [
        int(receipt["status"], 16),
        int(receipt["cumulativeGasUsed"], 16),
        raw(receipt["logsBloom"]),
        logs,
    ]
    kind = int(receipt["type"], 16)
    return (bytes([kind]) if kind else b"") + rlp.encode(fields)


def refusal(devnet: Devnet, sender, **fields) -> str:
    with pytest.raises(RPCFailure) as caught:
        devnet.send(sender, **fields)
    assert caught.value.code == -32000
    return caught.value.message


def token_transfer(devnet: Devnet, sender, amount: int, **fields) -> str:
    """Sends tokens from `sender` to the second user."""
    data = call_data("transfer(address,uint256)", devnet.account("user", 1).address, amount)
    return devnet.send(sender, to=devnet.token, data=data, gas=100_000, **fields)


# Blocks


def test_the_chain_starts_as_it_says(devnet):
    ready = devnet.ready
    assert devnet.number("eth_chainId") == ready["chain_id"] == 31337
    roles = [account["role"] for account in ready["accounts"]]
    for role in "deployer planner settler approver1 approver2 treasury infrastructure".split():
        assert roles.count(role) == 1
    assert roles.count("user") == 5 and roles.count("operator") == 4
    before, start = hex(ready["start_block"] - 1), hex(ready["start_block"])
    assert devnet.rpc("eth_getCode", ready["vault"], before) == "0x"
    assert devnet.rpc("eth_getCode", ready["vault"], start) != "0x"
    for account in ready["accounts"]:
        assert devnet.number("eth_getBalance", account["address"], "latest") > 10**18


def test_every_header_hashes_to_its_hash_and_links_to_its_parent(devnet):
    user = devnet.account("user")
    token_transfer(devnet, user, 1)
    devnet.rpc("evm_mine", {"blocks": 3})
    parent = "0x" + "00" * 32
    for number in range(devnet.number("eth_blockNumber") + 1):
        block = devnet.rpc("eth_getBlockByNumber", hex(number), False)
        header = encode_header(block)
        assert "0x" + keccak(header).hex() == block["hash"]
        assert devnet.rpc("debug_getRawHeader", hex(number)) == "0x" + header.hex()
        assert block["parentHash"] == parent
        assert devnet.rpc("eth_getBlockByHash", block["hash"], False) == block
        parent = block["hash"]


def test_receipts_and_transactions_rebuild_the_roots(devnet):
    devnet.rpc("evm_setAutomine", False)
    sent = [
        token_transfer(devnet, devnet.account("user"), 1),
        token_transfer(devnet, devnet.account("user", 1), 2, gasPrice=3 * GWEI),
        # Reverts: more than there is.
        token_transfer(devnet, devnet.account("user", 2), 10**9 * PRLX),
        devnet.send(
            devnet.account("user", 3),
            gasPrice=2 * GWEI,
            accessList=[{"address": devnet.token, "storageKeys": ["0x" + "01".rjust(64, "0")]}],
            gas=40_000,
        ),
    ]
    devnet.rpc("evm_mine")
    block = devnet.rpc("eth_getBlockByNumber", "latest", True)
    receipts = devnet.rpc("eth_getBlockReceipts", block["hash"])
    assert {r["transactionHash"] for r in receipts} == set(sent)
    assert sorted(r["type"] for r in receipts) == ["0x0", "0x1", "0x2", "0x2"]
    assert sorted(r["status"] for r in receipts) == ["0x0", "0x1", "0x1", "0x1"]
    encoded = [encode_receipt(receipt) for receipt in receipts]
    assert "0x" + trie_root(encoded).hex() == block["receiptsRoot"]
    raw_receipts = devnet.rpc("debug_getRawReceipts", block["number"])
    assert raw_receipts == ["0x" + receipt.hex() for receipt in encoded]
    transactions = [
        raw(devnet.rpc("debug_getRawTransaction", transaction["hash"]))
        for transaction in block["transactions"]
    ]
    assert "0x" + trie_root(transactions).hex() == block["transactionsRoot"]
    bloom = 0
    for index, receipt in enumerate(receipts):
        bloom |= int(receipt["logsBloom"], 16)
        assert receipt["transactionIndex"] == hex(index)
        assert receipt == devnet.rpc("eth_getTransactionReceipt", receipt["transactionHash"])
        assert block["transactions"][index] == devnet.rpc(
            "eth_getTransactionByHash", receipt["transactionHash"]
        )
    assert bloom == int(block["logsBloom"], 16)
    logs = [log for receipt in receipts for log in receipt["logs"]]
    assert [int(log["logIndex"], 16) for log in logs] == [0, 1]
    assert devnet.rpc("eth_getLogs", {"blockHash": block["hash"]}) == logs
    assert sum(int(r["gasUsed"], 16) for r in receipts) == int(block["gasUsed"], 16)


def test_a_sender_pays_exactly_what_the_receipt_says(devnet):
    user = devnet.account("user")
    before = devnet.number("eth_getBalance", user.address, "latest")
    # Much calldata, little execution: EIP-7623's floor decides what is paid.
    for fields in ({"value": 5, "data": "0x" + "ff" * 1_000, "gas": 100_000}, {"value": 7}):
        receipt = devnet.receipt(devnet.send(user, to=devnet.account("operator").address, **fields))
        paid = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        after = devnet.number("eth_getBalance", user.address, "latest")
        assert before - after == paid + fields["value"]
        before = after


def test_a_log_is_found_by_every_filter_that_fits(devnet):
    user, other = devnet.account("user"), devnet.account("user", 1)
    sent = token_transfer(devnet, user, 123)
    [log] = devnet.receipt(sent)["logs"]
    sender, receiver = ("0x" + a.address[2:].lower().rjust(64, "0") for a in (user, other))
    number, block_hash = log["blockNumber"], log["blockHash"]
    here = {"fromBlock": number, "toBlock": number}
    fits = [
        here,
        {},
        {"blockHash": block_hash},
        here | {"address": devnet.token},
        here | {"address": [devnet.vault, devnet.token]},
        here | {"topics": [TRANSFER]},
        here | {"topics": [None, sender]},
        here | {"topics": [[TRANSFER, sender], None, [sender, receiver]]},
        {"fromBlock": "earliest", "toBlock": "latest", "topics": [TRANSFER, sender]},
        {"fromBlock": number, "toBlock": "0xffffff"},
    ]
    for criteria in fits:
        assert devnet.rpc("eth_getLogs", criteria) == [log], criteria
    for criteria in [
        here | {"address": devnet.vault},
        here | {"topics": [sender]},
        here | {"topics": [None, receiver]},
        here | {"topics": [None, None, None, None]},
        {"fromBlock": "earliest", "toBlock": hex(int(number, 16) - 1), "topics": [None, sender]},
    ]:
        assert devnet.rpc("eth_getLogs", criteria) == [], criteria


def test_a_bad_log_filter_is_refused(devnet):
    zero = "0x" + "00" * 32
    for criteria, code in [
        ({"fromBlock": "0x2", "toBlock": "0x1"}, -32602),
        ({"fromBlock": "0x1", "blockHash": zero}, -32602),
        ({"blockHash": zero}, -32000),
        ({"topics": ["0x01"]}, -32602),
        ({"topics": [None] * 5}, -32602),
        ({"address": "nobody"}, -32602),
        ({"fromBlock": -1}, -32602),
        ([], -32602),
    ]:
        with pytest.raises(RPCFailure) as caught:
            devnet.rpc("eth_getLogs", criteria)
        assert caught.value.code == code, criteria


def test_providers_limits_on_logs_can_be_had(start_devnet):
    devnet = start_devnet("--max-log-range", "10", "--max-log-results", "3")
    devnet.rpc("evm_mine", {"blocks": 20})
    assert devnet.rpc("eth_getLogs", {"fromBlock": "0xa", "toBlock": "0x13"}) == []
    with pytest.raises(RPCFailure, match="exceed maximum block range: 10") as caught:
        devnet.rpc("eth_getLogs", {"fromBlock": "0xa", "toBlock": "0x14"})
    assert caught.value.code == -32602
    with pytest.raises(RPCFailure, match=r"more than 3 results.*\[0x1, 0x1\]") as caught:
        devnet.rpc("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x5"})
    assert caught.value.code == -32005


# State


def verify(root: bytes, key: bytes, proof: list[str]) -> bytes:
    return HexaryTrie.get_from_proof(root, keccak(key), [rlp.decode(raw(node)) for node in proof])


def test_proofs_of_account_and_storage_verify_against_old_headers_too(devnet):
    user, nobody = devnet.account("user"), "0x" + "77" * 20
    devnet.transact(user, devnet.token, "approve(address,uint256)", devnet.vault, 1_000)
    blocks = []
    for _ in range(2):
        devnet.transact(user, devnet.vault, "deposit(uint256)", 100)
        blocks.append(devnet.rpc("eth_blockNumber"))
    # Which slot holds the vault's accounts is the compiler's choice: one of the first few does.
    for number, deposited in zip(blocks, (100, 200), strict=True):
        root = raw(devnet.rpc("eth_getBlockByNumber", number, False)["stateRoot"])
        slots = [
            keccak(slot.to_bytes(32, "big") + raw(user.address).rjust(32, b"\0")).hex()
            for slot in range(4)
        ] + ["ee" * 32]
        proof = devnet.rpc("eth_getProof", devnet.vault, ["0x" + s for s in slots], number)
        account = rlp.decode(verify(root, raw(devnet.vault), proof["accountProof"]))
        assert account[2] == raw(proof["storageHash"]) and account[3] == raw(proof["codeHash"])
        values = []
        for entry in proof["storageProof"]:
            found = verify(account[2], raw(entry["key"]), entry["proof"])
            value = int.from_bytes(rlp.decode(found), "big") if found else 0
            assert value == int(entry["value"], 16)
            assert value == devnet.number("eth_getStorageAt", devnet.vault, entry["key"], number)
            values.append(value)
        assert values.count(deposited) == 1 and values[-1] == 0
        assert devnet.view(devnet.vault, "balanceOf(address)", user.address, block=number) == (
            deposited
        )
        absent = devnet.rpc("eth_getProof", nobody, [], number)
        assert verify(root, raw(nobody), absent["accountProof"]) == b""
        assert (absent["balance"], absent["nonce"]) == ("0x0", "0x0")


def test_a_failed_call_says_why_as_geth_does(devnet):
    user = devnet.account("user")
    call = {"from": user.address, "to": devnet.vault, "data": call_data("withdraw(uint256)", 9)}
    for method in ("eth_call", "eth_estimateGas"):
        with pytest.raises(RPCFailure) as caught:
            devnet.rpc(method, call)
        assert caught.value.code == 3
        assert caught.value.message == "execution reverted: withdraw exceeds balance"
        assert caught.value.data.startswith("0x08c379a0")
    with pytest.raises(RPCFailure, match="header not found"):
        devnet.rpc("eth_call", call, "0xffff")
    with pytest.raises(RPCFailure, match="insufficient funds for gas"):
        devnet.rpc("eth_call", {"from": user.address, "to": user.address, "value": "0x" + "f" * 30})


def test_an_estimate_is_enough_and_little_more(devnet):
    user = devnet.account("user")
    devnet.transact(user, devnet.token, "approve(address,uint256)", devnet.vault, 1_000)
    data = call_data("deposit(uint256)", 100)
    gas = devnet.number("eth_estimateGas", {"from": user.address, "to": devnet.vault, "data": data})
    receipt = devnet.receipt(devnet.send(user, to=devnet.vault, data=data, gas=gas))
    assert receipt["status"] == "0x1"
    assert gas <= int(receipt["gasUsed"], 16) * 1.05
    plain = {"from": user.address, "to": devnet.account("operator").address, "value": "0x1"}
    assert devnet.number("eth_estimateGas", plain) == 21_000


def test_fees_have_the_shape_of_geths(devnet):
    token_transfer(devnet, devnet.account("user"), 1)
    history = devnet.rpc("eth_feeHistory", "0x3", "latest", [10, 50, 90])
    head = devnet.number("eth_blockNumber")
    assert int(history["oldestBlock"], 16) == head - 2
    assert len(history["baseFeePerGas"]) == 4 and len(history["gasUsedRatio"]) == 3
    assert [len(rewards) for rewards in history["reward"]] == [3, 3, 3]
    assert history["reward"][-1] == [hex(GWEI)] * 3
    latest = devnet.rpc("eth_getBlockByNumber", "latest", False)
    assert history["baseFeePerGas"][-2] == latest["baseFeePerGas"]
    devnet.rpc("evm_mine")
    mined = devnet.rpc("eth_getBlockByNumber", "latest", False)
    assert history["baseFeePerGas"][-1] == mined["baseFeePerGas"]
    assert devnet.number("eth_maxPriorityFeePerGas") == GWEI
    assert devnet.number("eth_gasPrice") > GWEI


def test_the_base_fee_rises_after_a_full_block_and_falls_after_an_empty_one(devnet):
    fee = devnet.number("eth_gasPrice")
    devnet.rpc("evm_mine")
    assert devnet.number("eth_gasPrice") < fee
    devnet.rpc("evm_setAutomine", False)
    # 600,000 bytes of calldata are 24 million gas: two thirds of a block.
    for index in range(5):
        data = "0x" + "ff" * 120_000
        devnet.send(devnet.account("user", index), data=data, gas=5_000_000)
    fee = devnet.number("eth_gasPrice")
    devnet.rpc("evm_mine")
    assert devnet.number("eth_gasPrice") > fee


# Mempool


def test_a_gap_in_the_nonces_waits_until_it_is_filled(devnet):
    user = devnet.account("user")
    second = devnet.send(user, nonce=1)
    assert devnet.rpc("eth_getTransactionReceipt", second) is None
    assert devnet.rpc("eth_getTransactionByHash", second)["blockHash"] is None
    assert devnet.number("eth_getTransactionCount", user.address, "pending") == 0
    first = devnet.send(user, nonce=0)
    block = devnet.receipt(first)["blockNumber"]
    assert devnet.receipt(second)["blockNumber"] == block
    assert devnet.number("eth_getTransactionCount", user.address, "latest") == 2


def test_a_replacement_must_raise_both_fees_by_a_tenth(devnet):
    user = devnet.account("user")
    devnet.rpc("evm_setAutomine", False)

    def fees(cap: int, tip: int) -> dict:
        return {"nonce": 0, "maxFeePerGas": cap, "maxPriorityFeePerGas": tip, "value": 1}

    first = devnet.send(user, **fees(10_000_000_000, 1_000_000_000))
    for cap, tip in [
        (11_000_000_000, 1_099_999_999),
        (10_999_999_999, 1_100_000_000),
        (20_000_000_000, 1_000_000_000),
        (10_000_000_000, 2_000_000_000),
    ]:
        assert refusal(devnet, user, **fees(cap, tip)) == "replacement transaction underpriced"
    assert refusal(devnet, user, **fees(10_000_000_000, 1_000_000_000)) == "already known"
    second = devnet.send(user, **fees(11_000_000_000, 1_100_000_000))
    assert devnet.number("eth_getTransactionCount", user.address, "pending") == 1
    devnet.rpc("evm_mine")
    assert devnet.receipt(second)["status"] == "0x1"
    assert devnet.rpc("eth_getTransactionByHash", first) is None


def test_refusals_have_geths_words(devnet):
    user, poor = devnet.account("user"), devnet.account("user", 1)
    devnet.send(user)
    cap = 16_777_216
    assert refusal(devnet, user, nonce=0) == "nonce too low: next nonce 1, tx nonce 0"
    assert refusal(devnet, user, gas=20_999) == (
        "intrinsic gas too low: gas 20999, minimum needed 21000"
    )
    assert refusal(devnet, user, gas=cap + 1) == (
        f"transaction gas limit too high (cap: {cap}, tx: {cap + 1})"
    )
    devnet.receipt(devnet.send(user, gas=cap))
    assert refusal(devnet, poor, value=10**24).startswith(
        "insufficient funds for gas * price + value: balance "
    )
    assert refusal(devnet, user, data="0x" + "ff" * 1_000, gas=37_100).startswith(
        "insufficient gas for floor data gas cost"
    )
    assert refusal(devnet, user, chainId=1).startswith("invalid sender: invalid chain id")
    assert refusal(devnet, user, maxFeePerGas=1, maxPriorityFeePerGas=2).startswith(
        "max priority fee per gas higher than max fee per gas"
    )
    for hostile in ("0x", "0x02", "0x03c0", "0x05", "0xc0", "0xf8", "0x02f8ff", "0x00"):
        with pytest.raises(RPCFailure):
            devnet.rpc("eth_sendRawTransaction", hostile)


def test_a_fee_under_the_base_fee_waits(devnet):
    user = devnet.account("user")
    waiting = devnet.send(user, maxFeePerGas=1_000, maxPriorityFeePerGas=1)
    devnet.rpc("evm_mine")
    assert devnet.rpc("eth_getTransactionReceipt", waiting) is None
    base = devnet.number("eth_gasPrice")
    devnet.rpc("evm_mine", {"blocks": 130})
    assert base > devnet.number("eth_gasPrice")
    assert devnet.receipt(waiting)["status"] == "0x1"


def test_a_dropped_transaction_is_gone(devnet):
    devnet.rpc("evm_setAutomine", False)
    sent = devnet.send(devnet.account("user"))
    assert devnet.rpc("dev_dropTransaction", sent) is True
    assert devnet.rpc("dev_dropTransaction", sent) is False
    devnet.rpc("evm_mine")
    assert devnet.rpc("eth_getTransactionByHash", sent) is None


def test_the_better_tip_goes_first(devnet):
    devnet.rpc("evm_setAutomine", False)
    low = devnet.send(devnet.account("user"), maxPriorityFeePerGas=GWEI)
    high = devnet.send(devnet.account("user", 1), maxPriorityFeePerGas=2 * GWEI)
    devnet.rpc("evm_mine")
    assert devnet.rpc("eth_getBlockByNumber", "latest", False)["transactions"] == [high, low]


# Forks, clock and finality


def test_a_mined_again_transaction_is_in_another_block(devnet):
    user = devnet.account("user")
    snapshot = devnet.rpc("evm_snapshot")
    signed = devnet.sign(user)
    transaction = "0x" + signed.raw_transaction.hex()
    sent = devnet.rpc("eth_sendRawTransaction", transaction)
    old = devnet.receipt(sent)
    assert devnet.rpc("evm_revert", snapshot) is True
    assert devnet.rpc("evm_revert", snapshot) is False
    assert devnet.rpc("eth_getTransactionReceipt", sent) is None
    assert devnet.rpc("eth_sendRawTransaction", transaction) == sent
    new = devnet.receipt(sent)
    assert new["blockNumber"] == old["blockNumber"]
    assert new["blockHash"] != old["blockHash"]
    # The orphan can still be asked for by its hash, as with a real node.
    assert devnet.rpc("eth_getBlockByHash", old["blockHash"], False)["transactions"] == [sent]
    assert devnet.rpc("eth_getBlockReceipts", old["blockHash"]) == [old]
    with pytest.raises(RPCFailure, match="not currently canonical"):
        where = {"blockHash": old["blockHash"], "requireCanonical": True}
        devnet.rpc("eth_getBalance", user.address, where)


def test_empty_blocks_mined_again_differ_too(devnet):
    snapshot = devnet.rpc("evm_snapshot")
    hashes = set()
    for _ in range(2):
        snapshot = devnet.rpc("evm_snapshot")
        timestamp = int(devnet.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) + 50
        devnet.rpc("evm_mine", timestamp)
        hashes.add(devnet.rpc("eth_getBlockByNumber", "latest", False)["hash"])
        devnet.rpc("evm_revert", snapshot)
    assert len(hashes) == 2


def test_the_head_can_move_between_forks_and_gives_transactions_back(devnet):
    user = devnet.account("user")
    base = devnet.rpc("eth_getBlockByNumber", "latest", False)
    sent = token_transfer(devnet, user, 5)
    devnet.rpc("evm_mine")
    first = devnet.rpc("eth_getBlockByNumber", "latest", False)
    devnet.rpc("dev_setHead", base["hash"])
    assert devnet.rpc("eth_getTransactionReceipt", sent) is None
    assert devnet.number("eth_getTransactionCount", user.address, "latest") == 0
    assert devnet.number("eth_getTransactionCount", user.address, "pending") == 1
    devnet.rpc("evm_mine", {"blocks": 2})
    second = devnet.rpc("eth_getBlockByNumber", "latest", False)
    assert second["number"] == first["number"] and second["hash"] != first["hash"]
    again = devnet.receipt(sent)
    devnet.rpc("dev_setHead", first["hash"])
    assert devnet.rpc("eth_getBlockByNumber", "latest", False) == first
    assert devnet.receipt(sent)["blockHash"] != again["blockHash"]
    logs = devnet.rpc("eth_getLogs", {"fromBlock": base["number"], "toBlock": "latest"})
    assert [log["blockHash"] for log in logs] == [devnet.receipt(sent)["blockHash"]]


def test_finalized_follows_the_head_until_it_is_pinned(devnet):
    def tagged(tag: str) -> int:
        return int(devnet.rpc("eth_getBlockByNumber", tag, False)["number"], 16)

    devnet.rpc("evm_mine", {"blocks": 5})
    head = devnet.number("eth_blockNumber")
    assert tagged("finalized") == tagged("safe") == head - 2
    assert devnet.number("dev_setFinalized", hex(head)) == head
    devnet.rpc("evm_mine", {"blocks": 5})
    assert tagged("finalized") == tagged("safe") == head
    with pytest.raises(RPCFailure, match="above the head"):
        devnet.rpc("dev_setFinalized", head + 6)
    assert devnet.number("dev_setFinalized", None) == head + 3


def test_time_can_be_moved_forward(devnet):
    def timestamp() -> int:
        return int(devnet.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    devnet.rpc("evm_increaseTime", 86_400)
    devnet.rpc("evm_mine")
    assert abs(timestamp() - time.time() - 86_400) < 60
    chosen = timestamp() + 1_000
    devnet.rpc("evm_mine", {"blocks": 2, "timestamp": chosen})
    assert timestamp() == chosen + 1
    with pytest.raises(RPCFailure, match="is not after"):
        devnet.rpc("evm_mine", chosen)


# The process


def test_blocks_come_by_the_clock_when_asked(start_devnet):
    devnet = start_devnet("--block-time", "0.1", "--finality-lag", "0")
    sent = devnet.send(devnet.account("user"))
    deadline = time.monotonic() + 10
    while devnet.rpc("eth_getTransactionReceipt", sent) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert devnet.number("eth_blockNumber") > devnet.ready["start_block"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_on_a_signal(start_devnet, number):
    devnet = start_devnet()
    devnet.process.send_signal(number)
    assert devnet.process.wait(timeout=10) == 0


def test_it_ends_with_its_parent_when_asked():
    run = os.path.join(os.path.dirname(__file__), "..", "run")
    script = (
        "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE);"
        "p.stdout.readline(); print(p.pid, flush=True)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", script, run, "--die-with-parent"],
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    child = int(parent.stdout)
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{child}") and _state(child) != "Z":
        assert time.monotonic() < deadline, "the orphan lives on"
        time.sleep(0.05)


def _state(process: int) -> str:
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"
