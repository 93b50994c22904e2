"""How much memory an hour of sound takes: `mashkit separate` or `analyze` on one generated hour of stereo.

Each case is the command a user types, in a process of its own, with decoding and encoding. Memory is the kernel's
count of resident pages (/proc/<pid>/status), summed over the process and all it starts, ten times a second. Mapped
files count in it while their pages are resident, although the kernel takes those back when others need memory; "not
given back" is what it cannot take without swap (anonymous and tmpfs pages). The page cache of files that are read or
written, but not mapped, counts nowhere: it is nobody's. Linux only.

The result of each case is added to benchmarks/results/long_audio.json with --write, and long_audio.md is made from it;
both are of an hour alone.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import soundfile
from script import RESULTS, run_script, write_results

import mashkit as mk
from mashkit.rendering.output import environment
from mashkit.workers.processes import family

HERE = Path(__file__).parent
SONG = HERE.parent / "examples" / "songs" / "mango-season.ogg"
TARGET_GB = 4.0
VERBS = {"separator": "separating", "analyzer": "analysing"}
HOUR = 60.0
"""Minutes of the sound that results are kept of."""
FIELDS = ("VmRSS", "RssAnon", "RssShmem")


# ------------------------------------------------------------------------------------------------------------ input
def generate(path: Path, minutes: float) -> None:
    """Write stereo at 44.1 kHz: a song over and over, each time at another level and with other noise."""
    song = mk.load(SONG).samples.T
    rate, left = 44_100, round(minutes * 60 * 44_100)
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, 2, "PCM_16", format="FLAC") as file:
        while left:
            turn = song * np.float32(generator.uniform(0.3, 0.9))
            turn = turn + 0.003 * generator.standard_normal(turn.shape, dtype=np.float32)
            file.write(turn[:left])
            left -= len(turn[:left])


# ------------------------------------------------------------------------------------------------------------ cases
def small_demucs(folder: Path) -> list[str]:
    """Write an untrained hybrid transformer of 8 channels."""
    from demucs.htdemucs import HTDemucs

    model = HTDemucs(_SOURCES, channels=8, t_layers=1, t_heads=2, segment=Fraction(39, 5))
    return _save_demucs(model, folder)


def whole_demucs(folder: Path) -> list[str]:
    """Write an untrained hybrid transformer of the size of htdemucs (demucs 4's conf/variant/finetune.yaml and its)."""
    from demucs.htdemucs import HTDemucs

    return _save_demucs(HTDemucs(_SOURCES, bottom_channels=512, segment=Fraction(39, 5), t_layers=5), folder)


_SOURCES = ["drums", "bass", "other", "vocals"]


def _save_demucs(model: Any, folder: Path) -> list[str]:
    import torch

    args, kwargs = model._init_args_kwargs
    package = {"klass": type(model), "args": args, "kwargs": kwargs, "state": model.state_dict()}
    torch.save(package, folder / "untrained.th")
    return ["-O", "separator.model=untrained", "-O", f"separator.folder={folder}"]


def small_openunmix(folder: Path) -> list[str]:
    """Write untrained networks of width 16."""
    return _save_openunmix(folder, 16)


def whole_openunmix(folder: Path) -> list[str]:
    """Write untrained networks of the size of umxl."""
    return _save_openunmix(folder, 1024)


def _save_openunmix(folder: Path, hidden: int) -> list[str]:
    import torch

    from mashkit_openunmix.library import OpenUnmix

    common = {"sample_rate": 44100.0, "nfft": 4096, "nhop": 1024, "nb_channels": 2}
    (folder / "separator.json").write_text(json.dumps(common))
    for stem in ("vocals", "drums", "bass", "other"):
        network = OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=hidden, max_bin=1487)
        about = {"args": {"nfft": 4096, "nb_channels": 2, "hidden_size": hidden, "target": stem}}
        (folder / f"{stem}.json").write_text(json.dumps(about))
        torch.save(network.state_dict(), folder / f"{stem}.pth")
    return ["-O", f"separator.folder={folder}"]


def whole_beat_this(folder: Path) -> list[str]:
    """Write an untrained network of the size of final0, as Lightning does for beat_this."""
    import torch
    from beat_this.model.beat_tracker import BeatThis

    torch.manual_seed(0)
    state = {f"model.{name}": value for name, value in BeatThis().state_dict().items()}
    sizes = {name: one.default for name, one in inspect.signature(BeatThis).parameters.items()}
    torch.save({"state_dict": state, "hyper_parameters": sizes}, folder / "untrained.ckpt")
    return ["-O", "analyzer.model=untrained", "-O", f"analyzer.folder={folder}"]


@attrs.frozen
class Case:
    """A component, the weights it runs with, and its kind."""

    component: str
    weights: str
    options: Callable[[Path], list[str]] = attrs.field(default=lambda folder: [])
    kind: str = "separator"


