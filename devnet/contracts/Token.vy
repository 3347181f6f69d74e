# pragma version 0.4.3
# pragma evm-version prague
# pragma optimize gas
"""
@title ParalleliX, the dev chain's stand-in for $PRLX
@notice ERC-20 with a fixed supply and a tax on trades with marked DEX pairs. A transfer between
        wallets is untaxed. `Transfer` is emitted for what really moved: a taxed transfer of 100 at
        5 % emits 95 to the receiver and 5 to the fee wallet, so whoever credits must look at what
        arrived, never at the amount that was asked for.
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    value: uint256

event PairMarked:
    pair: indexed(address)
    marked: bool

SUPPLY: constant(uint256) = 100_000_000 * 10**18
BASIS_POINTS: constant(uint256) = 10_000
TAX_LIMIT: constant(uint256) = 1_000

name: public(constant(String[10])) = "ParalleliX"
symbol: public(constant(String[4])) = "PRLX"
decimals: public(constant(uint8)) = 18

owner: public(immutable(address))
feeWallet: public(immutable(address))

balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
isPair: public(HashMap[address, bool])
taxBasisPoints: public(uint256)


@deploy
def __init__(fee_wallet: address, tax_basis_points: uint256):
    assert fee_wallet != empty(address), "fee wallet is zero"
    assert tax_basis_points <= TAX_LIMIT, "tax too high"
    owner = msg.sender
    feeWallet = fee_wallet
    self.taxBasisPoints = tax_basis_points
    self.balanceOf[msg.sender] = SUPPLY
    log Transfer(sender=empty(address), receiver=msg.sender, value=SUPPLY)


@external
@view
def totalSupply() -> uint256:
    return SUPPLY


@internal
def _move(sender: address, receiver: address, amount: uint256):
    assert receiver != empty(address), "transfer to zero"
    balance: uint256 = self.balanceOf[sender]
    assert balance >= amount, "transfer exceeds balance"
    tax: uint256 = 0
    if self.isPair[sender] or self.isPair[receiver]:
        tax = amount * self.taxBasisPoints // BASIS_POINTS
    self.balanceOf[sender] = unsafe_sub(balance, amount)
    # Cannot overflow: the sum of all balances is the fixed supply.
    self.balanceOf[receiver] = unsafe_add(self.balanceOf[receiver], unsafe_sub(amount, tax))
    log Transfer(sender=sender, receiver=receiver, value=unsafe_sub(amount, tax))
    if tax > 0:
        self.balanceOf[feeWallet] = unsafe_add(self.balanceOf[feeWallet], tax)
        log Transfer(sender=sender, receiver=feeWallet, value=tax)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    allowed: uint256 = self.allowance[sender][msg.sender]
    assert allowed >= amount, "transfer exceeds allowance"
    # The largest allowance means "without limit" and is not counted down.
    if allowed != max_value(uint256):
        self.allowance[sender][msg.sender] = unsafe_sub(allowed, amount)
    self._move(sender, receiver, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, value=amount)
    return True


@external
def setPair(pair: address, marked: bool):
    """
    @notice Mark an address as a DEX pair: transfers from and to it are taxed.
    """
    assert msg.sender == owner, "owner only"
    self.isPair[pair] = marked
    log PairMarked(pair=pair, marked=marked)


@external
def setTax(tax_basis_points: uint256):
    assert msg.sender == owner, "owner only"
    assert tax_basis_points <= TAX_LIMIT, "tax too high"
    self.taxBasisPoints = tax_basis_points
