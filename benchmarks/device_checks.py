"""What a machine with a GPU is asked in eight minutes: python benchmarks/device_checks.py [cuda|cpu].

One JSON line a check; the last one says which failed. On the CPU it tries itself. The control must fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

import flowlab as fl

DEVICE = sys.argv[1] if len(sys.argv) > 1 else "cuda"
LIMIT = 480.0
CLOSE = 1e-3
"""By which ln q of one configuration may differ between two ways to it; TF32 makes it 4e-3."""
STUDIES: list[tuple[str, dict[str, Any]]] = [
    ("ising-coloured", dict(L=8)),
    ("ising-coloured", dict(L=8, network="transformer")),
    ("ising-han", dict(L=8)),
    ("ising-mlmc-hb", dict(L=8)),
    ("ising-rigcs", dict(L=8)),
    ("ising-van", dict(L=4)),
    ("ising-xor", dict(L=4)),
    ("ising-xor", dict(L=4, baseline="learned")),
    ("ising-tokens", dict(L=4, ansatz="vqvae")),
    ("phi4-affine", dict(L=4, beta=0.5)),
    ("phi4-cnf", dict(L=4)),
    ("phi4-flow", dict(L=4, beta=0.5)),
    ("phi4-free", dict(L=4)),
    ("phi4-hybrid", dict(L=4, beta=0.5)),
    ("phi4-multilevel", dict(L=8, beta=0.5)),
    ("phi4-pixelcnn", dict(L=4, beta=0.5)),
    ("phi4-spline", dict(L=4, beta=0.5)),
    ("potts-coloured", dict(L=4)),
    ("sk-autoregressive", dict(N=8)),
    ("sk-reverse", dict(N=8, samples=400)),
    ("sk-forward", dict(N=8, samples=400)),
    ("sk-xor", dict(N=8)),
    ("phi4-ir-matching", dict(coarse=4, L=8)),
    ("phi4-uv-matching", dict(coarse=4, L=8, samples=64)),
]
TIMED: list[tuple[str, dict[str, Any]]] = [
    ("ising-coloured", dict(L=16, grow=False)),
    ("ising-coloured", dict(L=64, grow=False)),
    ("phi4-flow", dict(L=12, beta=0.6)),
    ("phi4-flow", dict(L=12, beta=0.6, batch=8192)),
    ("ising-xor", dict(L=16)),
    ("sk-reverse", dict(N=256)),
]
began = time.monotonic()
failed: list[str] = []


def check(name: str, what: Callable[[], Any], *, needs: float = 20.0, fails: bool = False) -> None:
    """Do one, if there is time; ``fails`` is a control, which must."""
    if time.monotonic() - began > LIMIT - needs:
        print(json.dumps({"check": name, "skipped": "no time"}), flush=True)
        return
    started, found, wrong = time.monotonic(), None, ""
    try:
        found = what()
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"[:300]
    good = bool(wrong) == fails
    if not good:
        failed.append(name)
    line = {"check": name, "ok": good, "found": found, "error": wrong, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(line, default=str), flush=True)


def stepped(name: str, device: str = DEVICE, n: int = 2, **keys: Any) -> Any:
    run = fl.experiment(name, device=device, **{"steps": 8, "batch": 64, **keys})
    for _ in run.stream(n):
        pass
    return run


def closes(name: str, **keys: Any) -> dict[str, float]:
    """ln q of the same configurations: as they were drawn, all at once, one at a time, and on the CPU."""
    run, generator = stepped(name, **keys), torch.Generator(DEVICE).manual_seed(1)
    with torch.no_grad():
        x, drawn = run.density.sample(256, generator=generator)
        whole = run.density.log_prob(x)
        single = torch.cat([run.density.log_prob(x[i : i + 1]) for i in range(8)])
        other = fl.experiment(name, device="cpu", **{"steps": 8, "batch": 64, **keys})
        other.density.load_state_dict({key: value.cpu() for key, value in run.density.state_dict().items()})
        there = other.density.log_prob(x.cpu())
    found = {
        "drawn": float((drawn - whole).abs().max()),
        "one at a time": float((single - whole[:8]).abs().max()),
        "on the CPU": float((whole.cpu() - there).abs().max()),
    }
    if max(found.values()) > CLOSE:
        raise ValueError(f"ln q differs: {found}")
    return found


def moves(first: str, then: str) -> str:
    """A run that was kept on one device goes on on another, in another process."""
    path = tempfile.mkdtemp() + "/run"
    stepped("ising-xor", first, L=4, out=path)
    code = f"import flowlab as fl; run = fl.load({path!r}, device={then!r}); run.run(progress=False); print(run.step)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    if done.returncode or done.stdout.strip() != "8":
        raise RuntimeError(done.stderr[-300:])
    return str(done.stdout.strip())


def resumed() -> float:
    """The largest difference of the loss between a run and one that was loaded halfway."""
    path = tempfile.mkdtemp() + "/run"
    one = [record["loss"] for record in fl.experiment("phi4-flow", device=DEVICE, L=6, beta=0.6, steps=6).stream()]
    other = fl.experiment("phi4-flow", device=DEVICE, L=6, beta=0.6, steps=6, out=path)
    losses = [record["loss"] for record in other.stream(3)]
    losses += [record["loss"] for record in fl.load(path).stream()]
    return max(abs(a - b) for a, b in zip(one, losses, strict=True))


def whole_study(name: str, keys: dict[str, Any]) -> int:
    run = stepped(name, batch=32, **keys)
    run.sample(8)
    run.layers(4)
    run.evaluate(200)
    return int(run.step)


def timed(name: str, keys: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of a step on both."""
    return {
        kind: round(1e3 * fl.experiment(name, device=kind, **{"steps": 20, **keys}).seconds_per_step(), 2)
        for kind in dict.fromkeys([DEVICE, "cpu"])
    }


def mixed() -> Any:
    """The control: an energy that adds numbers of another place, or of another shape where there is none."""
    run = stepped("ising-van", L=4)
    wrong = torch.zeros(3, device="cpu")
    return run.system.energy(run.density.sample(2, generator=torch.Generator(DEVICE))[0]) + wrong


def main() -> int:
    warnings.filterwarnings("ignore")
    check("control: a tensor of another place", mixed, fails=True)
    for name, keys in (
        ("ising-van", dict(L=8)),
        ("phi4-pixelcnn", dict(L=8, beta=0.6)),
        ("ising-coloured", dict(L=8)),
        ("phi4-flow", dict(L=8, beta=0.6)),
        ("ising-xor", dict(L=8)),
    ):
        check(f"ln q closes: {name}", lambda name=name, keys=keys: closes(name, **keys))  # type: ignore[misc]
    check("resumed", resumed)
    check(f"from {DEVICE} to cpu", lambda: moves(DEVICE, "cpu"))
    check(f"from cpu to {DEVICE}", lambda: moves("cpu", DEVICE))
    for name, keys in STUDIES:
        check(f"study {name} {keys}", lambda name=name, keys=keys: whole_study(name, keys))  # type: ignore[misc]
    for name, keys in TIMED:
        check(f"time of a step {name} {keys}", lambda name=name, keys=keys: timed(name, keys), needs=60)  # type: ignore[misc]
    print(json.dumps({"failed": failed, "device": DEVICE, "seconds": round(time.monotonic() - began)}), flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
