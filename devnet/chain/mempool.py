"""Transactions that wait: at most one for each sender and nonce, replaced only by a better one."""

from collections.abc import Callable, Iterator

from .errors import server_error
from .transactions import Transaction

# geth's default price bump, in per cent, on both fees.
PRICE_BUMP = 10


class Mempool:
    def __init__(self) -> None:
        self._by_sender: dict[bytes, dict[int, Transaction]] = {}
        self._by_hash: dict[bytes, Transaction] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(list(self._by_hash.values()))

    def get(self, transaction_hash: bytes) -> Transaction | None:
        return self._by_hash.get(transaction_hash)

    def copy(self) -> "Mempool":
        copy = Mempool()
        copy._by_sender = {sender: dict(queue) for sender, queue in self._by_sender.items()}
        copy._by_hash = dict(self._by_hash)
        return copy

    def add(self, transaction: Transaction, nonce: int, balance: int) -> None:
        """Adds a transaction of a sender who has `nonce` and `balance` at the head."""
        signed = transaction.signed
        if transaction.hash in self._by_hash:
            raise server_error("already known")
        if transaction.nonce < nonce:
            raise server_error(f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}")
        if balance < transaction.cost:
            raise server_error(
                f"insufficient funds for gas * price + value: balance {balance}, "
                f"tx cost {transaction.cost}, overshot {transaction.cost - balance}"
            )
        queue = self._by_sender.get(transaction.sender, {})
        old = queue.get(transaction.nonce)
        queued = sum(other.cost for other in queue.values()) - (old.cost if old else 0)
        if balance < queued + transaction.cost:
            raise server_error(
                f"insufficient funds for gas * price + value: balance {balance}, "
                f"queued cost {queued}, tx cost {transaction.cost}, "
                f"overshot {queued + transaction.cost - balance}"
            )
        if old is not None:
            # Both fees must rise: a node refuses a replacement that lifts only one of the two.
            for new_fee, old_fee in (
                (signed.max_fee_per_gas, old.signed.max_fee_per_gas),
                (signed.max_priority_fee_per_gas, old.signed.max_priority_fee_per_gas),
            ):
                if new_fee <= old_fee or new_fee < old_fee * (100 + PRICE_BUMP) // 100:
                    raise server_error("replacement transaction underpriced")
            self.remove(old.hash)
        self.put(transaction)

    def put(self, transaction: Transaction) -> None:
        """Adds without asking, unless its place is taken: for what a reorg gives back."""
        queue = self._by_sender.setdefault(transaction.sender, {})
        if transaction.nonce not in queue:
            queue[transaction.nonce] = transaction
            self._by_hash[transaction.hash] = transaction

    def remove(self, transaction_hash: bytes) -> bool:
        transaction = self._by_hash.pop(transaction_hash, None)
        if transaction is None:
            return False
        queue = self._by_sender[transaction.sender]
        del queue[transaction.nonce]
        if not queue:
            del self._by_sender[transaction.sender]
        return True

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """The nonce after all that can be mined without a gap: the `pending` count."""
        queue = self._by_sender.get(sender, {})
        while nonce in queue:
            nonce += 1
        return nonce

    def prune(self, nonce_of: Callable[[bytes], int]) -> None:
        """Drops what can never be mined: its nonce is used."""
        for sender, queue in list(self._by_sender.items()):
            nonce = nonce_of(sender)
            for transaction in [t for n, t in queue.items() if n < nonce]:
                self.remove(transaction.hash)

    def best(
        self, base_fee: int, nonce_of: Callable[[bytes], int], skipped: set[bytes]
    ) -> Transaction | None:
        """The executable transaction with the best tip; of equal ones, the first that came.

        A sender's transactions go in nonce order: gaps wait, and so do fees under the base fee
        and whatever stands behind them. `skipped` are senders that had their chance.
        """
        best: Transaction | None = None
        for sender, queue in self._by_sender.items():
            head = None if sender in skipped else queue.get(nonce_of(sender))
            if head is None or head.tip(base_fee) < 0:
                continue
            rank = (-head.tip(base_fee), head.arrival)
            if best is None or rank < (-best.tip(base_fee), best.arrival):
                best = head
        return best
