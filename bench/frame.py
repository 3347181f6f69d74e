"""The frame of every benchmark: measures ours and a peer in turn, round after round, and compares medians.

An area is a file in areas/ with a function `measures(bench)` that yields Measure objects. A measure's two sides return a rate
(higher is better); a peer that cannot be had raises Missing and is shown as such, never as a number.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable


class Missing(Exception):
    """The peer is not to be had on this machine; says why."""


@dataclass
class Measure:
    area: str
    what: str
    peer: str
    unit: str
    ours: Callable[[], float]
    theirs: Callable[[], float]


class Bench:
    """What an area gets: where things are, whether to be quick, and helpers to build and to start a PostgreSQL."""

    def __init__(self, root, scratch, quick):
        self.root, self.scratch, self.quick = Path(root), Path(scratch), quick
        self.seconds = 0.3 if quick else 1.0
        self.rounds = 3 if quick else 7
        self._stop = []

    def product(self, name):
        """Builds a release product and returns its path."""
        subprocess.run(["swift", "build", "-c", "release", "--product", name], cwd=self.root, check=True, stdout=subprocess.DEVNULL)
        path = subprocess.run(["swift", "build", "-c", "release", "--show-bin-path"], cwd=self.root, check=True,
                              capture_output=True, text=True).stdout.strip()
        return str(Path(path) / name)

    def postgres(self):
        """Starts a PostgreSQL of its own (fsync and synchronous_commit on); returns its socket folder and its bin folder."""
        bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        data = self.scratch / "postgres"
        data.mkdir(exist_ok=True)
        drop = []
        if os.getuid() == 0:
            drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
            subprocess.run(["chown", "postgres", str(data)], check=True)
        subprocess.run([*drop, str(bins / "initdb"), "--pgdata", str(data / "data"), "--auth=trust", "--username=postgres",
                        "--encoding=UTF8", "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL)
        server = subprocess.Popen([*drop, str(bins / "postgres"), "-D", str(data / "data"), "-k", str(data), "-c", "listen_addresses=",
                                   "-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"],
                                  stdout=subprocess.DEVNULL, stderr=open(self.scratch / "postgres.log", "w"))
        self._stop.append(server)
        for _ in range(100):
            if subprocess.run([str(bins / "pg_isready"), "-q", "-h", str(data)]).returncode == 0:
                return str(data), bins
            time.sleep(0.1)
        raise RuntimeError("PostgreSQL did not start")

    def close(self):
        for process in self._stop:
            process.terminate()
            process.wait()


def run(bench, measures):
    rows = []
    for measure in measures:
        ours, theirs, missing = [], [], None
        for _ in range(bench.rounds):
            ours.append(measure.ours())
            if missing is None:
                try:
                    theirs.append(measure.theirs())
                except Missing as reason:
                    missing = str(reason)
        mine, other = statistics.median(ours), statistics.median(theirs) if theirs else None
        rows.append({"area": measure.area, "what": measure.what, "peer": measure.peer, "ours": mine, "theirs": other,
                     "unit": measure.unit, "ratio": mine / other if other else None,
                     "spread": [min(ours) / mine, max(ours) / mine], "missing": missing})
        show(rows[-1])
    return rows


def show(row):
    def figure(value):
        return "missing" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    ratio = "" if row["ratio"] is None else f"x {row['ratio']:.2f}"
    spread = f"{row['spread'][0]:.2f}-{row['spread'][1]:.2f}"
    print(f"{row['area']:<10} {row['what']:<34} {figure(row['ours']):>14} {row['peer']:<28} {figure(row['theirs']):>14} "
          f"{row['unit']:<12} {ratio:>8}  spread {spread}" + (f"  ({row['missing']})" if row["missing"] else ""), flush=True)


def main():
    parser = argparse.ArgumentParser(prog="bench/run")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--scratch", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--root", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--from", dest="start", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    output = Path(options.start, options.json) if options.json else None  # as its caller, who was elsewhere, means it
    if output and not os.access(output if output.exists() else output.parent, os.W_OK):
        parser.error(f"cannot write {output}")
    folder = Path(__file__).parent / "areas"
    known = {path.stem: path for path in sorted(folder.glob("*.py"))}
    for name in options.names:
        if name not in known:
            parser.error(f"no area {name}; there are {', '.join(known)}")
    bench = Bench(options.root, options.scratch, options.quick)
    rows = []
    print(f"{'area':<10} {'what':<34} {'ours':>14} {'peer':<28} {'theirs':>14} {'unit':<12} {'ratio':>8}", flush=True)
    try:
        for name in options.names or known:
            spec = importlib.util.spec_from_file_location(name, known[name])
            area = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(area)
            rows += run(bench, area.measures(bench))
    finally:
        bench.close()
    if output:
        keys = ("area", "what", "peer", "ours", "theirs", "unit", "ratio")
        output.write_text(json.dumps([{k: row[k] for k in keys} for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.modules["frame"] = sys.modules["__main__"]
    sys.exit(main())
