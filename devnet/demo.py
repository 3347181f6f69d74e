"""The main job, step by step, with every check in the open. Started by scripts/demo.

Everything here is what users, finance staff and auditors would do: transactions of users on the chain, and the four programs.
The dev keys are worth nothing anywhere else.
"""

import argparse
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psycopg
from eth_account import Account
from web3 import Web3

PRLX = 10**18
ERC20 = [
    {"name": "balanceOf", "type": "function", "stateMutability": "view",
     "inputs": [{"name": "a", "type": "address"}], "outputs": [{"name": "", "type": "uint256"}]},
    {"name": "approve", "type": "function", "stateMutability": "nonpayable",
     "inputs": [{"name": "s", "type": "address"}, {"name": "v", "type": "uint256"}],
     "outputs": [{"name": "", "type": "bool"}]},
]
VAULT = [
    {"name": n, "type": "function", "stateMutability": "nonpayable",
     "inputs": [{"name": "v", "type": "uint256"}], "outputs": []} for n in ("deposit", "withdraw")
] + [
    {"name": n, "type": "function", "stateMutability": "view",
     "inputs": [{"name": "a", "type": "address"}], "outputs": [{"name": "", "type": "uint256"}]}
    for n in ("balanceOf", "charged", "paidTotal")
]


def prlx(wei):
    sign, wei = ("-" if int(wei) < 0 else ""), abs(int(wei))
    text = f"{wei // PRLX}.{wei % PRLX:018d}".rstrip("0").rstrip(".")
    return sign + text


class Failed(Exception):
    pass


