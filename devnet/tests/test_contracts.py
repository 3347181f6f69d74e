"""The rules of token and vault, each on the real EVM."""

import pytest
from helpers import PRLX, Devnet, call_data, events

DEPOSIT = "Deposit(address,uint256)"
WITHDRAW = "Withdraw(address,uint256)"
CHARGED = "Charged(address,uint256,uint256)"
PAID = "Paid(address,uint256,uint256)"
TRANSFER = "Transfer(address,address,uint256)"
CHARGE = "charge(address[],uint256[])"
PAY = "pay(address[],uint256[])"
BATCH_GAS = 16_000_000


def deposit(devnet: Devnet, user, amount: int) -> dict:
    approved = devnet.transact(
        user, devnet.token, "approve(address,uint256)", devnet.vault, amount
    )
    assert approved["status"] == "0x1"
    return devnet.transact(user, devnet.vault, "deposit(uint256)", amount)


def charge(devnet: Devnet, users: list, spent: list[int]) -> dict:
    settler = devnet.account("settler")
    return devnet.transact(settler, devnet.vault, CHARGE, users, spent, gas=BATCH_GAS)


def pay(devnet: Devnet, payees: list, paid: list[int]) -> dict:
    settler = devnet.account("settler")
    return devnet.transact(settler, devnet.vault, PAY, payees, paid, gas=BATCH_GAS)


def in_vault(devnet: Devnet, user) -> int:
    return devnet.view(devnet.vault, "balanceOf(address)", user.address)


def tokens(devnet: Devnet, address: str) -> int:
    return devnet.view(devnet.token, "balanceOf(address)", address)


def test_the_supply_is_fixed_and_all_of_it_is_held(devnet):
    supply = devnet.view(devnet.token, "totalSupply()")
    assert supply == 100_000_000 * PRLX
    assert devnet.view(devnet.token, "decimals()") == 18
    held = sum(tokens(devnet, account["address"]) for account in devnet.ready["accounts"])
    assert held + tokens(devnet, devnet.vault) == supply


def test_a_transfer_between_wallets_is_untaxed(devnet):
    sender, receiver = devnet.account("user"), devnet.account("user", 1)
    before = tokens(devnet, receiver.address)
    receipt = devnet.transact(
        sender, devnet.token, "transfer(address,uint256)", receiver.address, 100
    )
    assert events(receipt, TRANSFER) == [(sender.address.lower(), receiver.address.lower(), 100)]
    assert tokens(devnet, receiver.address) == before + 100


@pytest.mark.parametrize("pair_sends", [True, False])
def test_a_trade_with_a_pair_pays_the_tax_to_the_fee_wallet(devnet, pair_sends):
    owner = devnet.account("deployer")
    user, pair = devnet.account("user"), devnet.account("operator")
    devnet.transact(
        owner, devnet.token, "transfer(address,uint256)", pair.address, 1_000
    )
    devnet.transact(owner, devnet.token, "setPair(address,bool)", pair.address, True)
    sender, receiver = (pair, user) if pair_sends else (user, pair)
    fees, before = tokens(devnet, owner.address), tokens(devnet, receiver.address)
    receipt = devnet.transact(
        sender, devnet.token, "transfer(address,uint256)", receiver.address, 1_000
    )
    assert events(receipt, TRANSFER) == [
        (sender.address.lower(), receiver.address.lower(), 950),
        (sender.address.lower(), owner.address.lower(), 50),
    ]
    assert tokens(devnet, receiver.address) == before + 950
    assert tokens(devnet, owner.address) == fees + 50


def test_the_token_refuses_what_it_must(devnet):
    user, other = devnet.account("user"), devnet.account("user", 1)
    balance = tokens(devnet, user.address)
    zero = "0x" + "00" * 20
    refused = [
        ("transfer exceeds balance", user, "transfer(address,uint256)", other.address, balance + 1),
        ("transfer to zero", user, "transfer(address,uint256)", zero, 1),
        (
            "transfer exceeds allowance",
            other,
            "transferFrom(address,address,uint256)",
            user.address,
            other.address,
            1,
        ),
        ("owner only", user, "setPair(address,bool)", other.address, True),
        ("owner only", user, "setTax(uint256)", 1),
        ("tax too high", devnet.account("deployer"), "setTax(uint256)", 1_001),
    ]
    for reason, sender, signature, *arguments in refused:
        assert devnet.revert_reason(sender, devnet.token, signature, *arguments) == reason


