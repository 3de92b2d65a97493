"""The package as its users get it: ``python -m tests.package [PYTHON ...]`` builds and tries it in clean environments.

Wheel and sdist are built; on each PYTHON the wheel is installed without the rest of the repository, holds the laws
(``python -m flowlab.testing``), and a user's module is checked against its types by mypy and pyright.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "build" / "package"
CONSUMER = """\
import flowlab as fl
import torch


def energy(run: fl.Experiment) -> float:
    return float(run.evaluate(100)["energy"])


class Shift(fl.Flow):
    def forward(
        self, z: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return z + 1, z.new_zeros(len(z))

    def inverse(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x - 1, x.new_zeros(len(x))


ising: fl.Ising = fl.Ising(4, T=2.5)
density = fl.Pushforward(Shift(), fl.Normal((4, 4)))
drawn, log_q = density.sample(3)
"""
WRONG = "import flowlab as fl\n\nfl.Ising(4, T=2.5).title + 1\n"
"""What a type checker has to refuse, else it has seen no types at all."""


def main() -> int:
    pythons = sys.argv[1:] or [sys.executable]
    said([sys.executable, "-m", "build", "--outdir", str(BUILT), str(ROOT)])
    wheel = max(BUILT.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    sdist = max(BUILT.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    whole(wheel, sdist)
    for python in pythons:
        tried(python, wheel)
    return 0


def whole(wheel: Path, sdist: Path) -> None:
    """Both have what they need: types, scripts and styles of panels, the licence."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    for name in subprocess.check_output(["git", "ls-files", "flowlab"], cwd=ROOT, text=True).split():
        if name not in names or name not in packed:
            raise SystemExit(f"{name} is not in the package")
    if not any(name.endswith("licenses/LICENSE") for name in names):
        raise SystemExit("the wheel has no licence")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {sdist.name}: {sdist.stat().st_size / 1e6:.1f} MB")


def tried(python: str, wheel: Path) -> None:
    """Install the wheel in a clean environment and use it as somebody would who has nothing else of flowlab."""
    folder = BUILT / f"on-{Path(python).name}"
    said([python, "-m", "venv", "--clear", str(folder)])
    mine = str(folder / "bin" / "python")
    pinned = ["-c", str(ROOT / "constraints.txt")]
    said([mine, "-m", "pip", "install", "-q", "--disable-pip-version-check", *pinned, str(wheel), "mypy", "pyright"])
    said([mine, "-m", "flowlab.testing"], cwd=folder)
    said([str(folder / "bin" / "flowlab"), "--version"], cwd=folder)
    (folder / "consumer.py").write_text(CONSUMER, encoding="utf-8")
    (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
    for checker in (["mypy", "--strict"], ["pyright", "--pythonpath", mine]):
        said([mine, "-m", *checker, "consumer.py"], cwd=folder)
        if subprocess.run([mine, "-m", *checker, "wrong.py"], cwd=folder, capture_output=True).returncode == 0:
            raise SystemExit(f"{checker[0]} saw nothing wrong in {WRONG!r}")


def said(command: list[str], cwd: Path = ROOT) -> None:
    """Run a command, and stop where it fails."""
    print("$", " ".join(command), flush=True)
    if subprocess.run(command, cwd=cwd).returncode:
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
