# pragma version 0.4.3
# pragma evm-version prague
# pragma optimize gas
"""
@title ParalleliXAICredits, the reference vault
@notice Users deposit $PRLX and withdraw what the settler has not charged, at any time. The settler
        charges what users have spent and pays payees from the pool that the charges fill. Both
        settlement calls carry *cumulative* totals: sent twice they do nothing, sent in another
        order they end the same, and a batch that was missed heals with the next one.
@dev    The settler has power over all balances; approvals off chain guard its key. Token and
        settler are immutable, there is no owner and no upgrade.
"""

from ethereum.ercs import IERC20

event Deposit:
    user: indexed(address)
    amount: uint256

event Withdraw:
    user: indexed(address)
    amount: uint256

event Charged:
    user: indexed(address)
    amount: uint256
    total: uint256

event Paid:
    payee: indexed(address)
    amount: uint256
    total: uint256

BATCH: constant(uint256) = 2000
LOW: constant(uint256) = 2**128 - 1
CHARGED_ONE: constant(uint256) = 2**128

token: public(immutable(IERC20))
settler: public(immutable(address))

# charged << 128 | balance. One slot for both, so that a charge writes one slot a user.
accounts: HashMap[address, uint256]

paidTotal: public(HashMap[address, uint256])
pool: public(uint256)
totalDeposited: public(uint256)
totalWithdrawn: public(uint256)


@deploy
def __init__(token_: IERC20, settler_: address):
    assert token_.address != empty(address), "token is zero"
    assert settler_ != empty(address), "settler is zero"
    token = token_
    settler = settler_


@external
@view
def balanceOf(user: address) -> uint256:
    """
    @notice What the user may withdraw now.
    """
    return self.accounts[user] & LOW


@external
@view
def charged(user: address) -> uint256:
    """
    @notice What was ever moved from the user's balance into the pool.
    """
    return self.accounts[user] >> 128


@external
@nonreentrant
def deposit(amount: uint256):
    """
    @notice Credits what really arrived: $PRLX may tax a transfer, so the balance decides.
    """
    before: uint256 = staticcall token.balanceOf(self)
    assert extcall token.transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "transfer failed"
    received: uint256 = staticcall token.balanceOf(self) - before
    assert received > 0, "nothing received"

    account: uint256 = self.accounts[msg.sender]
    assert (account & LOW) + received <= LOW, "balance too large"
    self.accounts[msg.sender] = unsafe_add(account, received)
    self.totalDeposited += received
    log Deposit(user=msg.sender, amount=received)


@external
@nonreentrant
def withdraw(amount: uint256):
    """
    @notice Anybody, for themselves, any time, up to `balanceOf`.
    """
    assert amount > 0, "nothing to withdraw"
    account: uint256 = self.accounts[msg.sender]
    assert amount <= account & LOW, "withdraw exceeds balance"
    self.accounts[msg.sender] = unsafe_sub(account, amount)
    self.totalWithdrawn += amount
    log Withdraw(user=msg.sender, amount=amount)
    assert extcall token.transfer(msg.sender, amount, default_return_value=True), "transfer failed"


@external
@nonreentrant
def charge(users: DynArray[address, BATCH], spent: DynArray[uint256, BATCH]):
    """
    @notice Moves what users have spent into the pool, clamped to what each still has here: a user
            who withdrew first never makes a batch revert, and `spent - charged` heals later.
    @param spent cumulative: all that the user ever spent
    """
    assert msg.sender == settler, "settler only"
    assert len(users) == len(spent), "lengths differ"
    collected: uint256 = 0
    for i: uint256 in range(len(users), bound=BATCH):
        user: address = users[i]
        account: uint256 = self.accounts[user]
        total: uint256 = account >> 128
        if spent[i] > total:
            take: uint256 = min(unsafe_sub(spent[i], total), account & LOW)
            if take > 0:
                total = unsafe_add(total, take)
                assert total <= LOW, "charged too large"
                self.accounts[user] = unsafe_add(
                    unsafe_sub(account, take), unsafe_mul(take, CHARGED_ONE)
                )
                collected = unsafe_add(collected, take)
                log Charged(user=user, amount=take, total=total)
    self.pool += collected


@external
@nonreentrant
def pay(payees: DynArray[address, BATCH], paid: DynArray[uint256, BATCH]):
    """
    @notice Pays payees from the pool, or reverts when the pool does not cover it.
    @param paid cumulative: all that the payee was ever paid, after this call
    """
    assert msg.sender == settler, "settler only"
    assert len(payees) == len(paid), "lengths differ"
    for i: uint256 in range(len(payees), bound=BATCH):
        payee: address = payees[i]
        before: uint256 = self.paidTotal[payee]
        if paid[i] > before:
            delta: uint256 = unsafe_sub(paid[i], before)
            available: uint256 = self.pool
            assert delta <= available, "pay exceeds pool"
            # Effects before the transfer, each time: the views are right even inside it.
            self.pool = unsafe_sub(available, delta)
            self.paidTotal[payee] = paid[i]
            log Paid(payee=payee, amount=delta, total=paid[i])
            assert extcall token.transfer(
                payee, delta, default_return_value=True
            ), "transfer failed"
