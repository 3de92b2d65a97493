"""What a training step spends outside sampling, network and optimiser, how long an import takes, memory of the demo.

    python benchmarks/overhead.py

The step is that of ``ising-xor`` at 8 x 8, kept on disk, journaled, checkpointed, with someone reading it five times a
second or not; the share is one minus the time inside the objective and the optimiser over all of the time. All times
are processor time, of the thread that trains and of the process that imports, so that a busy machine changes them less.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import _machine as machine

import flowlab as fl


class Stopwatch:
    """Adds up the processor time of this thread inside a function."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, function):
        def timed(*args, **kwargs):
            started = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - started

        return timed


def step_overhead(steps: int, read: bool) -> dict[str, float | bool]:
    """The share of a run's time that is not objective or optimiser, perhaps with someone looking."""
    with tempfile.TemporaryDirectory() as folder:
        run = fl.experiment("ising-xor", L=8, steps=steps + 20, out=Path(folder) / "run", device="cpu")
        watch = Stopwatch()
        run.optimisation.step = watch.wrap(run.optimisation.step)  # it asks for the losses
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.2):
                run.reading()
                len(run.data)

        reader = threading.Thread(target=look, daemon=True)
        if read:
            reader.start()
        run.run(20, progress=False)  # what is imported on first use is not the step's
        watch.seconds = 0.0
        started = time.thread_time()
        run.run(progress=False)
        total = time.thread_time() - started
        done.set()
    return {"steps": steps, "read": read, "ms_per_step": 1e3 * total / steps, "overhead": 1 - watch.seconds / total}


def import_seconds() -> float:
    """The best of five fresh processes."""

    def once() -> float:
        started = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "import flowlab"], check=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime - started.ru_utime - started.ru_stime

    return min(once() for _ in range(5))


def demo_megabytes() -> float:
    """Peak resident memory of the demo."""
    demo = Path(__file__).parent.parent / "demo.py"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, str(demo.resolve())], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    options = machine.parser(__doc__, "overhead").parse_args()
    rows = [step_overhead(1000, read) for read in (False, True)]
    for row in rows:
        watched = "read at 5 Hz" if row["read"] else "not looked at"
        print(f"step, {watched}: {row['ms_per_step']:.1f} ms, {100 * row['overhead']:.1f} % outside (goal: 5 %)")
    seconds, megabytes = import_seconds(), demo_megabytes()
    print(f"import flowlab: {seconds:.2f} s (goal: 2.5 s)")
    print(f"demo: {megabytes:.0f} MB at its peak (goal: 1,000 MB)")
    machine.write(options.out, {"step": rows, "import_seconds": seconds, "demo_megabytes": megabytes})


if __name__ == "__main__":
    main()