def test_an_allowance_is_counted_down_unless_it_is_unlimited(devnet):
    user, spender = devnet.account("user"), devnet.account("user", 1)
    for allowed, left in [(100, 60), (2**256 - 1, 2**256 - 1)]:
        devnet.transact(user, devnet.token, "approve(address,uint256)", spender.address, allowed)
        devnet.transact(
            spender,
            devnet.token,
            "transferFrom(address,address,uint256)",
            user.address,
            spender.address,
            40,
        )
        assert (
            devnet.view(
                devnet.token, "allowance(address,address)", user.address, spender.address
            )
            == left
        )


def test_a_deposit_credits_what_arrived_and_says_so(devnet):
    user = devnet.account("user")
    receipt = deposit(devnet, user, 100)
    assert events(receipt, DEPOSIT) == [(user.address.lower(), 100)]
    assert in_vault(devnet, user) == 100
    assert devnet.view(devnet.vault, "totalDeposited()") == 100


def test_a_taxed_deposit_credits_less_than_was_asked(devnet):
    user, owner = devnet.account("user"), devnet.account("deployer")
    devnet.transact(owner, devnet.token, "setPair(address,bool)", user.address, True)
    receipt = deposit(devnet, user, 1_000)
    assert events(receipt, DEPOSIT) == [(user.address.lower(), 950)]
    assert in_vault(devnet, user) == 950 == tokens(devnet, devnet.vault)


def test_tokens_sent_to_the_vault_without_a_deposit_credit_nobody(devnet):
    user = devnet.account("user")
    devnet.transact(user, devnet.token, "transfer(address,uint256)", devnet.vault, 70)
    assert deposit(devnet, user, 30)["status"] == "0x1"
    assert in_vault(devnet, user) == 30
    assert tokens(devnet, devnet.vault) == 100


def test_a_withdrawal_takes_up_to_the_balance(devnet):
    user = devnet.account("user")
    deposit(devnet, user, 100)
    before = tokens(devnet, user.address)
    receipt = devnet.transact(user, devnet.vault, "withdraw(uint256)", 80)
    assert events(receipt, WITHDRAW) == [(user.address.lower(), 80)]
    assert in_vault(devnet, user) == 20
    assert tokens(devnet, user.address) == before + 80
    assert devnet.view(devnet.vault, "totalWithdrawn()") == 80


def test_the_vault_refuses_what_it_must(devnet):
    user, settler = devnet.account("user"), devnet.account("settler")
    deposit(devnet, user, 100)
    refused = [
        ("transfer exceeds allowance", user, "deposit(uint256)", 1),
        ("nothing received", user, "deposit(uint256)", 0),
        ("withdraw exceeds balance", user, "withdraw(uint256)", 101),
        ("nothing to withdraw", user, "withdraw(uint256)", 0),
        ("settler only", user, CHARGE, [user.address], [1]),
        ("settler only", user, PAY, [user.address], [1]),
        ("lengths differ", settler, CHARGE, [user.address], []),
        ("lengths differ", settler, PAY, [user.address], []),
        ("pay exceeds pool", settler, PAY, [user.address], [1]),
    ]
    for reason, sender, signature, *arguments in refused:
        assert devnet.revert_reason(sender, devnet.vault, signature, *arguments) == reason


def test_a_reverting_payment_changes_nothing(devnet):
    user, payees = devnet.account("user"), [devnet.account("operator", i).address for i in (0, 1)]
    deposit(devnet, user, 100)
    charge(devnet, [user.address], [50])
    receipt = pay(devnet, payees, [30, 21])
    assert receipt["status"] == "0x0" and receipt["logs"] == []
    assert devnet.view(devnet.vault, "pool()") == 50
    assert devnet.view(devnet.vault, "paidTotal(address)", payees[0]) == 0


def test_a_charge_moves_what_was_spent_into_the_pool(devnet):
    user = devnet.account("user")
    deposit(devnet, user, 100)
    receipt = charge(devnet, [user.address], [60])
    assert events(receipt, CHARGED) == [(user.address.lower(), 60, 60)]
    assert in_vault(devnet, user) == 40
    assert devnet.view(devnet.vault, "charged(address)", user.address) == 60
    assert devnet.view(devnet.vault, "pool()") == 60


