"""Nothing talks to a network at run time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORBIDDING = """
import sys

asked = []

def forbid(event, given):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        address = given[1]
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            asked.append(f"{event} {address}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request"):
        if str(given[0]) not in ("127.0.0.1", "::1", "localhost"):
            asked.append(f"{event} {given}")
    else:
        return
    if asked:
        raise PermissionError(asked[-1])

sys.addaudithook(forbid)
"""
WORK = """
import importlib, pkgutil, warnings
warnings.simplefilter("ignore")
import flowlab as fl
for module in pkgutil.walk_packages(fl.__path__, "flowlab."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

from flowlab.cli import main
small = ["L=2", "layers=1", "base=independent", "steps=2", "batch=8", "device=cpu"]
for words in (
    ["list"], ["run", "ising-xor", *small, "--out", "a", "--quiet"], ["evaluate", "a"], ["show", "a"], ["ls", "."],
    ["sweep", "ising-xor", *small[:-3], "steps=1,2", "batch=8", "-n", "20", "--out", "b", "--quiet"],
):
    assert main(words) == 0, words
run = fl.load("a")
run.check(0.01, n=100)
run.export("a.zip")
run.lab()
fl.lab(".")
fl.experiment("ising-chain", L=4, chains=2, steps=3).run(progress=False)
"""
ASKING = """
import urllib.request
try:
    urllib.request.urlopen("http://192.0.2.1/", timeout=0.1)
except Exception:
    pass
"""
END = """
print(asked)
sys.exit(bool(asked))
"""


@pytest.mark.parametrize(("work", "status"), [(WORK, 0), (ASKING, 1)])
def test_nothing_talks_to_a_network(tmp_path: Path, work: str, status: int) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", FORBIDDING + work + END]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert found.returncode == status, found.stdout[-2000:] + found.stderr[-2000:]
