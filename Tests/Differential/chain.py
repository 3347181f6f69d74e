"""Random headers, receipts, tries and logs by rlp, trie, eth-bloom and eth-abi, one a line, fields between spaces."""

import argparse
import random

import eth_abi
import rlp
from eth_bloom import BloomFilter
from eth_hash.auto import keccak
from trie import HexaryTrie

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["headers", "receipts", "tries", "events"])
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--count", type=int, required=True)
options = parser.parse_args()
rng = random.Random(options.seed)


def show(data):
    return "0x" + data.hex()


def minimal(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def ordered_root(items):
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return trie.root_hash


def header():
    number = lambda bits: minimal(rng.getrandbits(rng.randint(0, bits)))
    word = lambda: rng.choice([rng.randbytes(32), bytes(32)])
    fields = [word(), word(), rng.randbytes(20), word(), word(), word(), rng.randbytes(256), number(256)]
    fields += [number(64) for _ in range(4)] + [rng.randbytes(rng.choice([0, 1, 20, 32, 97])), word(), rng.randbytes(8)]
    tail = [number(256), word(), number(64), number(64), word(), word(), word(), number(64)]
    return fields + tail[: rng.randint(0, len(tail))]


def log():
    topics = [rng.randbytes(32) for _ in range(rng.randint(0, 4))]
    return [rng.randbytes(20), topics, rng.randbytes(rng.choice([0, 1, 31, 32, 64, 300]))]


def receipt():
    kind, logs = rng.randint(0, 4), [log() for _ in range(rng.choice([0, 0, 1, 2, 5]))]
    outcome = rng.choice([b"", b"\x01", rng.randbytes(32)]) if kind == 0 else rng.choice([b"", b"\x01"])
    bloom = BloomFilter()
    for address, topics, _ in logs:
        bloom.extend([address, *topics])
    gas = rng.getrandbits(rng.randint(0, 64))
    body = rlp.encode([outcome, minimal(gas), int(bloom).to_bytes(256, "big"), logs])
    text = ";".join(",".join([show(a), "|".join(map(show, t)) or "-", show(d)]) for a, t, d in logs)
    return (kind, outcome, gas, text), (bytes([kind]) if kind else b"") + body


def value(kind):
    return {
        "address": lambda: show(rng.randbytes(20)),
        "uint256": lambda: rng.getrandbits(rng.choice([1, 64, 256])),
        "bytes32": lambda: rng.randbytes(32),
        "bool": lambda: rng.random() < 0.5,
    }[kind]()


def event():
    name = rng.choice(["Deposit", "Withdraw", "A_1", "x"])
    kinds = [rng.choice(["address", "uint256", "bytes32", "bool"]) for _ in range(rng.randint(1, 6))]
    indexed = set(rng.sample(range(len(kinds)), rng.randint(0, min(3, len(kinds)))))
    values = [value(kind) for kind in kinds]
    words = [eth_abi.encode([kind], [item]) for kind, item in zip(kinds, values)]
    if rng.random() < 0.4:
        place = rng.randrange(len(words))
        word = bytearray(words[place])
        word[rng.randrange(32)] ^= 1 << rng.randrange(8)
        words[place] = bytes(word)
    topics = [keccak(f"{name}({','.join(kinds)})".encode())] + [w for i, w in enumerate(words) if i in indexed]
    data = b"".join(w for i, w in enumerate(words) if i not in indexed)
    text = ",~".join(f"{k}{'~indexed' if i in indexed else ''}~p{i}" for i, k in enumerate(kinds))
    try:
        # Strict: the padding of every word must be zero.
        decoded = [eth_abi.decode([kind], word, strict=True)[0] for kind, word in zip(kinds, words)]
        result = ",".join(show(item) if isinstance(item, bytes) else str(item).lower() for item in decoded)
    except eth_abi.exceptions.DecodingError:
        result = "refused"
    return f"{name}({text})", "|".join(map(show, topics)), show(data), result


for index in range(options.count):
    if options.what == "headers":
        data = rlp.encode(header())
        print(show(data), show(keccak(data)))
    elif options.what == "receipts":
        (kind, outcome, gas, logs), encoded = receipt()
        print(kind, show(outcome), gas, logs or "-", show(encoded))
    elif options.what == "tries":
        sizes = [0, 1, 2, 15, 16, 17, 127, 128, 129, 255, 256, 257, 300]
        size = sizes[index] if index < len(sizes) else rng.randint(0, 60)
        # Short items stay inside their parent node, long ones go by their hash.
        items = [rng.randbytes(rng.choice([1, 2, 20, 27, 28, 29, 30, 31, 32, 33, 200])) for _ in range(size)]
        print(show(ordered_root(items)), ",".join(map(show, items)) or "-")
    else:
        print(*event())