def test_a_charge_is_clamped_and_its_shortfall_heals(devnet):
    """The worked example of the design: deposit 100, spend 60, withdraw 80, deposit 50."""
    user = devnet.account("user")
    deposit(devnet, user, 100)
    devnet.transact(user, devnet.vault, "withdraw(uint256)", 80)
    assert events(charge(devnet, [user.address], [60]), CHARGED) == [(user.address.lower(), 20, 20)]
    assert (in_vault(devnet, user), devnet.view(devnet.vault, "pool()")) == (0, 20)
    assert events(charge(devnet, [user.address], [60]), CHARGED) == []
    deposit(devnet, user, 50)
    assert events(charge(devnet, [user.address], [60]), CHARGED) == [(user.address.lower(), 40, 60)]
    assert (in_vault(devnet, user), devnet.view(devnet.vault, "pool()")) == (10, 60)


def test_a_replayed_charge_or_payment_does_nothing(devnet):
    user, payee = devnet.account("user"), devnet.account("operator")
    deposit(devnet, user, 100)
    charge(devnet, [user.address], [60])
    before = tokens(devnet, payee.address)
    assert events(pay(devnet, [payee.address], [30]), PAID) == [(payee.address.lower(), 30, 30)]
    for replay in (
        charge(devnet, [user.address], [60]),
        charge(devnet, [user.address], [10]),
        pay(devnet, [payee.address], [30]),
        pay(devnet, [payee.address], [10]),
    ):
        assert (replay["status"], replay["logs"]) == ("0x1", [])
    assert tokens(devnet, payee.address) == before + 30
    assert devnet.view(devnet.vault, "pool()") == 30


def test_a_missed_batch_heals_with_the_next_one(devnet):
    user, payee = devnet.account("user"), devnet.account("operator")
    deposit(devnet, user, 100)
    # The batches charge 10 and pay 5 were never sent; the next ones carry the totals.
    assert events(charge(devnet, [user.address], [30]), CHARGED)[0][1:] == (30, 30)
    assert events(pay(devnet, [payee.address], [25]), PAID)[0][1:] == (25, 25)
    # And the old ones, should they still arrive, find nothing to do.
    assert charge(devnet, [user.address], [10])["logs"] == []
    assert pay(devnet, [payee.address], [5])["logs"] == []


def test_a_user_twice_in_a_batch_is_charged_once(devnet):
    user = devnet.account("user")
    deposit(devnet, user, 100)
    charge(devnet, [user.address, user.address], [60, 60])
    assert in_vault(devnet, user) == 40


def test_the_views_name_token_and_settler(devnet):
    settler = int(devnet.account("settler").address, 16)
    assert devnet.view(devnet.vault, "token()") == int(devnet.token, 16)
    assert devnet.view(devnet.vault, "settler()") == settler


def test_batches_of_200_stay_within_the_measured_gas(start_devnet, capsys):
    devnet = start_devnet("--accounts", "195")
    users = [devnet.account("user", index) for index in range(200)]
    addresses = [user.address for user in users]
    devnet.rpc("evm_setAutomine", False)
    amount = 1_000 * PRLX
    approve = call_data("approve(address,uint256)", devnet.vault, amount)
    for user in users:
        devnet.send(user, to=devnet.token, data=approve, gas=60_000, nonce=0)
        devnet.send(
            user, to=devnet.vault, data=call_data("deposit(uint256)", amount), gas=150_000, nonce=1
        )
    while devnet.number("eth_getBlockTransactionCountByNumber", "pending"):
        devnet.rpc("evm_mine")
    devnet.rpc("evm_setAutomine", True)
    assert devnet.view(devnet.vault, "totalDeposited()") == 200 * amount

    def gas_each(receipt: dict) -> int:
        assert receipt["status"] == "0x1" and len(receipt["logs"]) >= 200
        return int(receipt["gasUsed"], 16) // 200

    spent = 123_456_789_012_345_678_901
    # The first charge writes the upper half of a slot that is already used.
    charges = [gas_each(charge(devnet, addresses, [spent * n] * 200)) for n in (1, 2)]
    payees = ["0x" + (0xFACADE << 128 | index).to_bytes(20, "big").hex() for index in range(200)]
    pays = [gas_each(pay(devnet, payees, [spent * n // 2] * 200)) for n in (1, 2)]
    with capsys.disabled():
        print(f"\ngas each of 200: charge {charges}, pay {pays}")
    assert max(charges) <= 8_500
    assert pays[0] <= 53_000 and pays[1] <= 18_700
