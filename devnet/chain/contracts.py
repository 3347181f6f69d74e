"""Compiles the Vyper contracts, once: importing the compiler costs more than the whole start."""

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "contracts"
CACHE = Path(__file__).resolve().parent.parent / ".cache"


@dataclass(frozen=True)
class Contract:
    abi: list
    bytecode: bytes

    def creation_code(self, *arguments) -> bytes:
        """Bytecode followed by the ABI-encoded constructor arguments."""
        from eth_abi import encode

        inputs = next((e["inputs"] for e in self.abi if e["type"] == "constructor"), [])
        return self.bytecode + encode([i["type"] for i in inputs], arguments)


def load(name: str) -> Contract:
    """The compiled contract `name`, from the cache when source and compiler are the same."""
    source = (FOLDER / f"{name}.vy").read_bytes()
    key = hashlib.sha256(version("vyper").encode() + b"\0" + source).hexdigest()[:32]
    cached = CACHE / f"{name}-{key}.json"
    try:
        artefact = json.loads(cached.read_text())
    except (OSError, ValueError):
        artefact = _compile(name, source.decode())
        _store(cached, artefact)
    return Contract(artefact["abi"], bytes.fromhex(artefact["bytecode"]))


def _compile(name: str, source: str) -> dict:
    from vyper import compile_code

    output = compile_code(source, contract_path=f"{name}.vy", output_formats=["abi", "bytecode"])
    return {"abi": output["abi"], "bytecode": output["bytecode"].removeprefix("0x")}


def _store(path: Path, artefact: dict) -> None:
    # Two chains may start at once: each writes its own file and renames it into place. A
    # read-only checkout merely compiles every time.
    try:
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(artefact))
        temporary.replace(path)
    except OSError:
        pass
