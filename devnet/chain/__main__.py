"""Starts the chain, deploys token and vault, says so in one line of JSON, and serves."""

import argparse
import json
import os
import signal
import sys
import threading

from eth._utils.address import generate_contract_address
from eth.vm.forks.london.transactions import UnsignedDynamicFeeTransaction
from eth_utils import keccak, to_checksum_address

from . import contracts
from .accounts import DevAccount, dev_accounts
from .blockchain import Blockchain
from .rpc import RPC, Limits
from .server import Server

ETHER = 10**18
PRLX = 10**18
ETHER_EACH = 10_000
PRLX_OF_USER = 10_000
MAX_EXTRA_USERS = 5_000  # half the supply
PRLX_OF_SETTLER = 1_000_000  # for the `transfer` method, where it is the settlement wallet
TAX_BASIS_POINTS = 500
SETUP_FEE = 1_000 * 10**9  # wei a gas, above any base fee that handing out tokens can make
PARENT_CHECK_SECONDS = 0.5


def main() -> int:
    options = _options()
    parent = os.getppid()
    accounts = dev_accounts(options.accounts)
    chain = Blockchain(
        options.chain_id,
        {account.address: ETHER_EACH * ETHER for account in accounts},
        options.finality_lag,
    )
    token, vault, start_block = set_up(chain, accounts)
    rpc = RPC(chain, Limits(options.max_log_range, options.max_log_results))
    try:
        server = Server(options.host, options.port, rpc)
    except OSError as error:
        print(
            f"devnet: cannot listen on {options.host}:{options.port}: {error.strerror}; "
            "--port 0 takes any free port",
            file=sys.stderr,
        )
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if options.die_with_parent:
        threading.Thread(target=_watch_parent, args=(parent, stop), daemon=True).start()
    host, port = server.server_address[:2]
    ready = {
        "rpc_url": f"http://{host}:{port}",
        "chain_id": chain.chain_id,
        "token": to_checksum_address(token),
        "vault": to_checksum_address(vault),
        "start_block": start_block,
        "keys": "dev keys that anybody can derive: never use them on another chain",
        "accounts": [account.to_json() for account in accounts],
    }
    print(json.dumps(ready), flush=True)
    if options.block_time:
        chain.automine = False
    while not stop.wait(options.block_time):
        server.mine()
    server.shutdown()
    server.server_close()
    return 0


def set_up(chain: Blockchain, accounts: list[DevAccount]) -> tuple[bytes, bytes, int]:
    """Deploys the token, hands $PRLX out, then deploys the vault: token, vault, vault's block.

    The vault comes last, in a block of its own: before `start_block` it has no code, and what
    happened to the token before is no concern of whoever starts to follow there.
    """
    deployer = accounts[0]
    settler = next(account for account in accounts if account.role == "settler")
    users = [account for account in accounts if account.role == "user"]
    chain.set_automine(False)
    token_code = contracts.load("Token").creation_code(deployer.address, TAX_BASIS_POINTS)
    token = _send(chain, deployer, b"", token_code, 3_000_000)
    chain.mine(timestamp=chain.head.header.timestamp + 12)
    holders = [(user.address, PRLX_OF_USER) for user in users]
    for holder, amount in [(settler.address, PRLX_OF_SETTLER), *holders]:
        call = keccak(text="transfer(address,uint256)")[:4]
        call += holder.rjust(32, b"\0") + (amount * PRLX).to_bytes(32, "big")
        _send(chain, deployer, token, call, 100_000)
    while len(chain.mempool):
        chain.mine(timestamp=chain.head.header.timestamp + 12)
    vault_code = contracts.load("Vault").creation_code(token, settler.address)
    vault = _send(chain, deployer, b"", vault_code, 3_000_000)
    chain.mine(timestamp=chain.head.header.timestamp + 12)
    if any(r.state_root != b"\x01" for block in chain.canonical for r in block.receipts):
        raise RuntimeError("devnet: a transaction of the set-up reverted")
    chain.set_automine(True)
    return token, vault, chain.head.number


def _send(chain: Blockchain, sender: DevAccount, to: bytes, data: bytes, gas: int) -> bytes:
    """Signs and sends; the address of the contract that it makes, or `to`."""
    nonce = chain.next_nonce(sender.address)
    unsigned = UnsignedDynamicFeeTransaction(
        chain_id=chain.chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=10**9,
        max_fee_per_gas=SETUP_FEE,
        gas=gas,
        to=to,
        value=0,
        data=data,
        access_list=(),
    )
    chain.send(unsigned.as_signed_transaction(sender.key).encode())
    return to or generate_contract_address(sender.address, nonce)


def _watch_parent(parent: int, stop: threading.Event) -> None:
    # Not prctl(PR_SET_PDEATHSIG): that fires when the *thread* that started us ends, and tests
    # start us from threads of a pool.
    while os.getppid() == parent:
        stop.wait(PARENT_CHECK_SECONDS)
    stop.set()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="devnet/run", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=0, help="TCP port; 0, the default, takes any free one")
    add("--host", choices=["127.0.0.1"], default="127.0.0.1", help="loopback only")
    add("--chain-id", type=int, default=31337, help="default 31337")
    add("--accounts", type=_count, default=0, metavar="N", help="extra funded users, up to 5000")
    add("--block-time", type=_seconds, metavar="S", help="mine by the clock, not per transaction")
    add("--finality-lag", type=_count, default=2, metavar="N", help="finalized = head - N (2)")
    add("--max-log-range", type=_count, metavar="N", help="most blocks of one eth_getLogs")
    add("--max-log-results", type=_count, metavar="N", help="most logs of one eth_getLogs")
    add("--die-with-parent", action="store_true", help="end when the process that started it ends")
    options = parser.parse_args()
    if options.accounts > MAX_EXTRA_USERS:
        parser.error(f"--accounts {options.accounts}: at most {MAX_EXTRA_USERS}")
    return options


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"want 0 or more, got {text}")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"want a positive number of seconds, got {text}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
