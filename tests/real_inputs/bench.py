"""What generators, benchmarks and callers give mashkit that once was lost or refused: made by code, a folder each."""

from __future__ import annotations

import json
from pathlib import Path

import attrs

from mashkit.synthetic.source import SyntheticSource
from mashkit.types import Condition, Key, Layer, MashupPlan, Role

OWN_GENERATOR = '''
import attrs
import numpy as np
from mashkit import ComponentInfo, Generator, Layer, MashupPlan, Promise, Role, hookimpl

INFO = ComponentInfo(name="acme-jam", target="acme_jam:Jam", summary="slow", provides={CONDITIONS},
                     code_license="MIT", thread_safe=True)

@hookimpl
def mashkit_register_generators():
    return [INFO]

@attrs.define(kw_only=True, eq=False)
class Jam(Generator):
    """Any vocal over itself, with gains and a limiter: it takes no option, and has conditions of its own."""

    info = INFO
    promises = {"slow jam": Promise(description="all as it is, and quiet", songs="one"),
                "loud jam": Promise(description="all as it is, and loud")}

    def _plan(self, clips, *, condition, count, seed, vocal):
        order = np.random.default_rng(seed).permutation(len(clips))
        for clip in (clips[int(index)] for index in order):
            if vocal in (None, clip.id):
                layers = [Layer(role=role, clip_id=clip.id, gain_db=-6.0) for role in Role]
                yield MashupPlan(condition=condition, layers=layers, duration_s=min(clip.duration, 30.0), seed=seed)
'''

DYING_SCORER = """
import sys
from mashkit import ComponentInfo, Score, Scorer, hookimpl

INFO = ComponentInfo(name="acme-dying", target="acme_dying_engine:Dying", summary="dies", provides={"x"},
                     code_license="MIT")

@hookimpl
def mashkit_register_scorers():
    return [INFO]
"""

DYING_ENGINE = """
import os, sys
print("libcuda.so.1: version mismatch", file=sys.stderr, flush=True)
os._exit(3)
"""


def _distribution(folder: Path, name: str, modules: dict[str, str], entry: str) -> Path:
    """Write modules and what an installer writes beside them; the folder is then one to put on the path."""
    folder.mkdir(parents=True, exist_ok=True)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mashkit]\n{name} = {entry}\n")
    return folder


def generator_with_one_condition(folder: Path) -> Path:
    """A plugin whose generator knows "slow jam" alone, and takes no option."""
    text = OWN_GENERATOR.replace("{CONDITIONS}", '{"slow jam"}')
    return _distribution(folder / "one-condition", "acme_jam", {"acme_jam": text}, "acme_jam")


def generator_with_two_conditions(folder: Path) -> Path:
    """The same with two conditions, neither of which is the paper's."""
    text = OWN_GENERATOR.replace("{CONDITIONS}", '{"slow jam", "loud jam"}')
    return _distribution(folder / "two-conditions", "acme_jam", {"acme_jam": text}, "acme_jam")


def scorer_that_dies_on_import(folder: Path) -> Path:
    """A plugin whose backend ends the process as it is imported, after a word on standard error."""
    modules = {"acme_dying": DYING_SCORER, "acme_dying_engine": DYING_ENGINE}
    return _distribution(folder / "dying", "acme_dying", modules, "acme_dying")


def interpreter_that_dies_at_once(folder: Path) -> Path:
    """A folder that, on PYTHONPATH, ends every benchmark worker before it has imported anything of mashkit's."""
    folder = folder / "broken-site"
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if any('mashkit.bench.worker' in one for one in sys.orig_argv):\n"
        "    print('no space left in /dev/shm', file=sys.stderr, flush=True)\n"
        "    os._exit(4)\n"
    )
    return folder


def _plan(condition: Condition | str) -> MashupPlan:
    clip = SyntheticSource([(Key(0, "major"), 120.0)], bars=16).clips[0]
    layers = [Layer(role=role, clip_id=clip.id, gain_db=-3.0) for role in Role]
    return MashupPlan(condition=condition, layers=layers, duration_s=30.0, seed=1, notes=["café – ♪"])


def plans_of_own_conditions(folder: Path) -> Path:
    """A file of plans as `generate` writes it, each of a condition this mashkit does not know."""
    path = folder / "plans.jsonl"
    names = ("slow jam", "Übergang", "half-time", "mine!", "1", "MATCHED")
    path.write_text("".join(f"{_plan(name).to_json()}\n" for name in names), encoding="utf-8")
    return path


def plan_json_of_a_mashup(folder: Path) -> Path:
    """A `plan.json` as `mash` writes it beside a mix: the plan lies under "plan", among other things."""
    path = folder / "plan.json"
    plan = _plan("slow jam")
    record = {"plan": {"id": plan.id, **plan.to_dict()}, "gain_db": 0.0, "licences": [], "frames": 1}
    path.write_text(json.dumps(record, indent=2), encoding="utf-8")
    return path


def result_of_other_inputs(folder: Path) -> Path:
    """A folder with a result of the suite "little" that was measured on other inputs, and its page."""
    folder = folder / "results"
    folder.mkdir(parents=True)
    suite = {"name": "little", "task": "scorers", "sha256": "0" * 64, "seed": 5, "timeout_s": 1, "settings": {}}
    result = {"format": 1, "suite": suite, "finished": "2026-01-01T00:00:00", "competitors": [], "rows": [],
              "metrics": [], "inputs_sha256": "1" * 64}  # fmt: skip
    (folder / "little.json").write_text(json.dumps(result))
    (folder / "little.html").write_text("<p>precious</p>")
    return folder


def result_cut_short(folder: Path) -> Path:
    """A folder with a result of the suite "little" that is no whole JSON."""
    folder = folder / "cut"
    folder.mkdir(parents=True)
    (folder / "little.json").write_text('{"format": 1, "suite": {"name"')
    return folder


def plan_with_everything(folder: Path) -> Path:
    """A plan with gains, fades, ducking and a limiter, to be finished otherwise."""
    path = folder / "everything.json"
    plan = _plan(Condition.MATCHED)
    mixing = attrs.evolve(plan.mixing, fade_in_s=1.0, fade_out_s=2.0, duck_db=3.0, limit_db=4.0)
    path.write_text(attrs.evolve(plan, mixing=mixing).to_json())
    return path