CASES = {
    "librosa": Case("librosa", "–"),
    "spleeter-torch": Case("spleeter-torch", "trained"),
    "stemnet": Case("stemnet", "trained"),
    "spleeter": Case("spleeter", "trained"),
    "openunmix-small": Case("openunmix", "untrained, width 16", small_openunmix),
    "openunmix-umxl": Case("openunmix", "untrained, the size of umxl", whole_openunmix),
    "demucs-small": Case("demucs", "untrained, 8 channels", small_demucs),
    "demucs-htdemucs": Case("demucs", "untrained, the size of htdemucs", whole_demucs),
    "beat-this": Case("beat-this", "untrained, the size of final0", whole_beat_this, "analyzer"),
}


# -------------------------------------------------------------------------------------------------------- measuring
def measure(case: Case, mix: Path, minutes: float, folder: Path) -> dict[str, Any]:
    """Run the case's command on ``mix`` and return what it took."""
    models = folder / "models"
    models.mkdir()
    program = Path(sys.executable).with_name("mashkit")
    verb = {"separator": "separate", "analyzer": "analyze"}[case.kind]
    command = [str(program), verb, str(mix), "-o", str(folder / "made"), f"--{case.kind}", case.component]
    command += ["--json", *case.options(models)]
    start = time.perf_counter()
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)  # noqa: S603 — ours
    peaks = dict.fromkeys(("resident", "kept"), 0)
    while process.poll() is None:
        pages = [sum(column) for column in zip(*map(_memory, family(process.pid)), strict=True)]
        if pages:
            peaks = {"resident": max(peaks["resident"], pages[0]), "kept": max(peaks["kept"], pages[1] + pages[2])}
        time.sleep(0.1)
    if process.returncode != 0:
        raise SystemExit(f"{case.component}: exit status {process.returncode}: {(folder / 'said').read_text()[-2000:]}")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "component": case.component,
        "kind": case.kind,
        "weights": case.weights,
        "minutes": minutes,
        "peak_resident_gb": peaks["resident"] / 1e9,
        "peak_not_given_back_gb": peaks["kept"] / 1e9,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.perf_counter() - start,
        "environment": environment(),
        "machine": {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "load": os.getloadavg()[0],
    }


def _memory(pid: int) -> tuple[int, ...]:
    """Return bytes of the fields of a process's status; zeros where it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return (0,) * len(FIELDS)
    values = dict(line.split(":", 1) for line in lines)
    return tuple(1024 * int(values.get(field, "0 kB").split()[0]) for field in FIELDS)


# ----------------------------------------------------------------------------------------------------------- result
def write(rows: dict[str, dict[str, Any]]) -> None:
    """Keep the rows with those measured before, as JSON and as the page made from it."""
    path = RESULTS / "long_audio.json"
    rows = (json.loads(path.read_text())["rows"] if path.exists() else {}) | rows
    rows = {name: rows[name] for name in CASES if name in rows}
    kinds = {row["kind"] for row in rows.values()}
    missing = [f"{case.kind} `{case.component}`, {case.weights}" for name, case in CASES.items() if name not in rows]
    lines = [
        f"# Memory of {' and '.join(VERBS[kind] for kind in VERBS if kind in kinds)} an hour",
        "",
        "Made by `python benchmarks/long_audio.py CASE --write`: `mashkit separate` or `analyze` on one generated file,"
        " stereo at 44.1 kHz, decoding and encoding included, everything it starts added up.",
        "",
        "| kind | component | weights | minutes | peak resident, GB | of it not given back, GB | CPU, s |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row['kind']} | `{row['component']}` | {row['weights']} | {row['minutes']:g}"
            f" | {row['peak_resident_gb']:.2f} | {row['peak_not_given_back_gb']:.2f} | {row['cpu_s']:.0f} |"
            for row in rows.values()
        ),
        "",
        *([f"Not measured: {'; '.join(missing)}.", ""] if missing else []),
        f"Target: under {TARGET_GB:g} GB resident for an hour. Resident pages of mapped files count in the first"
        " number, although the kernel takes them back when others need memory; the second is what it cannot take"
        " without swap: each is the largest of its kind, sampled ten times a second. Stems of more than ten minutes lie"
        " in temporary files ([audio/buffers.py](../../mashkit/audio/buffers.py)): an hour needs 1.3 GB a stem"
        " there, and as much for the mix.",
        "",
    ]
    write_results(path, {"target_gb": TARGET_GB, "rows": rows}, "\n".join(lines), indent=2)


def main() -> None:
    """Measure the named cases, print, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES, help="one a run: CPU seconds are those of all its processes")
    parser.add_argument("--minutes", type=float, default=HOUR, help="default: %(default)g, which --write needs")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    if not arguments.minutes > 0:
        parser.error(f"argument --minutes: {arguments.minutes:g} is not above 0")
    if arguments.write and arguments.minutes != HOUR:
        parser.error(f"long_audio.md is about an hour: --write needs --minutes {HOUR:g}, the default")
    with tempfile.TemporaryDirectory() as folder:
        mix = Path(folder) / "hour.flac"
        generate(mix, arguments.minutes)
        row = measure(CASES[arguments.case], mix, arguments.minutes, Path(folder))
    print(json.dumps(row, indent=2))
    if arguments.write:
        write({arguments.case: row})


if __name__ == "__main__":
    run_script(main)
