"""A running dev chain as tests see it: raw JSON-RPC, signed transactions, contract calls."""

import json
import subprocess
import urllib.request
from typing import Any

from eth_abi import decode, encode
from eth_account import Account
from eth_utils import keccak

GWEI = 10**9
PRLX = 10**18


class RPCFailure(Exception):
    def __init__(self, error: dict) -> None:
        super().__init__(error["message"])
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")


class Devnet:
    def __init__(self, process: subprocess.Popen, ready: dict) -> None:
        self.process = process
        self.ready = ready
        self.url = ready["rpc_url"]
        self.token = ready["token"]
        self.vault = ready["vault"]

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(timeout=10)
        self.process.stdout.close()
        return code

    def account(self, role: str, index: int = 0) -> Any:
        keys = [a["key"] for a in self.ready["accounts"] if a["role"] == role]
        return Account.from_key(keys[index])

    def post(self, body: bytes) -> Any:
        request = urllib.request.Request(
            self.url, data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = response.read()
        return json.loads(answer) if answer else None

    def rpc(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self.post(json.dumps(request).encode())
        if "error" in answer:
            raise RPCFailure(answer["error"])
        return answer["result"]

    def number(self, method: str, *params: Any) -> int:
        return int(self.rpc(method, *params), 16)

    # Transactions

    def sign(self, sender: Any, **fields: Any) -> Any:
        """Signs a transaction (EIP-1559 unless `gasPrice` is given) with sensible defaults."""
        transaction = {
            "chainId": self.ready["chain_id"],
            "gas": 21_000,
            "to": sender.address,
            "value": 0,
        }
        if "nonce" not in fields:
            transaction["nonce"] = self.number("eth_getTransactionCount", sender.address, "pending")
        if "gasPrice" not in fields:
            transaction |= {"maxFeePerGas": 10 * GWEI, "maxPriorityFeePerGas": GWEI}
        return sender.sign_transaction(transaction | fields)

    def send(self, sender: Any, **fields: Any) -> str:
        signed = self.sign(sender, **fields)
        return self.rpc("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())

    def receipt(self, transaction_hash: str) -> dict:
        receipt = self.rpc("eth_getTransactionReceipt", transaction_hash)
        assert receipt is not None, "not mined"
        return receipt

    # Contracts

    def transact(
        self, sender: Any, to: str, signature: str, *arguments: Any, gas: int = 1_000_000
    ) -> dict:
        """Sends a contract call whatever becomes of it; the receipt."""
        data = call_data(signature, *arguments)
        return self.receipt(self.send(sender, to=to, data=data, gas=gas))

    def view(self, to: str, signature: str, *arguments: Any, block: Any = "latest") -> int:
        call = {"to": to, "data": call_data(signature, *arguments)}
        return self.number("eth_call", call, block)

    def revert_reason(self, sender: Any, to: str, signature: str, *arguments: Any) -> str | None:
        """Why the call would revert; None when it would not."""
        call = {"from": sender.address, "to": to, "data": call_data(signature, *arguments)}
        try:
            self.rpc("eth_call", call, "latest")
        except RPCFailure as failure:
            assert failure.code == 3
            return failure.message.removeprefix("execution reverted: ")
        return None


def call_data(signature: str, *arguments: Any) -> str:
    types = signature[signature.index("(") + 1 : -1]
    selector = keccak(text=signature)[:4]
    return "0x" + (selector + encode(types.split(",") if types else [], arguments)).hex()


def events(receipt: dict, signature: str) -> list[tuple]:
    """The events of one signature, `Name(address indexed a, uint256 b)` as canonical types.

    Every event here indexes its addresses and nothing else.
    """
    name, types = signature[:-1].split("(")
    types = types.split(",")
    found = []
    for log in receipt["logs"]:
        if log["topics"][0] != "0x" + keccak(text=f"{name}({','.join(types)})").hex():
            continue
        indexed = [decode(["address"], bytes.fromhex(t[2:]))[0] for t in log["topics"][1:]]
        rest = decode(types[len(indexed) :], bytes.fromhex(log["data"][2:]))
        found.append((*indexed, *rest))
    return found
