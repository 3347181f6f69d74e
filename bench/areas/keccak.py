"""Keccak-256 against OpenSSL's SHA3-256 (the same permutation, in assembly, from Debian) and pycryptodome."""

import re
import subprocess
import time

from frame import Measure, Missing

SIZES = ((32, "messages/s"), (136, "messages/s"), (1 << 20, "MB/s"))


def measures(bench):
    ours = bench.product("bench-keccak")

    def rate(size):
        done = subprocess.run([ours, str(size), str(bench.seconds)], check=True, capture_output=True, text=True)
        return float(done.stdout)

    def openssl(size):
        try:
            done = subprocess.run(["openssl", "speed", "-seconds", str(max(1, round(bench.seconds))), "-bytes", str(size), "-evp", "sha3-256", "-mr"],
                                  check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as problem:
            raise Missing(f"openssl speed: {problem}")
        found = re.search(r"^\+F:\d+:[^:]+:([\d.]+)$", done.stdout, re.MULTILINE)
        if not found:
            raise Missing("openssl speed printed no figure")
        return float(found.group(1)) / size  # bytes/s to messages/s

    def pycryptodome(size):
        try:
            from Crypto.Hash import keccak
        except ImportError:
            raise Missing("pycryptodome is not installed")
        message, count, end = bytes(size), 0, time.perf_counter() + bench.seconds
        began = time.perf_counter()
        while time.perf_counter() < end:
            for _ in range(max(1, 2000 // (1 + size // 136))):
                keccak.new(data=message, digest_bits=256).digest()
            count += max(1, 2000 // (1 + size // 136))
        return count / (time.perf_counter() - began)

    for size, unit in SIZES:
        scale = 1 if unit == "messages/s" else size / 1e6
        for peer, theirs in (("OpenSSL SHA3-256", openssl), ("pycryptodome", pycryptodome)):
            yield Measure("keccak", f"hash {size} B", peer, unit, lambda s=size, k=scale: rate(s) * k, lambda s=size, k=scale, t=theirs: t(s) * k)
