"""debit() with everything on (idempotency, partitions, rollup, fence) against the bound: one bare INSERT per commit."""

import re
import subprocess

from frame import Measure


def measures(bench):
    socket, bins = bench.postgres()

    def psql(database, *arguments):
        subprocess.run([str(bins / "psql"), "-q", "-h", socket, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", *arguments],
                       check=True, stdout=subprocess.DEVNULL)

    psql("postgres", "-c", "CREATE DATABASE ledger")
    for migration in sorted((bench.root / "migrations").glob("*.sql")):
        psql("ledger", "-1", "-f", str(migration))
    psql("ledger", "-c", """
        CREATE TABLE bound (account bytea, request_id text, cost numeric, at timestamptz, PRIMARY KEY (account, request_id));
        SET search_path = credits;
        SELECT price_set('m', 'input_token', 2000), price_set('m', 'output_token', 3000);
        SELECT node_set('node-' || n, decode(lpad(to_hex(n), 40, '0'), 'hex')) FROM generate_series(1, 100) n;
        INSERT INTO balance (account, spendable) SELECT decode(lpad(to_hex(n), 40, '0'), 'hex'), 1e30 FROM generate_series(1, 10000) n;""")
    scripts = {
        "debit": r"""\set n random(1, 10000)
\set k random(1, 100)
SELECT * FROM credits.debit(request_id => gen_random_uuid()::text, account => decode(lpad(to_hex(:n::int), 40, '0'), 'hex'), model => 'm', input_tokens => 700, output_tokens => 300, node => 'node-' || :k::int);
""",
        "bound": r"""\set n random(1, 10000)
INSERT INTO bound VALUES (decode(lpad(to_hex(:n::int), 40, '0'), 'hex'), gen_random_uuid()::text, 2300000, now());
""",
    }
    for name, text in scripts.items():
        (bench.scratch / f"{name}.pgbench").write_text(text)

    def rate(name, clients):
        done = subprocess.run([str(bins / "pgbench"), "-h", socket, "-U", "postgres", "-n", "-M", "prepared", "-c", str(clients), "-j", "1",
                               "-T", str(max(1, round(3 * bench.seconds))), "-f", str(bench.scratch / f"{name}.pgbench"), "ledger"],
                              check=True, capture_output=True, text=True)
        return float(re.search(r"tps = ([\d.]+)", done.stdout).group(1))

    for clients in (1, 8):
        yield Measure("ledger", f"debit, {clients} client{'s'[:clients - 1]}", "one bare INSERT per commit", "debits/s",
                      lambda c=clients: rate("debit", c), lambda c=clients: rate("bound", c))
