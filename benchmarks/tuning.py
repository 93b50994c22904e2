"""Mashups of songs off A = 440 Hz: are they in tune, and does the key keep its name?

Each song is played like a record at another speed, by −50 to +50 cents. Key, tuning and shift are found anew of what
then sounds; a matched mashup over another song's vocal is rendered, and what its harmonic layer sounds at is measured
by librosa.estimate_tuning, which has no part in making it.

``python benchmarks/tuning.py [SONG…] [--analyzer NAME…] [--cents CENTS…] [--separated] [--write]``; by default the
songs of examples/songs. With --separated the mix is played at the other speed and then separated, as a user's file
would be; else it is separated once, and its stems are played so.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import librosa
import numpy as np
from script import RESULTS, rounded, run_script, write_results

from mashkit.audio.files import load, resample
from mashkit.builtin.paper import PaperGenerator
from mashkit.features.tuner import retuned, tuning_of
from mashkit.features.tuning import sounding_distance, tuned, wrapped
from mashkit.pipeline import Kit
from mashkit.rendering.output import environment
from mashkit.rendering.renderer import Renderer
from mashkit.testing.mashups import Shelf
from mashkit.types import Analysis, Audio, Clip, Condition, Role

HERE = Path(__file__).parent
CENTS = (-50, -45, -34, -20, -10, 0, 10, 20, 34, 45, 50)
EXCERPT_S = 25.0


@attrs.frozen
class Piece:
    """A song, or one played at another speed: its sound by role, and what an analyzer said of its mix."""

    name: str
    cents: float
    stems: Mapping[Role, Audio]
    analysis: Analysis
    mix_tuning: float | None


def shelved(shelf: Shelf, piece: Piece) -> Clip:
    """Put a piece on a shelf, and return the clip it makes; songs are told apart by name."""
    return attrs.evolve(shelf.add(f"{piece.name}{piece.cents:+g}", piece.stems, piece.analysis), song=piece.name)


def name_of(path: Path) -> str:
    """Return what a song is called: its file's name, or its folder's if the file is only called "audio"."""
    return path.stem if path.stem != "audio" else path.parent.name


def excerpt(path: Path) -> Audio:
    """Return the middle of a song, in stereo at 44.1 kHz."""
    audio = resample(load(path), 44_100)
    if audio.channels == 1:
        audio = Audio(np.repeat(audio.samples, 2, axis=0), audio.sample_rate)
    length = min(EXCERPT_S, audio.duration)
    start = (audio.duration - length) / 2
    return audio.excerpt(start, min(length, audio.duration - start - 1e-3))


def piece(
    kit: Kit, name: str, stems: Mapping[Role, Audio], beats: Analysis, cents: float, mix: Audio | None = None
) -> Piece:
    """Return a song played ``cents`` higher: key and tuning found of that sound, beats moved along.

    Its stems are those given, played so; with the mix given, what is separated of the mix played so.
    """
    if mix is not None and cents:
        separated = kit.separator.separate(retuned(mix, cents))
        heard = {role: separated.role(role) for role in Role}
    else:
        heard = {role: retuned(stem, cents) if cents else stem for role, stem in stems.items()}
    samples = np.sum([stem.samples for stem in heard.values()], axis=0, dtype=np.float32)
    sounds = Audio(samples, heard[Role.HARMONIC].sample_rate)
    # As in the catalog: the analyzer gets the mix, the tuner the harmonic stem.
    said = kit.analyzer.analyze(sounds)
    analysis = tuned(attrs.evolve(said, beats=None, downbeats=None), tuning_of(heard[Role.HARMONIC]))
    faster = 2 ** (cents / 1200)
    assert beats.beats is not None  # noqa: S101
    assert beats.tempo is not None  # noqa: S101
    moved = beats.beats / faster
    analysis = attrs.evolve(analysis, tempo=beats.tempo * faster, beats=moved, downbeats=moved[::4])
    return Piece(name, cents, heard, analysis, said.tuning)


def independent(audio: Audio) -> float:
    """Return what librosa takes for the tuning, cents."""
    mono = resample(Audio(audio.mono()[None], audio.sample_rate), 22_050).samples[0]
    return float(100 * librosa.estimate_tuning(y=mono, sr=22_050, n_fft=8192))


def measured(kit: Kit, paths: Sequence[Path], all_cents: Sequence[int], separated_after: bool) -> dict[str, Any]:
    """Return the figures of all songs at all tunings; 0 cents is among them."""
    bases, retunings = [], []
    for path in paths:
        name = name_of(path)
        mix = excerpt(path)
        separated = kit.separator.separate(mix)
        stems = {role: separated.role(role) for role in Role}
        beats = kit.analyzer.analyze(mix)
        pieces = [piece(kit, name, stems, beats, cents, mix if separated_after else None) for cents in all_cents]
        bases.append(pieces[all_cents.index(0)])
        retunings.append(pieces)
        print(f"{name}: {[one.analysis.tuning for one in pieces]}", file=sys.stderr, flush=True)
    rows = []
    for number, pieces in enumerate(retunings):
        base, seed = bases[number], bases[(number + 1) % len(bases)]
        goal = independent(seed.stems[Role.HARMONIC])
        for one in pieces:
            generator = PaperGenerator(max_shift=6, min_speed=0.4, max_speed=2.0, fold_tempo=True, min_duration_s=5.0)
            shelf = Shelf()
            sung, played = shelved(shelf, seed), shelved(shelf, attrs.evolve(one, name=f"{one.name} played"))
            (plan,) = generator.plan([sung, played], count=1, condition=Condition.MATCHED, seed=1, vocal=sung.id)
            layer = plan.layer(Role.HARMONIC)
            sound = Renderer(shelf, kit.stretcher).mashup(plan).layer_audio(Role.HARMONIC)
            base_shift = sounding_distance(base.analysis, seed.analysis)
            own_shift = sounding_distance(one.analysis, seed.analysis)
            assert base_shift is not None  # noqa: S101
            assert own_shift is not None  # noqa: S101
            rows.append(
                {
                    "song": one.name,
                    "cents": one.cents,
                    "key": str(one.analysis.key),
                    "tuning": one.analysis.tuning,
                    "confidence": one.analysis.confidence.get("tuning", 0.0),
                    "mix_tuning": one.mix_tuning,
                    "librosa": independent(one.stems[Role.HARMONIC]),
                    "semitones": layer.semitones,
                    # By how much the position found moves otherwise than the record did: a wrong name is 100 cents off.
                    "key_error": ((base_shift - own_shift) * 100 - one.cents + 600) % 1200 - 600,
                    "mistuning": wrapped(independent(sound) - goal),
                    "unshifted": wrapped(independent(one.stems[Role.HARMONIC]) - goal),
                }
            )
    return {"rows": rows, "analyzer": kit.analyzer.info.name, "separator": kit.separator.info.name,
            "stretcher": kit.stretcher.info.name, "cents": list(all_cents), "separated": separated_after}  # fmt: skip


def text_of(told: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    songs = len({row["song"] for row in told["results"][0]["rows"]})
    lines = [
        "# Songs off A = 440 Hz",
        "",
        "Made by `python benchmarks/tuning.py --write SONG…`. Each song is played like a record, −50 to +50 cents; the "
        "matched mashup over the next song's vocal is rendered, and what its harmonic layer sounds at is measured by "
        "librosa.estimate_tuning, against the vocal's own harmonic stem. *With whole semitones* is what the same layer "
        "would be off without the cents. *Another key* is a key that, with the tuning, is more than 50 cents off the "
        "song's own key moved like the record; the one found of the song as it is may be the wrong one. Excerpts of "
        f"{EXCERPT_S:g} s of {songs} songs.",
    ]
    for result in told["results"]:
        rows = result["rows"]
        when = "separated after the speed was changed" if result["separated"] else "separated before"
        lines += ["", f"## Keys by {result['analyzer']}, stems by {result['separator']}, {when}, {result['stretcher']}"]
        lines += [""]
        lines += [_summary("all", rows)]
        lines += ["", "| played at, cents | median mistuning | worst | with whole semitones, median | another key |"]
        lines += ["|---|---|---|---|---|"]
        for cents in result["cents"]:
            some = [row for row in rows if row["cents"] == cents]
            off = np.abs([row["mistuning"] for row in some])
            before = np.abs([row["unshifted"] for row in some])
            wrong = len(another_key(some))
            lines.append(
                f"| {cents:+d} | {np.median(off):.1f} | {off.max():.1f} | {np.median(before):.1f} | "
                f"{wrong} of {len(some)} |"
            )
        lines += ["", "| song | key as it is | our tuning of the harmonic stem | of the mix | librosa's of the stem "
                  "| confidence |"]  # fmt: skip
        lines += ["|---|---|---|---|---|---|"]
        for row in rows:
            if row["cents"] == 0:
                found = [_cents(row[name]) for name in ("tuning", "mix_tuning", "librosa")]
                lines.append(f"| {row['song']} | {row['key']} | {' | '.join(found)} | {row['confidence']:.2f} |")
    return "\n".join(lines) + "\n"


def another_key(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the songs of the rows whose key and tuning moved otherwise than the record, each as often as it did."""
    return [row["song"] for row in rows if abs(row["key_error"]) > 50]


