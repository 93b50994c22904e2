"""Are doubtful bars told from those to be believed, also in songs that the rules were not chosen on?

    python benchmarks/metre.py ROWS [--write]

ROWS is a JSON file of excerpts, as in benchmarks/results/metre.json: what madmom tracked in each, and how its downbeat
odds correlate with bars of each length (:func:`mashkit_madmom.bars.correlation`). Bars are right where they last as
long as those of the music, or half or twice as long; of a voice alone no bars are. Bars of rendered songs are exact; of
real ones they are by hand, by the publisher's or an UltraStar file's tempo or, of four, what both excerpts agree in.

Two numbers are in use: from which confidence on an analyzer is believed
(:data:`mashkit.timing.metre.LEAST_CONFIDENCE`), and by how much a longer bar must be clearer than the one tracked
(:data:`mashkit_madmom.bars.CLEARER`). They were chosen on many of these excerpts, and by no fixed rule, so they cannot
be chosen again without a song. So a fixed rule (:func:`worth`) chooses two numbers too: once on all songs, and once for
each song, on the others. What its numbers lose from the first to the second is what it gains by judging on the songs
that it chose on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from script import RESULTS, run_script

from mashkit.atomicfile import write_text
from mashkit.timing.metre import LEAST_CONFIDENCE
from mashkit_madmom.bars import CLEARER, confidence

VOICES = "a voice alone"
OFFERED = (5, 6, 7)
SAME_LENGTH = 0.04
CLEARER_TRIED = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
CONFIDENCE_TRIED = tuple(round(0.01 * step, 2) for step in range(0, 71))


@attrs.frozen
class Judged:
    """An excerpt as one choice of the clearer bar sees it.

    Parameters
    ----------
    song, kind : str
    right : bool
        Whether its bars are those of the music.
    confidence : float
    """

    song: str
    kind: str
    right: bool
    confidence: float


def judged(row: Mapping[str, Any], clearer: float) -> Judged:
    """Return whether the bars of an excerpt are right, and how sure the analyzer is, as ``bars.chosen`` finds them."""
    found = {int(length): value for length, value in row["correlation"].items()}
    length = row["tracked"]
    best, family = found[length], max(found[length], found[2 * length])
    for longer in OFFERED:
        if found[longer] > best + clearer and found[longer] > row["chance"]:
            length, best, family = longer, found[longer], max(found[longer], found[2 * longer])
    bar_s = length * 60 / row["bpm"]
    true_s = row["bar_s"]
    right = true_s is not None and any(abs(bar_s / true_s / factor - 1) < SAME_LENGTH for factor in (0.5, 1.0, 2.0))
    return Judged(row["song"], row["kind"], right, confidence(family, row["beats"]))


def worth(some: Sequence[Judged], threshold: float) -> float:
    """Return how well bars are told: the share of music believed rightly, less wrongly, and of voices doubted."""
    voices = [one.confidence < threshold for one in some if one.kind == VOICES]
    music = [(1 if one.right else -1) * (one.confidence >= threshold) for one in some if one.kind != VOICES]
    return float(np.mean(music) + np.mean(voices))


def chosen(rows: Mapping[float, Sequence[Judged]], without: str | None = None) -> tuple[float, float]:
    """Return clearer and threshold that are best on all songs but one; of equally good ones the middle."""
    scores = {
        (clearer, threshold): worth([one for one in some if one.song != without], threshold)
        for clearer, some in rows.items()
        for threshold in CONFIDENCE_TRIED
    }
    top = max(scores.values())
    best = sorted(pair for pair, score in scores.items() if score > top - 1e-9)
    return best[len(best) // 2]


def measured(excerpts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many bars are told rightly, with the numbers in use, those chosen on all songs and without each song.

    There are excerpts of two songs or more, both of music and of voices.
    """
    rows = {clearer: [judged(row, clearer) for row in excerpts] for clearer in CLEARER_TRIED}
    in_use = [(one, LEAST_CONFIDENCE) for one in rows[CLEARER]]
    left_out, picked = [], []
    for song in dict.fromkeys(row["song"] for row in excerpts):
        clearer, threshold = chosen(rows, song)
        picked.append((clearer, threshold))
        left_out += [(one, threshold) for one in rows[clearer] if one.song == song]
    clearer, threshold = on_all = chosen(rows)
    return {
        "excerpts": len(excerpts), "songs": len(picked), "chosen_on_all": on_all,
        "picked": sorted({pair: picked.count(pair) for pair in picked}.items()),
        "in_use": counted(in_use), "on_all": counted([(one, threshold) for one in rows[clearer]]),
        "left_out": counted(left_out),
    }  # fmt: skip


def counted(some: Sequence[tuple[Judged, float]]) -> dict[str, list[int]]:
    """Return of each kind: right bars believed, right bars, wrong bars doubted, wrong bars."""
    found = {}
    for kind in [*dict.fromkeys(one.kind for one, _ in some), "all"]:
        of_kind = [(one, threshold) for one, threshold in some if kind in (one.kind, "all")]
        right = [one.confidence >= threshold for one, threshold in of_kind if one.right]
        wrong = [one.confidence < threshold for one, threshold in of_kind if not one.right]
        found[kind] = [sum(right), len(right), sum(wrong), len(wrong)]
    return found


def page(result: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    clearer, threshold = result["chosen_on_all"]
    picked = ", ".join(
        f"{threshold:.2f} and {clearer:g} ({times} songs)" for (clearer, threshold), times in result["picked"]
    )
    lines = [
        "# Doubtful bars", "",
        "Made by `python benchmarks/metre.py benchmarks/results/metre.json --write`: what is counted is described "
        "there. "
        f"{result['excerpts']} excerpts of 17 to 60 s of {result['songs']} songs, heard by madmom. Each cell has the "
        "right bars that are believed, and the wrong bars that are doubted.", "",
        f"| excerpts | numbers in use: {LEAST_CONFIDENCE:g} and {CLEARER:g} | "
        f"chosen by rule on all songs: {threshold:g} and {clearer:g} | chosen by rule, each song left out |",
        "|---|---|---|---|",
    ]  # fmt: skip
    for kind in result["in_use"]:
        cells = [
            f"{believed} of {right}, {doubted} of {wrong}"
            for believed, right, doubted, wrong in (result[which][kind] for which in ("in_use", "on_all", "left_out"))
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    lines += [
        "",
        "The first number is the least confidence that is believed, the second by how much a longer bar must be "
        f"clearer. With a song left out, the rule chose: {picked}. The numbers in use were chosen earlier on many of "
        "these excerpts, and not by this rule: no column shows them on songs that they were not chosen on.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Count, print, and write with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, metavar="ROWS")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    excerpts = json.loads(arguments.rows.read_text(encoding="utf-8"))
    voices = len({row["song"] for row in excerpts if row["kind"] == VOICES})
    music = len({row["song"] for row in excerpts if row["kind"] != VOICES})
    if min(voices, music) < 2:  # because the rule chooses on the others
        parser.error(f"{arguments.rows} has {music} songs and {voices} voices: give 2 or more of each")
    result = measured(excerpts)
    print(page(result))
    if arguments.write:
        write_text(RESULTS / "metre.md", page(result))


if __name__ == "__main__":
    run_script(main)
