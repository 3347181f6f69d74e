"""Random transactions signed by eth-account, one a line: key, kind, chain, nonce, fee, tip, gas, to, value, data, raw, hash, sender."""

import argparse
import random

from eth_account import Account

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--count", type=int, required=True)
options = parser.parse_args()
rng = random.Random(options.seed)


def number(bits):
    return rng.getrandbits(rng.randint(0, bits))


for _ in range(options.count):
    key = (1 + rng.randrange(2**255)).to_bytes(32, "big")
    chain, nonce, gas = 1 + number(40), number(40), 21000 + number(24)
    fee, value = 1 + number(64), number(100)
    tip = rng.randint(0, fee)
    to, data = rng.randbytes(20), rng.randbytes(rng.choice([0, 1, 4, 31, 55, 56, 300]))
    dynamic = rng.random() < 0.6
    fields = {"chainId": chain, "nonce": nonce, "gas": gas, "to": "0x" + to.hex(), "value": value, "data": "0x" + data.hex()}
    fields |= {"maxFeePerGas": fee, "maxPriorityFeePerGas": tip} if dynamic else {"gasPrice": fee}
    from eth_utils import to_checksum_address
    fields["to"] = to_checksum_address(fields["to"])
    signed = Account.sign_transaction(fields, key)
    print(key.hex(), "dynamic" if dynamic else "legacy", chain, nonce, fee, tip, gas, fields["to"], value, "0x" + data.hex(),
          "0x" + signed.raw_transaction.hex(), "0x" + signed.hash.hex(), Account.from_key(key).address)