class Demo:
    def __init__(self, options):
        self.work = Path(options.work)
        self.programs = Path(options.programs)
        self.keep = options.keep
        self.chain = json.loads(Path(options.devnet).read_text())
        self.web3 = Web3(Web3.HTTPProvider(self.chain["rpc_url"]))
        self.token = self.web3.eth.contract(self.chain["token"], abi=ERC20)
        self.vault = self.web3.eth.contract(self.chain["vault"], abi=VAULT)
        self.roles = {}
        for account in self.chain["accounts"]:
            self.roles.setdefault(account["role"], []).append(account)
        with psycopg.connect(options.postgres, autocommit=True) as admin:
            admin.execute("CREATE DATABASE credits")
        self.database_url = options.postgres.replace("dbname=postgres", "dbname=credits")
        approvers = [self.roles["approver1"][0], self.roles["approver2"][0]]
        self.env = dict(
            os.environ,
            DATABASE_URL=self.database_url,
            RPC_URL=self.chain["rpc_url"],
            CHAIN_ID=str(self.chain["chain_id"]),
            VAULT_ADDRESS=self.chain["vault"],
            TOKEN_ADDRESS=self.chain["token"],
            START_BLOCK=str(self.chain["start_block"]),
            SETTLER_ADDRESS=self.roles["settler"][0]["address"],
            APPROVERS=",".join(a["address"] for a in approvers),
            APPROVALS_REQUIRED="2",
            MIGRATIONS_DIR=str(Path(__file__).resolve().parent.parent / "migrations"),
        )
        for role in ("planner", "settler", "approver1", "approver2"):
            path = self.key_file(role)
            path.touch(mode=0o600)
            path.write_text(self.roles[role][0]["key"] + "\n")
        self.indexer = None
        self.random = random.Random(20260)
        self.lines = 0
        self.started = time.monotonic()

    def key_file(self, role):
        return self.work / f"{role}.key"

    # ----- telling and checking

    def tell(self, text):
        self.lines += 1
        print(f"{time.monotonic() - self.started:6.1f}s  {text}", flush=True)

    def check(self, what, left, right):
        if left != right:
            raise Failed(f"{what}: {left} is not {right}")

    def program(self, name, *arguments, code=0, stdin=None):
        """Runs a program to its end; returns its JSON answer, or the lines of it."""
        done = subprocess.run([str(self.programs / name), *map(str, arguments)], env=self.env, text=True,
                              stdin=stdin, capture_output=True)
        with open(self.work / "programs.log", "a") as log:
            log.write(f"$ {name} {' '.join(map(str, arguments))}\n{done.stdout[-4000:]}{done.stderr}\n")
        if done.returncode != code:
            raise Failed(f"{name} {' '.join(map(str, arguments))} exited {done.returncode}, not {code}: {done.stderr.strip()[-1000:]}")
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    def until(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise Failed(f"waited {seconds} s in vain for {what}")

    def sql(self, query, *parameters):
        with psycopg.connect(self.database_url, autocommit=True) as db:
            return db.execute(query, parameters).fetchall()

    # ----- what users do on the chain

    def send(self, account, call, wait=True):
        sender = account["address"]
        transaction = call.build_transaction({
            "from": sender, "gas": 300_000, "nonce": self.web3.eth.get_transaction_count(sender, "pending"),
            "maxFeePerGas": 50 * 10**9, "maxPriorityFeePerGas": 10**9, "chainId": self.chain["chain_id"],
        })
        raw = Account.sign_transaction(transaction, account["key"]).raw_transaction
        identity = self.web3.eth.send_raw_transaction(raw)
        if wait:
            receipt = self.web3.eth.wait_for_transaction_receipt(identity, timeout=30, poll_latency=0.05)
            self.check("status of a user's transaction", receipt["status"], 1)
        return identity, raw

    def rpc(self, method, *parameters):
        answer = self.web3.provider.make_request(method, list(parameters))
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']}")
        return answer["result"]

    def balances(self, addresses):
        return {a: self.token.functions.balanceOf(Web3.to_checksum_address(a)).call() for a in addresses}

    # ----- the play

    def play(self):
        users = self.roles["user"][:20]
        operators = [account["address"] for account in self.roles["operator"][:4]]
        operators.append(Account.from_key(Web3.keccak(text="dev key of a fifth operator")).address)
        self.tell(f"dev chain {self.chain['chain_id']}: token {self.chain['token']}, vault {self.chain['vault']}")

        # 1. Deposits, withdrawals, a reorg.
        self.program("indexer", "migrate")
        self.indexer = subprocess.Popen(
            [str(self.programs / "indexer"), "run", "--listen", "127.0.0.1:0", "--poll", "200ms"], env=self.env,
            stdout=open(self.work / "indexer.log", "w"), stderr=subprocess.STDOUT)
        (self.work / "indexer.pid").write_text(str(self.indexer.pid))
        deposits = {}
        for n, user in enumerate(users):
            deposits[user["address"]] = (n + 2) * PRLX + self.random.randrange(PRLX)
            self.send(user, self.token.functions.approve(self.chain["vault"], 2**255), wait=False)
        for user in users:
            self.send(user, self.vault.functions.deposit(deposits[user["address"]]), wait=False)
        reorged = users[4]
        for user in users[:3]:
            amount = PRLX // 2
            identity, _ = self.send(user, self.vault.functions.withdraw(amount))
            deposits[user["address"]] -= amount
        self.tell(f"20 users deposited {prlx(sum(deposits.values()) + 3 * (PRLX // 2))} PRLX, three of them withdrew 0.5 each")

        snapshot = self.rpc("evm_snapshot")
        extra = 3 * PRLX
        identity, raw = self.send(reorged, self.vault.functions.deposit(extra))
        first_block = self.web3.eth.get_transaction_receipt(identity)["blockHash"]
        self.until("the indexer to see the deposit", lambda: self.sql(
            "SELECT 1 FROM credits.chain_event WHERE tx_hash = %s AND status = 'pending'", bytes(identity)))
        self.rpc("evm_revert", snapshot)
        self.until("the indexer to notice the reorg", lambda: self.sql(
            "SELECT 1 FROM credits.chain_event WHERE block_hash = %s AND status = 'orphaned'", bytes(first_block)))
        try:
            self.web3.eth.send_raw_transaction(raw)
        except Exception as already:  # the dev chain may have kept it in its mempool
            if "already known" not in str(already) and "nonce too low" not in str(already):
                raise
        again = self.web3.eth.wait_for_transaction_receipt(identity, timeout=30, poll_latency=0.05)
        self.check("the deposit was mined in another block", again["blockHash"] != first_block, True)
        deposits[reorged["address"]] += extra
        self.tell(f"one deposit of 3 PRLX was reorged out of block 0x{first_block.hex()[:8]}… and mined again in {again['blockNumber']}")
        self.program("indexer", "sync", "--to", again["blockNumber"], "--timeout", "1s", code=1)  # the second indexer leaves

        def settled():
            return self.sql("SELECT sum(spendable)::text FROM credits.balance")[0][0] == str(sum(deposits.values()))
        self.until("all deposits to be spendable", settled)
        status = self.program("indexer", "status", "--json")
        self.check("deposits in the ledger", int(status["deposits"]["sum"]) - int(status["withdrawals"]["sum"]), sum(deposits.values()))
        self.tell(f"indexer: proven to block {status['proven_to']}, final to {status['finalized_to']}; "
                  f"{status['deposits']['count']} deposits, {status['withdrawals']['count']} withdrawals, {status['reorgs']} reorg, "
                  f"{prlx(sum(deposits.values()))} PRLX spendable")

        # 2. Prices, nodes, usage.
        self.program("settler", "split", "set", "--operators", 8500, "--treasury", 1000, "--infrastructure", 500,
                     "--treasury-wallet", self.roles["treasury"][0]["address"],
                     "--infrastructure-wallet", self.roles["infrastructure"][0]["address"])
        for model, price in (("atlas-8b", "0.002"), ("atlas-70b", "0.02")):
            for unit in ("input_token", "output_token"):
                self.program("meter", "price", "set", model, "--unit", unit, "--prlx", price, "--per", 1000)
        self.program("meter", "price", "set", "pixel-1", "--unit", "image", "--prlx", "0.01")
        nodes = {f"node-{n:02d}": operators[n % 5] for n in range(12)}
        for node, wallet in nodes.items():
            self.program("meter", "node", "set", node, wallet)
        self.tell("price book: atlas-8b 0.002 and atlas-70b 0.02 PRLX per 1k tokens, pixel-1 0.01 an image; 12 nodes of 5 operators")

        records = self.usage(users, list(nodes))
        usage = self.work / "usage.ndjson"
        usage.write_text("".join(json.dumps(r) + "\n" for r in records))
        answers = [json.loads(line) for line in self.program("meter", "ingest", usage).splitlines()]
        self.check("answers", len(answers), len(records))
        counts = Counter(a["status"] for a in answers)
        cost = {a["request_id"]: a["cost"] for a in answers if a["status"] == "ok"}
        self.check("0.002 per 1k x 1,200 tokens", cost["example-1"], str(24 * 10**14))
        self.check("0.02 per 1k x 9,000 tokens", cost["example-2"], str(18 * 10**16))
        gross = sum(int(c) for c in cost.values())
        self.tell(f"meter: {len(records)} usage records: " + ", ".join(f"{v} {k}" for k, v in counts.most_common()) + f"; {prlx(gross)} PRLX debited")
        self.tell("the worked examples came out exactly: 1,200 tokens 0.0024 PRLX, 9,000 tokens 0.18 PRLX")
        again_counts = Counter(json.loads(line)["status"] for line in self.program("meter", "ingest", usage).splitlines())
        self.check("nothing is debited twice", again_counts["ok"], 0)
        self.tell(f"the same file once more: {again_counts['replay']} replays, nothing debited twice")

        # 3. A user withdraws more than is left.
        leaver = users[9]
        left = int(self.program("meter", "account", leaver["address"], "--json")["spendable"])
        on_chain = self.vault.functions.balanceOf(leaver["address"]).call()
        self.send(leaver, self.vault.functions.withdraw(on_chain))
        account = self.until("the withdrawal to count", lambda: next(iter(
            [a for a in [self.program("meter", "account", leaver["address"], "--json")] if int(a["debt"]) > 0]), None))
        self.check("debt", int(account["debt"]), on_chain - left)
        self.tell(f"a user withdrew {prlx(on_chain)} PRLX with {prlx(left)} left: {prlx(account['debt'])} is debt and blocks spending")

        # 4. The epoch.
        closed = self.program("settler", "epoch", "close", "--json")
        epoch = closed["epoch"]
        self.check("gross", int(closed["gross"]), gross)
        self.tell(f"epoch {epoch} closed: {closed['debits']} debits, gross {prlx(closed['gross'])} PRLX; epoch {closed['next']} is open")
        self.until("the withdrawal to be final", lambda: not self.sql("SELECT 1 FROM credits.chain_event WHERE status = 'applied'"))
        plan = self.program("settler", "plan", epoch, "--key", self.key_file("planner"), "--max-gas", 150000, "--json")
        self.check("I6", int(plan["operators"]) + int(plan["treasury"]) + int(plan["infrastructure"]), gross)
        self.tell(f"planned: operators {prlx(plan['operators'])}, treasury {prlx(plan['treasury'])}, infrastructure "
                  f"{prlx(plan['infrastructure'])}; {plan['charges']['count']} users charged, {len(plan['payees'])} payees")
        self.tell(f"manifest {plan['manifest']}")
        for approver in ("approver1", "approver2"):
            self.program("settler", "approve", epoch, "--manifest", plan["manifest"], "--key", self.key_file(approver))
        self.tell("approved by two approvers, EIP-712 over that manifest")

        wallets = list(dict.fromkeys(p["payee"] for p in plan["payees"]))
        before = self.balances(wallets)
        killed = self.kill_between_broadcasts(epoch)
        self.tell(killed)
        self.program("settler", "run", epoch, "--key", self.key_file("settler"), "--timeout", "120s")
        shown = self.program("settler", "show", epoch, "--json")
        self.check("state", shown["state"], "final")
        kinds = Counter(t["kind"] for t in shown["transactions"])
        self.check("every transaction is final", {t["state"] for t in shown["transactions"]}, {"final"})
        self.tell(f"resumed and final: {kinds['charge']} charge and {kinds['pay']} pay transactions, charged "
                  f"{prlx(shown['charges']['collected'])} of {prlx(shown['charges']['planned'])} PRLX")
        self.check("what is carried is the leaver's debt", int(shown["carried"]), int(account["debt"]))
        self.tell(f"carried: {prlx(shown['carried'])} PRLX that the user who left still owes; operators come first, the treasury waits")

        # 5. What arrived, read back from the chain.
        after = self.balances(wallets)
        paid_by_payee = Counter()
        for line in shown["payees"]:
            paid_by_payee[line["payee"]] += int(line["paid"])
        names = {self.roles["treasury"][0]["address"]: "treasury", self.roles["infrastructure"][0]["address"]: "infrastructure"}
        for n, operator in enumerate(operators):
            names.setdefault(Web3.to_checksum_address(operator), f"operator {n + 1}")
        for wallet in sorted(wallets, key=lambda w: names.get(w, w)):
            self.check(f"on-chain gain of {wallet}", after[wallet] - before[wallet], paid_by_payee[wallet])
            self.tell(f"  {names.get(wallet, '?'):<14} {wallet}  {prlx(before[wallet])} -> {prlx(after[wallet])} PRLX")
        self.check("paid = pool that was charged", sum(paid_by_payee.values()), int(shown["charges"]["collected"]))

        # 6. Chain = ledger, to the wei.
        found = self.program("auditor", "reconcile", "--json")
        self.check("difference", found["difference"], "0")
        self.tell(f"auditor: {len(found['identities'])} identities at block {found['block']['number']}, difference 0 wei")
        report = self.work / "report" / f"epoch-{epoch}.html"
        self.program("settler", "report", epoch, "--html", report, "--csv", report.with_suffix(".csv"))
        self.check("the report was written", report.stat().st_size > 1000, True)
        self.tell(f"report: {report}")
        if self.keep:
            variables = {k: self.env[k] for k in (
                "DATABASE_URL", "RPC_URL", "CHAIN_ID", "VAULT_ADDRESS", "TOKEN_ADDRESS", "START_BLOCK", "SETTLER_ADDRESS",
                "APPROVERS", "APPROVALS_REQUIRED")} | {"KEYS": str(self.work), "ACCOUNT": users[19]["address"]}
            print("\n" + "".join(f"export {k}={shlex.quote(v)}\n" for k, v in variables.items())
                  + f"export PATH={shlex.quote(str(self.programs))}:$PATH")

    def usage(self, users, nodes):
        """5,000 records: the worked examples, text and images, fallback, repeats, and mistakes a client can make."""
        records = [
            {"request_id": "example-1", "account": users[19]["address"], "model": "atlas-8b", "node": nodes[0],
             "input_tokens": 1000, "output_tokens": 200},
            {"request_id": "example-2", "account": users[19]["address"], "model": "atlas-70b", "node": nodes[1],
             "input_tokens": 4000, "output_tokens": 5000},
        ]
        while len(records) < 4990:
            record = {"request_id": f"message-{len(records)}", "account": self.random.choice(users)["address"],
                      "node": self.random.choice(nodes) if self.random.random() < 0.9 else "fallback",
                      "proof": "0x" + self.random.randbytes(32).hex()}
            kind = self.random.random()
            if kind < 0.05:
                record |= {"model": "pixel-1", "input_tokens": 0, "output_tokens": 0, "units": {"image": self.random.randint(1, 4)}}
            else:
                record |= {"model": "atlas-8b" if kind < 0.7 else "atlas-70b", "input_tokens": self.random.randint(20, 2000),
                           "output_tokens": self.random.randint(10, 1200)}
            records.append(record)
        records += records[100:105]  # sent twice
        records.append(records[200] | {"output_tokens": 1 + records[200]["output_tokens"]})  # the same id, another body
        records.append(records[300] | {"request_id": "wrong-1", "model": "no-such-model", "units": {}})
        records.append(records[301] | {"request_id": "wrong-2", "node": "no-such-node"})
        records.append(records[302] | {"request_id": "wrong-3", "account": "0x" + "11" * 20})
        records.append(records[303] | {"request_id": "wrong-4", "input_tokens": -1})
        return records

    def kill_between_broadcasts(self, epoch):
        settler = subprocess.Popen(
            [str(self.programs / "settler"), "run", str(epoch), "--key", str(self.key_file("settler")), "--timeout", "60s"],
            env=self.env, stdout=subprocess.DEVNULL, stderr=open(self.work / "settler-killed.log", "w"))
        with psycopg.connect(self.database_url, autocommit=True) as db:
            try:
                while db.execute("SELECT count(*) FROM credits.broadcast").fetchone()[0] == 0:
                    if settler.poll() is not None:
                        raise Failed(f"the settler ended by itself, see {self.work}/settler-killed.log")
                    time.sleep(0.001)
            finally:
                settler.kill()
                settler.wait()
            stored, sent = db.execute("SELECT (SELECT count(*) FROM credits.attempt), (SELECT count(DISTINCT hash) FROM credits.broadcast)").fetchone()
        return f"settler killed with -9 after {sent} broadcast ({stored} signed and stored)"

    def stop(self):
        if self.indexer and not self.keep:
            self.indexer.terminate()
            try:
                code = self.indexer.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.indexer.kill()
                raise Failed("the indexer did not stop within 10 s of SIGTERM")
            self.check("exit of the indexer on SIGTERM", code, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("devnet", "postgres", "work", "programs"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--keep", action="store_true")
    demo = Demo(parser.parse_args())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(143))
    held = False
    try:
        demo.play()
        demo.stop()
        held = True
    except Failed as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
    finally:
        if demo.indexer and not (held and demo.keep):
            demo.indexer.kill()
            demo.indexer.wait()
    if held:
        demo.tell("every check held")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
