"""Call data by eth-abi: `charge|pay|transfer` and pairs of address and amount, one call a line."""

import sys

from eth_abi import encode
from eth_utils import function_signature_to_4byte_selector as selector

for line in sys.stdin:
    name, *words = line.split()
    addresses = [bytes.fromhex(word) for word in words[0::2]]
    amounts = [int(word) for word in words[1::2]]
    if name == "transfer":
        signature, data = "transfer(address,uint256)", encode(
            ["address", "uint256"], [addresses[0], amounts[0]]
        )
    else:
        signature, data = f"{name}(address[],uint256[])", encode(
            ["address[]", "uint256[]"], [addresses, amounts]
        )
    print((selector(signature) + data).hex())
