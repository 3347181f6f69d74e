"""Blocks of random signed transactions of every type, as an endpoint renders them, with their hashes and the root of their trie.

eth-account signs and encodes, py-trie makes the root: both independent of the code under test.
Usage: block_transactions.py SEED BLOCKS    (a JSON object a line: {"root", "hashes", "transactions"})
"""

import json
import random
import sys

import rlp
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from eth_utils import keccak, to_checksum_address
from hexbytes import HexBytes
from trie import HexaryTrie

random = random.Random(int(sys.argv[1]))
chain_id = 31337


def address():
    return to_checksum_address(random.randbytes(20))


def word():
    return "0x" + random.randbytes(32).hex()


def number(bits):
    return random.choice([0, 1, random.getrandbits(random.randint(1, bits))])


def data():
    return random.randbytes(random.choice([0, 1, 4, 68, 300]))


def access_list():
    return [{"address": address(), "storageKeys": [word() for _ in range(random.randint(0, 3))]}
            for _ in range(random.randint(0, 2))]


def make(kind, account):
    fields = {"nonce": number(32), "gas": 21000 + number(24), "value": number(80), "data": "0x" + data().hex(),
              "to": address() if kind in (3, 4) or random.random() < 0.9 else "", "chainId": chain_id}
    if kind in (0, 1):
        fields["gasPrice"] = number(40)
    else:
        fields |= {"maxPriorityFeePerGas": number(40), "maxFeePerGas": number(40)}
    if kind:
        fields |= {"type": kind, "accessList": access_list()}
    if kind == 3:
        fields |= {"maxFeePerBlobGas": number(40), "blobVersionedHashes": ["0x01" + random.randbytes(31).hex() for _ in range(random.randint(1, 3))]}
    if kind == 4:
        authority = Account.from_key(random.randbytes(32))
        fields["authorizationList"] = [
            authority.sign_authorization({"chainId": chain_id, "address": address(), "nonce": number(32)})
            for _ in range(random.randint(1, 2))]
    return bytes(account.sign_transaction(fields).raw_transaction)


def quantity(value):
    return hex(int.from_bytes(value, "big"))


def hexadecimal(value):
    return "0x" + bytes(value).hex()


def render(raw):
    """What a node shows of the bytes; read from the bytes themselves."""
    shown = {"hash": hexadecimal(keccak(raw))}
    if raw[0] >= 0x80:
        names = ["nonce", "gasPrice", "gas", "to", "value", "input", "v", "r", "s"]
        items = rlp.decode(raw)
        shown["type"] = "0x0"
    else:
        fees = ["gasPrice"] if raw[0] == 1 else ["maxPriorityFeePerGas", "maxFeePerGas"]
        extra = {3: ["maxFeePerBlobGas", "blobVersionedHashes"], 4: ["authorizationList"]}.get(raw[0], [])
        names = ["chainId", "nonce", *fees, "gas", "to", "value", "input", "accessList", *extra, "yParity", "r", "s"]
        items = rlp.decode(raw[1:])
        shown["type"] = hex(raw[0])
    assert len(names) == len(items), (names, len(items))
    for name, item in zip(names, items):
        if name == "to":
            shown[name] = hexadecimal(item) if item else None
        elif name == "input":
            shown[name] = hexadecimal(item)
        elif name == "accessList":
            shown[name] = [{"address": hexadecimal(a), "storageKeys": [hexadecimal(k) for k in keys]} for a, keys in item]
        elif name == "blobVersionedHashes":
            shown[name] = [hexadecimal(h) for h in item]
        elif name == "authorizationList":
            shown[name] = [{"chainId": quantity(a[0]), "address": hexadecimal(a[1]), "nonce": quantity(a[2]), "yParity": quantity(a[3]),
                            "r": quantity(a[4]), "s": quantity(a[5])} for a in item]
        else:
            shown[name] = quantity(item)
    if raw[0] < 0x80:
        # Both names, or only the older one.
        shown["v"] = shown["yParity"]
        if random.random() < 0.3:
            del shown["yParity"]
    return shown


account = Account.from_key(random.randbytes(32))
for index in range(int(sys.argv[2])):
    count = [0, 1, 5, 130][index % 4]
    raws = [make(random.randrange(5), account) for _ in range(count)]
    trie = HexaryTrie({})
    for place, raw in enumerate(raws):
        trie[rlp.encode(place)] = raw
    print(json.dumps({"root": hexadecimal(trie.root_hash), "hashes": [hexadecimal(keccak(r)) for r in raws],
                      "transactions": [render(r) for r in raws]}))
