"""A dev chain of its own for every test module, and one rolled back after every test."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import Devnet

RUN = Path(__file__).resolve().parent.parent / "run"


def start(*options: str) -> Devnet:
    process = subprocess.Popen(
        [str(RUN), "--port", "0", "--die-with-parent", *options],
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    assert line, f"devnet/run printed nothing and ended with {process.wait()}"
    return Devnet(process, json.loads(line))


@pytest.fixture(scope="session")
def running() -> Iterator[Devnet]:
    devnet = start()
    yield devnet
    devnet.stop()


@pytest.fixture
def devnet(running: Devnet) -> Iterator[Devnet]:
    """The shared chain; whatever a test does to it is taken back."""
    snapshot = running.rpc("evm_snapshot")
    yield running
    running.rpc("evm_setAutomine", True)
    running.rpc("dev_setFinalized", None)
    assert running.rpc("evm_revert", snapshot)


@pytest.fixture
def start_devnet() -> Iterator:
    """Starts chains with options of the test's choice."""
    started: list[Devnet] = []

    def starter(*options: str) -> Devnet:
        started.append(start(*options))
        return started[-1]

    yield starter
    for devnet in started:
        devnet.stop()
