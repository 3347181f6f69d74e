"""The dev chain's accounts: keys that anybody can derive, worth nothing anywhere else."""

from dataclasses import dataclass

from eth_keys import keys
from eth_utils import keccak

ROLES = ("deployer", "planner", "settler", "approver1", "approver2", "treasury", "infrastructure")
USERS = 5
OPERATORS = 4


@dataclass(frozen=True)
class DevAccount:
    role: str
    key: keys.PrivateKey

    @property
    def address(self) -> bytes:
        return self.key.public_key.to_canonical_address()

    def to_json(self) -> dict:
        return {
            "role": self.role,
            "address": self.key.public_key.to_checksum_address(),
            "key": self.key.to_hex(),
        }


def dev_account(role: str, index: int = 0) -> DevAccount:
    """The account of a role: its key is the Keccak-256 of a public sentence."""
    seed = f"ParalleliX dev key, never use it elsewhere: {role} {index}"
    return DevAccount(role, keys.PrivateKey(keccak(text=seed)))


def dev_accounts(extra_users: int) -> list[DevAccount]:
    accounts = [dev_account(role) for role in ROLES]
    accounts += [dev_account("user", index) for index in range(USERS + extra_users)]
    accounts += [dev_account("operator", index) for index in range(OPERATORS)]
    return accounts
