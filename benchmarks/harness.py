"""How the contenders of a benchmark are run and told: one process each, one after the other, on data from the same seed.

1. The parent stays small (no NumPy), because a process inherits its parent's memory as the floor of its own peak.
2. Each contender is a function of a benchmark's module, run by :mod:`benchmarks.contender` in a fresh interpreter. It makes its
   data outside the clock, warms up once and measures at least five repetitions with :func:`repeat`.
3. Peak memory is that of its whole process, data and libraries included.
4. Linear algebra has one thread in every contender, unless the environment says otherwise; the line on the machine tells.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter, process_time
from typing import Any

from service.threads import use_one_blas_thread

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / "build"
"""Where benchmarks put what they throw away: on the disk of the project, and never among its files."""
REPEATS = 5
SEED = 20_160

use_one_blas_thread()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one contender took: wall and processor seconds of each repetition, its process's peak memory, and what it found."""

    name: str
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    peak_bytes: int
    found: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def seconds(self) -> float:
        """The median of the wall seconds."""
        return median(self.wall)


def repeat(call: Callable[[], Any], repeats: int = REPEATS, *, warm: bool = True) -> tuple[dict[str, list[float]], Any]:
    """Call once to warm up (or not), then ``repeats`` times by the clock; return both kinds of seconds, and the last result."""
    result = call() if warm else None
    wall, cpu = [], []
    for _ in range(repeats):
        begin, begin_cpu = perf_counter(), process_time()
        result = call()
        wall.append(perf_counter() - begin)
        cpu.append(process_time() - begin_cpu)
    return {"wall": wall, "cpu": cpu}, result


def run_command(command: Sequence[str | Path]) -> tuple[float, float, int, str]:
    """Run a command to its end; return its wall seconds, its processor seconds, its peak memory in bytes and its output."""
    with TemporaryFile("w+") as said, TemporaryFile("w+") as complained:
        begin = perf_counter()
        with subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=said, stderr=complained) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall = perf_counter() - begin
        said.seek(0)
        complained.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{complained.read()[-4000:]}")
        unit = 1 if sys.platform == "darwin" else 1024
        return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit, said.read()


def contend(name: str, module: str, function: str, **options: Any) -> Outcome:
    """Run ``function(**options)`` of ``benchmarks.<module>`` in a process of its own and call the outcome ``name``."""
    command = [sys.executable, "-m", "benchmarks.contender", module, function, json.dumps(options)]
    _, _, peak, said = run_command(command)
    found = json.loads(said.splitlines()[-1])
    return Outcome(name, tuple(found.pop("wall")), tuple(found.pop("cpu")), peak, found)


def duration(seconds: float) -> str:
    """Tell a duration with three digits."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def machine(*packages: str) -> str:
    """Describe the processor, the versions and the load of this moment, in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = named[0] if named else model
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", *packages))
    load, threads = os.getloadavg()[0], os.getenv("OPENBLAS_NUM_THREADS", "?")
    return (
        f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}; "
        f"linear algebra threads: {threads}; load at the end: {load:.1f}"
    )


def table(outcomes: Sequence[Outcome], columns: dict[str, Callable[[Outcome], str]] | None = None) -> str:
    """Lay outcomes out in Markdown; the first is ours, and the ratios of another are its medians over ours.

    On a busy machine the ratio of processor seconds is the one to read.
    """
    ours, ours_cpu = outcomes[0].seconds, median(outcomes[0].cpu)
    extra = columns or {}
    head = ["contender", "median", "fastest to slowest", "processor", "peak memory", *extra, "ratio", "ratio, processor"]
    rows = [head, ["---"] * len(head)]
    for o in outcomes:
        spread = f"{duration(min(o.wall))} to {duration(max(o.wall))}"
        measured = [o.name, duration(o.seconds), spread, duration(median(o.cpu)), f"{o.peak_bytes / 1e6:.0f} MB"]
        ratios = [f"{o.seconds / ours:.3g}", f"{median(o.cpu) / ours_cpu:.3g}"]
        rows.append([*measured, *(tell(o) for tell in extra.values()), *ratios])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def show(title: str, command: str, body: str, *, packages: Sequence[str] = (), notes: Sequence[str] = ()) -> None:
    """Print one section: what was measured, by which command and on what, the table, and what else there is to say."""
    print(f"\n### {title}\n\n`{command}`  \n{machine(*packages)}\n\n{body}", flush=True)
    for note in notes:
        print(f"\n{note}", flush=True)
