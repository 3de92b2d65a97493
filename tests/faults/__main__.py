"""``make faults``: makes every fault often, and prints what came of it: ``python -m tests.faults [part of a name]``."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch

from tests.faults.faults import FAULTS

if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    began, bad = time.monotonic(), []
    print(f"{'fault':44} {'tries':>6} {'lost':>5} {'resumed':>8}", flush=True)
    for name, fault in FAULTS.items():
        if len(sys.argv) > 1 and not any(word in name for word in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = fault.made(fault.tries, Path(folder))
        print(f"{name:44} {found.tries:6} {found.lost:5} {found.resumed:8}", flush=True)
        for wrong in found.wrong[:5]:
            print(f"    {wrong}", flush=True)
        bad += [] if found.good or not found.tries else [name]
    print(f"{len(bad)} faults not survived, {time.monotonic() - began:.0f} s")
    sys.exit(bool(bad))
