"""What is not installed with the core: everything else works without it, and who needs it is told what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flowlab.extras import EXTRA

WITHOUT = f"""
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        missing = name.partition(".")[0] in {[*EXTRA, "IPython", "ipykernel"]}
        return None if missing else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
import flowlab as fl
from flowlab.cli import main

out = sys.argv[1]
run = fl.experiment("ising-xor", L=4, steps=3, batch=20, out=out)
run.run(progress=False)
assert fl.load(out).evaluate(100).log_z.ndim == 0
fl.sweep("phi4-flow", {{"kappa": [0.2, 0.25]}}, L=4, steps=2, batch=20, evaluate=50, progress=False)
assert main(["evaluate", out, "-n", "100"]) == 0

def said(call):
    try:
        call()
    except ImportError as error:
        return str(error)

print(said(run.lab))
print(said(lambda: fl.figures))
print(said(lambda: fl.experiment("ising-chain", L=4, steps=50).run(progress=False)))
print(main(["lab"]))
"""


def test_the_core_works_alone_and_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lab, figures, chain, status = done.stdout.splitlines()[-4:]
    assert lab.startswith("this needs ") and lab.endswith("pip install 'flowlab[lab]'")
    assert figures == "this needs plotly: pip install 'flowlab[export]'"
    assert chain == "this needs numba: pip install 'flowlab[chains]'"
    assert status == "2" and "this needs jupyterlab: pip install 'flowlab[lab]'" in done.stderr