def _cents(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f}"


def _summary(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    off = np.abs([row["mistuning"] for row in rows])
    keys = np.abs([row["key_error"] for row in rows])
    songs = Counter(another_key(rows))
    told = f" ({', '.join(f'{song} {times}' for song, times in songs.items())})" if songs else ""
    return (
        f"{len(rows)} mashups ({name}): median mistuning {np.median(off):.1f} cents, 90 % within "
        f"{np.percentile(off, 90):.1f}; key and tuning together move with the record to within {np.median(keys):.1f} "
        f"cents (median), {songs.total()} of {len(rows)} have another key{told}. Target: a median of 5 cents or less."
    )


def main() -> None:
    """Measure, print, and write with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", nargs="*", type=Path)
    parser.add_argument("--analyzer", nargs="+", default=["essentia"])
    parser.add_argument("--cents", nargs="+", type=int, default=list(CENTS))
    parser.add_argument("--separated", action="store_true", help="separate what was played at another speed")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    songs = arguments.songs or sorted((HERE.parent / "examples" / "songs").glob("*.ogg"))
    if len({name_of(path) for path in songs}) < max(2, len(songs)):
        parser.error(f"{len(songs)} songs are given: give 2 or more, each of another name")
    for path in songs:
        if not path.is_file():
            parser.error(f"there is no file {path}")
    all_cents = sorted({*arguments.cents, 0})
    results = [measured(Kit(analyzer=name), songs, all_cents, arguments.separated) for name in arguments.analyzer]
    told = {"environment": environment(), "results": results}
    text = text_of(told)
    print(text)
    if arguments.write:
        write_results(RESULTS / "tuning.json", rounded(told, 5), text)


if __name__ == "__main__":
    run_script(main)
