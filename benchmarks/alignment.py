"""How well matched mashups keep time and key: each backing layer's beats against the vocal's, over the whole length.

Two measures a layer, in ms, median and 95th percentile over the vocal's beats:

- *planned*: the beats found in the clips, carried by the plan. What alignment can do with the analysis it has.
- *heard*: the beats the same analyzer finds in the rendered backing (harmony + percussion), which knows nothing of the
  plan: also catches what the stretcher does, and what the analyzer got wrong in the clip.

With --write the result is kept as benchmarks/results/alignment.json and alignment.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import mashkit as mk
from mashkit.beats import beat_error
from mashkit.output import environment, key_distance
from mashkit.types import Role

HERE = Path(__file__).parent
MARGIN_S = 0.5
"""At the ends of an excerpt an analyzer sees half of what it needs: beats this near are not measured by *heard*."""


def spread(errors_s: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return median and 95th percentile of the absolute errors, ms."""
    size = 1000 * np.abs(errors_s)
    return {"median_ms": float(np.median(size)), "p95_ms": float(np.percentile(size, 95))}


def measure(mashup: mk.Mashup, analyzer: mk.Analyzer) -> dict[str, Any]:
    """Measure one mashup; renders it."""
    grid = mashup.beats()
    seed = mashup.clips[Role.VOCAL]
    backing = mk.Audio(mashup.stems[Role.HARMONIC].samples + mashup.stems[Role.PERCUSSION].samples, mashup.sample_rate)
    inner = grid[(grid > MARGIN_S) & (grid < mashup.plan.duration_s - MARGIN_S)]
    heard = analyzer.analyze(backing).beats
    layers = {}
    for role in (Role.HARMONIC, Role.PERCUSSION):
        layer, clip = mashup.plan.layer(role), mashup.clips[role]
        beats = layer.to_mashup(clip.analysis.beats)
        covered = grid[(grid >= beats[0]) & (grid <= beats[-1])]
        layers[str(role)] = {
            "title": clip.title,
            "speed": layer.speed,
            "semitones": layer.semitones,
            "key_distance": key_distance(layer, clip, seed) if role is Role.HARMONIC else None,
            "planned": spread(beat_error(covered, beats)),
        }
    return {
        "plan": mashup.plan.id,
        "vocal": seed.title,
        "duration_s": mashup.plan.duration_s,
        "beats": len(grid),
        "layers": layers,
        "heard": None if heard is None or len(heard) == 0 else spread(beat_error(inner, heard)),
    }


def main() -> None:
    """Measure the mashups `mashkit mash` would keep, best first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path, nargs="+")
    parser.add_argument("--top", type=int, default=9)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    kit = mk.Kit()
    catalog = kit.catalog(arguments.songs)
    best = kit.rank(kit.generate(catalog, count=arguments.count, seed=arguments.seed), top=arguments.top, per_vocal=1)
    rows = []
    for ranked in best:
        row = {"rank": ranked.rank, "score": ranked.score.value, **measure(ranked.mashup, kit.analyzer)}
        rows.append(row)
        print(line(row), flush=True)
    components = [*catalog.provenance().values(), kit.stretcher.describe()]
    result = {"rows": rows, "seed": arguments.seed, "components": components, "environment": environment()}
    if arguments.write:
        write(result)


def line(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    cells = [f"{row['rank']}", row["vocal"], f"{row['duration_s']:.1f}"]
    for layer in row["layers"].values():
        planned = layer["planned"]
        cells.append(
            f"{layer['title']} × {layer['speed']:.3f} {layer['semitones']:+.0f}: "
            f"{planned['median_ms']:.0f} / {planned['p95_ms']:.0f} ms"
            + ("" if layer["key_distance"] is None else f", key distance {layer['key_distance']:g}")
        )
    heard = row["heard"]
    cells.append("no beats" if heard is None else f"{heard['median_ms']:.0f} / {heard['p95_ms']:.0f} ms")
    return "| " + " | ".join(cells) + " |"


def write(result: dict[str, Any]) -> None:
    """Keep the result as JSON and as the page made from it."""
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / "alignment.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    lines = [
        "# Do the layers keep time and key?",
        "",
        "Made by `python benchmarks/alignment.py SONGS --write`: the mashups `mashkit mash` keeps, best first. Errors",
        "of beats against the vocal's grid, median / 95th percentile; *planned* for each layer, *heard* in the",
        "rendered backing (see the script).",
        "",
        "| rank | vocal | s | harmonic | percussion | heard |",
        "|---|---|---|---|---|---|",
        *(line(row) for row in result["rows"]),
        "",
    ]
    (folder / "alignment.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
