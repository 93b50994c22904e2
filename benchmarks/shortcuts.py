"""What else than the match a scorer might hear: originals against themselves with one harmless or absurd change.

    python benchmarks/shortcuts.py --db DB [--scorer NAME] … [--write NAME]

Each vocal's original, 18 s of it, is scored beside itself with a layer played backwards (fits no more: the original
should win), with all layers stretched and shifted there and back (fits as before: near 50 %), and with two seconds of
silence at the end (fits as before). With --write the numbers are added to benchmarks/results/shortcuts.json and
shortcuts.md under that name.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that counts processors is imported

import numpy as np
from networks import cell, with_interval
from script import RESULTS, kept_in, rounded, run_script, write_results

from mashkit.bench.scorer_metrics import Examples, preferred
from mashkit.catalog import Catalog
from mashkit.catalog.database import MashupDB
from mashkit.errors import UsageError
from mashkit.mashup import Mashup
from mashkit.pipeline import Kit
from mashkit.rendering.output import environment
from mashkit.testing.mashups import Shelf, mashup_of
from mashkit.types import Audio, Clip, Role

SECONDS = 18.0
SILENCE_S = 2.0
TAKEN_S = 24.0
"""Of a clip, from its beginning: what is stretched should not end where the mashup does."""
THERE = {"speed": 1.07, "semitones": 1.0}
BACKWARDS = "{} backwards"
BACK, PADDED = "stretched there and back", "two seconds of silence"
WANTED = {**{BACKWARDS.format(role): "high" for role in Role}, BACK: "near 50", PADDED: "near 50"}


def backwards(audio: Audio) -> Audio:
    """Return the sound with its first seconds, which the mashup plays, from their end to their beginning."""
    played = round(SECONDS * audio.sample_rate)
    samples = audio.samples.copy()
    samples[:, :played] = samples[:, :played][:, ::-1]
    return Audio(samples, audio.sample_rate)


def there_and_back(kit: Kit) -> Callable[[Audio], Audio]:
    """Return what stretches and shifts a sound, and takes both back."""

    def changed(audio: Audio) -> Audio:
        away = kit.stretcher.stretch(audio, **THERE)
        back = kit.stretcher.stretch(away, speed=1 / THERE["speed"], semitones=-THERE["semitones"])
        missing = audio.frames - back.frames
        samples = np.pad(back.samples[:, : audio.frames], ((0, 0), (0, max(0, missing))))
        return Audio(samples, audio.sample_rate)

    return changed


def padded(audio: Audio) -> Audio:
    """Return the first seconds of a sound, and silence after them."""
    kept = round(SECONDS * audio.sample_rate)
    samples = np.zeros((audio.channels, kept + round(SILENCE_S * audio.sample_rate)), np.float32)
    samples[:, :kept] = audio.samples[:, :kept]
    return Audio(samples, audio.sample_rate)


def mashups(catalog: Catalog, clip: Clip, kit: Kit) -> dict[str, Mashup]:
    """Return a clip's original and its changed versions, by name."""
    stems = {role: catalog.stem(clip.id, role).excerpt(0.0, min(TAKEN_S, clip.duration - 0.01)) for role in Role}
    versions: dict[str, dict[Role, Audio]] = {"original": stems}
    for role in Role:
        versions[BACKWARDS.format(role)] = stems | {role: backwards(stems[role])}
    changed = there_and_back(kit)
    versions[BACK] = {role: changed(stem) for role, stem in stems.items()}
    versions[PADDED] = {role: padded(stem) for role, stem in stems.items()}
    shelf, made = Shelf(), {}
    for name, sounds in versions.items():
        kept = shelf.add(
            f"{clip.id} {name}", sounds, clip.analysis.within(0.0, min(s.duration for s in sounds.values()))
        )
        made[name] = mashup_of(shelf, kept, duration_s=SECONDS + SILENCE_S * (name == PADDED))
    return made


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--scorer", action="append", default=[])
    parser.add_argument("--match", default="", help="only clips whose title contains this")
    parser.add_argument("--write", metavar="NAME")
    arguments = parser.parse_args()
    kit = Kit()
    scorers = {name: Kit(scorer=name).scorer for name in arguments.scorer or ["intervalnet", "f0chroma", "amu"]}
    with MashupDB(arguments.db, write=False) as database:
        catalog = Catalog(database)
        clips = [clip for clip in catalog.clips if arguments.match in clip.title and clip.duration > SECONDS]
        if not clips:
            raise UsageError(
                f"no clip of {arguments.db} is longer than {SECONDS:g} s and has {arguments.match!r} in its title",
                "choose another --match or --db",
            )
        values: dict[str, dict[str, list[float]]] = {name: {} for name in scorers}
        for clip in clips:
            made = mashups(catalog, clip, kit)
            for name, scorer in scorers.items():
                for version, score in zip(made, scorer.score(list(made.values())), strict=True):
                    values[name].setdefault(version, []).append(score.value)
    titles = sorted({clip.song for clip in clips})
    songs = [titles.index(clip.song) for clip in clips]
    found = {name: preferences(versions, songs, len(titles)) for name, versions in values.items()}
    result = {
        "clips": len(clips), "songs": len(titles), "scorers": found,
        "weights": {name: dict(scorer.weights()) for name, scorer in scorers.items()}, "environment": environment(),
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if arguments.write:
        path = RESULTS / "shortcuts.json"
        kept = kept_in(path)
        kept["collections"][arguments.write] = rounded(result, 5)
        write_results(path, kept, page(kept["collections"]))


def preferences(
    versions: Mapping[str, Sequence[float]], songs: Sequence[int], count: int
) -> dict[str, dict[str, float | None]]:
    """Return how often the original scores above each version, ties half, %, and the 95 % interval by song."""
    original = Examples(versions["original"], songs, count)
    return {name: with_interval(preferred(original, versions[name]), 100) for name in WANTED}


def page(collections: Mapping[str, Any]) -> str:
    """Return the Markdown made of the numbers."""
    lines = [
        "# What else than the match scorers hear",
        "",
        "Made by `python benchmarks/shortcuts.py --db DB --write NAME`: how often an original, 18 s of it, scores "
        "above itself with one change, %. Backwards it fits no more, and the original should win; stretched and "
        "shifted there and back, or followed by two seconds of silence, it fits as before, and 50 is right. In "
        "brackets is the 95 % interval, by song.",
        "",
        "| collection | scorer | " + " | ".join(WANTED) + " |",
        "|---|---|" + "---|" * len(WANTED),
        "| | wanted | " + " | ".join(WANTED.values()) + " |",
    ]
    for name, result in collections.items():
        for scorer, found in result["scorers"].items():
            cells = " | ".join(cell(found[version], 0) for version in WANTED)
            lines.append(f"| {name}: {result['clips']} clips of {result['songs']} songs | `{scorer}` | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main)
