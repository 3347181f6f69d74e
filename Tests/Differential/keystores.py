"""Keystores by eth-account. `make`: key, password (hexadecimal) and keystore of random accounts, one a line, tabs between.
`open FILE`: the keys of the lines of FILE, each a password (hexadecimal), a tab and a keystore."""

import argparse
import json
import random

from eth_account import Account

parser = argparse.ArgumentParser()
commands = parser.add_subparsers(dest="command", required=True)
make = commands.add_parser("make")
make.add_argument("--seed", type=int, required=True)
make.add_argument("--count", type=int, required=True)
commands.add_parser("open").add_argument("file")
options = parser.parse_args()

if options.command == "make":
    rng = random.Random(options.seed)
    alphabet = "abcXYZ019 \t'\"\\§äß€漢🔑"
    for _ in range(options.count):
        key = (1 + rng.getrandbits(rng.choice([255, 255, 255, 247, 8]))).to_bytes(32, "big")
        password = "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 40)))
        kdf = rng.choice(["scrypt", "pbkdf2"])
        iterations = 2 ** rng.randint(1, 10) if kdf == "scrypt" else rng.randint(1, 2000)
        keystore = Account.encrypt(key, password, kdf=kdf, iterations=iterations)
        print(key.hex(), password.encode().hex(), json.dumps(keystore), sep="\t")
else:
    for line in open(options.file, encoding="utf-8"):
        password, keystore = line.rstrip("\n").split("\t")
        print(Account.decrypt(json.loads(keystore), bytes.fromhex(password).decode()).hex())
