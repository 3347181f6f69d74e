"""EIP-712 by eth-account: typed data as JSON in; digest, signature and the signer's address out."""

import json
import sys

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

account = Account.from_key(b"\x2a" * 32)
for line in sys.stdin:
    message = encode_typed_data(full_message=json.loads(line))
    digest = keccak(b"\x19" + message.version + message.header + message.body)
    signed = account.sign_message(message)
    print(digest.hex(), signed.signature.hex(), account.address[2:].lower())
