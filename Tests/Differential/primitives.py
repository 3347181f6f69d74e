"""Random cases of Keccak, RLP and 256-bit arithmetic from eth-hash, rlp and Python's integers, one a line."""

import argparse
import random

import rlp
from eth_hash.auto import keccak

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["keccak", "rlp", "uint256"])
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--count", type=int, required=True)
options = parser.parse_args()
rng = random.Random(options.seed)


EDGES = [0, 1, 2, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 2**128 - 1, 2**128, 2**192, 2**255 - 1, 2**255, 2**256 - 2, 2**256 - 1]


def word():
    if rng.random() < 0.4:
        return rng.choice(EDGES)
    return rng.getrandbits(rng.choice([1, 64, 65, 128, 200, 256]))


def item(depth):
    if depth > 4 or rng.random() < 0.6:
        return rng.randbytes(rng.choice([0, 1, 1, 2, 20, 32, 55, 56, 57, 300]))
    return [item(depth + 1) for _ in range(rng.randint(0, 5))]


def mutated(data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        kind = rng.random()
        if kind < 0.6 and data:
            data[rng.randrange(len(data))] = rng.getrandbits(8)
        elif kind < 0.8:
            data.insert(rng.randint(0, len(data)), rng.getrandbits(8))
        elif data:
            del data[rng.randrange(len(data))]
    return bytes(data)


for index in range(options.count):
    if options.what == "keccak":
        # First the edges of a block of 136 bytes, then what chance brings.
        edges = [0, 1, 134, 135, 136, 137, 200, 271, 272, 273, 408, 2**20]
        data = rng.randbytes(edges[index] if index < len(edges) else rng.randint(0, 600))
        print("0x" + data.hex(), "0x" + keccak(data).hex())
    elif options.what == "rlp":
        data = rlp.encode(item(0))
        if rng.random() < 0.7:
            data = mutated(data)
        try:
            again = rlp.encode(rlp.decode(data, strict=True))
            print("0x" + data.hex(), "ok" if again == data else "refused")
        except (rlp.exceptions.DecodingError, IndexError):
            print("0x" + data.hex(), "refused")
    else:
        a, b, c = word(), word(), word()
        top = 2**256
        show = lambda value: str(value) if value is not None else "-"
        print(a, b, c, show(a + b if a + b < top else None), show(a - b if a >= b else None), show(a * b if a * b < top else None),
              show(a // b if b else None), show(a % b if b else None),
              show(a * b // c if c and a * b // c < top else None), show(a * b % c if c and a * b // c < top else None))
