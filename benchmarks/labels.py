"""Are labels that fit a recording accepted, and those that do not refused?

    python benchmarks/labels.py --data FOLDER [--analyzer NAME] [--kept FOLDER] [--write]

Songs are the demo songs (labels exact), multitracks (beats by hand, or the publisher's tempo from the file's beginning)
and songs with an UltraStar file. Where most syllables of such a file lie near every fourth line of its grid, that grid
has the song's tempo. Its lines may still be early or late by a tenth of a second; true beats are these lines, moved by
so much that most attacks in the sound fall on them (:func:`onset_delay`), which asks no tracker. Of other UltraStar
files the grid has nothing to do with the beat: its tempo is a wrong label that people have.

The excerpts that ``db add`` would take are analysed once. True labels, and every wrong one of :func:`wrong_beats`,
:func:`wrong_keys` and :data:`WRONG_TEMPI`, are then given to the check of ``db add``
(:func:`mashkit.catalog.clips.require_fit`): beats alone, and with the key and the tempo that belong to them beside.

Of annotations/harmonix.tar.xz, pairs of songs are drawn: one's beats stand for the estimated beats, the other's for
labels. With --write, benchmarks/results/labels.json and labels.md are written. Seeded: two runs give the same numbers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from script import RESULTS, existing_folder, run_script, write_results

from mashkit.atomicfile import write_text
from mashkit.audio.files import load, resample
from mashkit.bench.identity import identity_of
from mashkit.bench.labelled import Labels
from mashkit.bench.registered import labelled, labels_of
from mashkit.catalog.clips import require_fit
from mashkit.catalog.excerpts import SAMPLE_RATE, Excerpt, ExcerptPolicy
from mashkit.catalog.songs import Song
from mashkit.errors import AudioFileError
from mashkit.interfaces import Analyzer
from mashkit.models import file_sha256
from mashkit.pipeline import Kit
from mashkit.rendering.output import environment
from mashkit.timing.beats import tempo_of_beats
from mashkit.types import Analysis, Audio, Key, Times

SEED = 1
ON_LINES = 0.5
"""Length of the mean of the syllables' places between every fourth line, as unit vectors weighted by how long they are
sung, from which on an UltraStar grid is that of the beats: five songs have 0.60 and more, four 0.25 and less."""
LINES = 4
HOP_S = 0.005
"""Time between two frames in which attacks are looked for."""
USUAL_TEMPO = (70.0, 140.0)
"""An UltraStar grid has four, eight or sixteen lines a beat: it is halved until its tempo lies here."""
PAIRS = {"any": 2_000, "same tempo": 400}
OUTCOMES = ("accepted", "accepted, with a note", "refused")
WRONG_TEMPI = {"BPM of another song (124 for 140)": 124 / 140, "BPM 6 % too high": 1.06, "BPM of twice the tempo": 2.0}
BY_SCORE, BY_HAND, BY_PUBLISHER, BY_KARAOKE, NO_BEATS = (
    "as composed", "by hand", "publisher's tempo from the file's beginning", "UltraStar grid, moved onto the attacks",
    "UltraStar grid that has nothing to do with the beat",
)  # fmt: skip


@attrs.frozen
class Labelled:
    """A recording, what is true of it, and what an analyzer finds.

    Parameters
    ----------
    title, artist, by : str
        ``by`` says where the labels are from.
    duration_s : float
    truth : Analysis
        Labels, times from the song's beginning.
    excerpts : tuple of Excerpt
    found : tuple of Analysis
        What the analyzer finds in each excerpt.
    as_given : array of float, optional
        Beats of an UltraStar file, not moved.
    """

    title: str
    artist: str
    by: str
    duration_s: float
    truth: Analysis
    excerpts: tuple[Excerpt, ...]
    found: tuple[Analysis, ...]
    as_given: Times | None = None


# ---------------------------------------------------------------------------------------------------------- the songs
def labelled_songs(data: Path, analyzer: str, kept: Path | None) -> Iterator[Labelled]:
    """Yield all songs that have labels of beats or tempo."""
    component = Kit(analyzer=analyzer).analyzer
    cards = labelled()
    for labels in (piece for name in ("demo", "multitracks", "ultrastar") for piece in labels_of(cards[name], data)):
        duration_s, excerpts, found = analysed(labels, component, kept)
        as_given = None
        by, truth = BY_SCORE, Analysis(
            key=None if labels.key is None else Key.parse(labels.key), tempo=labels.tempo,
            beats=labels.beats, downbeats=labels.downbeats,
        )  # fmt: skip
        if labels.collection == "multitracks":
            by = BY_HAND if labels.beats is not None else BY_PUBLISHER
            if truth.beats is None and truth.tempo is not None:
                beats = np.arange(0.0, duration_s, 60 / truth.tempo)
                truth = attrs.evolve(truth, beats=beats, downbeats=beats[::4])
        if labels.grid is not None:
            truth, as_given = karaoke(labels.files[0], duration_s, kept)
            by = NO_BEATS if as_given is None else BY_KARAOKE
        artist = labels.name.split(" - ")[0] if " - " in labels.name else "mashkit"
        print(f"{labels.name}: {by}", flush=True)
        yield Labelled(labels.name, artist, by, duration_s, truth, tuple(excerpts), tuple(found), as_given)


def kept_file(kept: Path, name: str, *depends: object) -> Path:
    """Return the file in which a result is kept; its name has a hash of all that the result depends on."""
    digest = hashlib.sha256(json.dumps(depends).encode()).hexdigest()
    return kept / f"{name} {digest[:12]}.json"


def analysed(labels: Labels, analyzer: Analyzer, kept: Path | None) -> tuple[float, list[Excerpt], list[Analysis]]:
    """Return a song's length, its excerpts and what an analyzer says of each; kept in the folder, if there is one."""
    file = None
    if kept is not None:
        policy = attrs.asdict(ExcerptPolicy())
        sounds = [file_sha256(path) for path in labels.files]
        file = kept_file(kept, f"{analyzer.info.name} {labels.name}", identity_of(analyzer), policy, sounds)
    if file is None or not file.exists():
        mix = total([load(path) for path in labels.files])
        # What is too short for db add is compared all the same: as one excerpt.
        excerpts = ExcerptPolicy().excerpts(mix.duration) or [Excerpt(0.0, mix.duration)]
        said = [analyzer.analyze(mix.excerpt(one.start, one.duration)).to_dict() for one in excerpts]
        result = {"duration_s": mix.duration, "excerpts": [[one.start, one.duration] for one in excerpts], "said": said}
        if file is not None:
            write_text(file, json.dumps(result))
    else:
        result = json.loads(file.read_text(encoding="utf-8"))
    found = [Analysis.from_dict(one) for one in result["said"]]
    return result["duration_s"], [Excerpt(*span) for span in result["excerpts"]], found


def total(parts: Sequence[Audio]) -> Audio:
    """Return the sum of sounds in stereo at the clips' rate."""
    parts = [resample(part, SAMPLE_RATE) for part in parts]
    mix = np.zeros((2, max(part.frames for part in parts)), np.float32)
    for part in parts:
        mix[:, : part.frames] += part.samples
    return Audio(mix, SAMPLE_RATE)


def karaoke(sound: Path, duration_s: float, kept: Path | None) -> tuple[Analysis, Times | None]:
    """Return what an UltraStar file tells of tempo and beats, and the beats as they are before they are moved.

    Of one whose grid has nothing to do with the beat, the tempo alone.
    """
    heads: dict[str, float] = {}
    syllables: list[tuple[int, int]] = []
    for line in (sound.parent / "song.txt").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(("#BPM:", "#GAP:")):
            heads[line[1:4]] = float(line[5:].replace(",", "."))
        elif line[:1] in (":", "*"):
            syllables.append((int(line.split()[1]), int(line.split()[2])))
    tempo, lines = heads["BPM"], LINES
    while tempo > USUAL_TEMPO[1]:
        tempo, lines = tempo / 2, 2 * lines
    begin, length = np.array(syllables).T
    sung = np.bincount(begin % lines, weights=length, minlength=lines)
    if abs(np.sum(sung * np.exp(2j * np.pi * np.arange(lines) / LINES))) < ON_LINES * sung.sum():
        return Analysis(tempo=tempo), None
    period = 60 / tempo
    first = (heads["GAP"] / 1000 + int(sung.argmax()) * period / lines) % period
    given = np.arange(first, duration_s, period)
    spacing = period * LINES / lines
    file = None
    if kept is not None:
        file = kept_file(kept, f"attacks {sound.parent.name}", file_sha256(sound), first, spacing, HOP_S)
    if file is not None and file.exists():
        late = json.loads(file.read_text(encoding="utf-8"))
    else:
        late = onset_delay(load(sound), first, spacing)
        if file is not None:
            write_text(file, json.dumps(late))
    moved = np.arange((first + late) % period, duration_s, period)
    return Analysis(tempo=tempo, beats=moved), given


def onset_delay(audio: Audio, first: float, spacing: float) -> float:
    """Return by how much attacks are later than lines so far apart, seconds, within half of that."""
    hop = round(HOP_S * audio.sample_rate)
    mono = np.diff(audio.mono())  # the higher, the louder: attacks are bright
    frames = mono[: len(mono) // hop * hop].reshape(-1, hop)
    level = np.log(np.square(frames).mean(axis=1) + 1e-6)
    rise = np.maximum(level[2:] - level[:-2], 0)
    at = (np.arange(len(rise)) + 1.5) * hop / audio.sample_rate
    mean = complex(np.sum(rise * np.exp(2j * np.pi * (at - first) / spacing)))
    return float(np.angle(mean)) / (2 * np.pi) * spacing


# ------------------------------------------------------------------------------------------------------ wrong labels
def wrong_beats(truth: Analysis, duration_s: float, others: Times) -> Iterator[tuple[str, Times, Times]]:
    """Yield wrong beats of a song, with where bars begin, and in what they are wrong."""
    beats = truth.beats
    assert beats is not None  # noqa: S101
    downbeats = beats[:1] if truth.downbeats is None else truth.downbeats
    first = int(np.searchsorted(beats, downbeats[0]))
    period = float(np.median(np.diff(beats)))
    random = np.random.default_rng(SEED)

    def every(times: Times, length: int, begin: int = first) -> tuple[Times, Times]:
        inside = times[(times >= 0) & (times < duration_s)]
        return inside, inside[begin % length :: length]

    def scaled(factor: float) -> Times:
        return beats[0] + (beats - beats[0]) * factor

    between = np.sort(np.concatenate([beats, beats[:-1] + np.diff(beats) / 2]))
    jumbled = beats[0] + np.concatenate([[0.0], np.cumsum(random.uniform(0.3, 1.7, len(beats) - 1) * period)])
    yield "of another song", *every(others, 4)
    yield "grid of another tempo (124 on 140)", *every(np.arange(beats[0], duration_s, period * 140 / 124), 4)
    yield "tempo 2 % off, drifting apart", *every(scaled(1.02), 4)
    yield "tempo 0.5 % off, drifting apart", *every(scaled(1.005), 4)
    yield "shuffled: beats at random distances", *every(jumbled, 4)
    yield "0.05 s late", *every(beats + 0.05, 4)
    yield "0.1 s late", *every(beats + 0.1, 4)
    yield "0.2 s late", *every(beats + 0.2, 4)
    yield "a quarter of a beat late", *every(beats + period / 4, 4)
    yield "half a beat late", *every(beats + period / 2, 4)
    yield "double tempo", *every(between, 4, 2 * first)
    yield "half tempo", *every(beats[first % 2 :: 2], 4, first // 2)
    yield "bars one beat late", *every(beats, 4, first + 1)
    yield "bars two beats late", *every(beats, 4, first + 2)
    yield "bars of three on four", *every(beats, 3)


def wrong_keys(key: Key) -> dict[str, Key]:
    """Return wrong keys of a song."""
    relative = Key((key.tonic + 9) % 12, "minor") if key.mode == "major" else Key((key.tonic + 3) % 12, "major")
    return {
        "key a fifth off": key.transposed(7), "key a semitone off": key.transposed(1),
        "key three semitones off": key.transposed(3), "the relative key": relative,
        "the parallel key": Key(key.tonic, "minor" if key.mode == "major" else "major"),
    }  # fmt: skip


def verdict(song: Labelled, known: Analysis) -> dict[str, Any]:
    """Return what becomes of a song with these labels."""
    labelled = Song(path=Path(song.title), title=song.title, known=known)
    try:
        notes = require_fit(labelled, song.excerpts, song.found)
    except AudioFileError as error:
        return {"outcome": OUTCOMES[2], "said": [error.problem]}
    return {"outcome": OUTCOMES[1] if notes else OUTCOMES[0], "said": notes}


def measured(songs: Sequence[Labelled]) -> list[dict[str, Any]]:
    """Return the verdict on every song's true and wrong labels."""
    rows = []
    for number, song in enumerate(songs):
        truth, key = song.truth, song.truth.key
        others = [one.truth.beats for one in (*songs[number + 1 :], *songs[:number]) if one.truth.beats is not None]

        def add(kind: str, what: str, stated: str, known: Analysis, song: Labelled = song) -> None:
            found = verdict(song, known)
            about = {"song": song.title, "artist": song.artist, "by": song.by}
            rows.append({**about, "kind": kind, "what": what, "stated": stated, **found})

        def add_beats(kind: str, what: str, beats: Times, bars: Times, key: Key | None = key) -> None:
            known = Analysis(beats=beats, downbeats=bars)
            add(kind, what, "beats alone", known)
            both = "with key and bpm" if key is not None else "with bpm"
            add(kind, what, both, attrs.evolve(known, key=key, tempo=tempo_of_beats(beats)))

        if song.by == NO_BEATS:
            add("tempo", "BPM of " + NO_BEATS, "bpm", Analysis(tempo=truth.tempo))
            continue
        if truth.tempo is not None:
            add("true", "BPM alone", "bpm", Analysis(tempo=truth.tempo))
            for what, factor in WRONG_TEMPI.items():
                add("tempo", what, "bpm", Analysis(tempo=truth.tempo * factor))
        if truth.beats is None:
            continue
        add_beats("true", song.by, truth.beats, truth.beats[:0] if truth.downbeats is None else truth.downbeats)
        if song.as_given is not None:
            add_beats("given", "UltraStar grid as it is", song.as_given, song.as_given[:0])
        for what, beats, bars in wrong_beats(truth, song.duration_s, others[0]):
            if truth.downbeats is not None or not what.startswith("bars"):
                add_beats("beats", what, beats, bars)
        for what, other in wrong_keys(key).items() if key is not None else ():
            known = attrs.evolve(truth, key=other, tempo=tempo_of_beats(truth.beats))
            add("key", what, "with beats and bpm", known)
    return rows


# --------------------------------------------------------------------------------------------------- labels mixed up
def mixed_up(archive: Path) -> dict[str, Any]:
    """Return how often another song's labels pass: of any song, and of one of the very same tempo."""
    songs = []
    with tarfile.open(archive) as file:
        for member in sorted(file.getnames()):
            if "/beats_and_downbeats/" in member and member.endswith(".txt"):
                opened = file.extractfile(member)
                assert opened is not None  # noqa: S101
                lines = [line.split() for line in opened.read().decode().splitlines() if line.strip()]
                beats = np.array([float(line[0]) for line in lines])
                tempo = tempo_of_beats(beats)
                if tempo is not None:
                    songs.append((beats, tempo))
    random = np.random.default_rng(SEED)
    tempi = np.array([tempo for _, tempo in songs])
    alike = [(a, b) for a, b in np.argwhere(np.abs(tempi[:, None] / tempi - 1) < 0.002).tolist() if a != b]
    drawn = random.permutation(len(songs) ** 2)[: PAIRS["any"] + len(songs)].tolist()
    pairs = [(a, b) for a, b in (divmod(one, len(songs)) for one in drawn) if a != b][: PAIRS["any"]]
    same = [alike[one] for one in random.permutation(len(alike))[: PAIRS["same tempo"]].tolist()]
    return {
        "songs": len(songs),
        **{
            name: {"pairs": len(some), "passed": sum(passes(songs[a][0], songs[b][0]) for a, b in some)}
            for name, some in (("any", pairs), ("same tempo", same))
        },
    }


def passes(estimated: Times, labelled: Times) -> bool:
    """Tell whether one song's beats pass as labels of the song with the other, estimated beats."""
    excerpts = ExcerptPolicy().excerpts(float(estimated[-1]))
    found = [Analysis(beats=estimated).within(one.start, one.start + one.duration) for one in excerpts]
    try:
        require_fit(Song(path=Path("x"), title="x", known=Analysis(beats=labelled)), excerpts, found)
    except AudioFileError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------ results
def page(result: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    rows = result["rows"]
    true = [one for one in rows if one["kind"] == "true"]
    songs = {one["song"] for one in rows}
    refused = [one for one in true if one["outcome"] == OUTCOMES[2]]
    lines = [
        "# Labels that fit, and labels that do not", "",
        "Made by `python benchmarks/labels.py --data FOLDER --write`: what is compared is described there. "
        f"{len(songs)} songs of {len({one['artist'] for one in rows})} artists, heard by {result['analyzer']}.", "",
        f"True labels: {len(refused)} of {len(true)} are refused "
        f"({len({one['song'] for one in refused})} of the {len({one['song'] for one in true})} songs that have one).",
        "",
        "| true labels | stated | n | " + " | ".join(OUTCOMES) + " |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += _table(true)
    lines += ["", "| wrong labels | stated | n | " + " | ".join(OUTCOMES) + " |", "|---|---|---|---|---|---|"]
    lines += _table([one for one in rows if one["kind"] != "true"])
    lines += ["", "True labels that are refused or noted:", ""]
    lines += [
        f"- {one['song']}, {one['what']}, {one['stated']}: {'; '.join(one['said'])}"
        for one in true if one["outcome"] != OUTCOMES[0]
    ]  # fmt: skip
    if result["mixed_up"]:
        found = result["mixed_up"]
        lines += [
            "", "## Labels of another song", "",
            f"Of {found['songs']} songs of the Harmonix Set, labels of one beside the beats of another:", "",
            "| pairs | pass | n | share |", "|---|---|---|---|",
        ]  # fmt: skip
        for name, what in (("any", "any two songs"), ("same tempo", "two songs of one tempo, within 0.2 %")):
            one = found[name]
            lines.append(f"| {what} | {one['passed']} | {one['pairs']} | {100 * one['passed'] / one['pairs']:.1f} % |")
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for what, stated in dict.fromkeys((one["what"], one["stated"]) for one in rows):
        some = [one["outcome"] for one in rows if (one["what"], one["stated"]) == (what, stated)]
        counts = " | ".join(str(some.count(outcome)) for outcome in OUTCOMES)
        lines.append(f"| {what} | {stated} | {len(some)} | {counts} |")
    return lines


def main() -> None:
    """Measure, print, and write with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=existing_folder, required=True, metavar="FOLDER")
    parser.add_argument("--analyzer", default="madmom")
    parser.add_argument("--kept", type=Path, metavar="FOLDER", help="keep the analyses there, and use what is there")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    songs = list(labelled_songs(arguments.data, arguments.analyzer, arguments.kept))
    archive = arguments.data / "annotations" / "harmonix.tar.xz"
    result = {"analyzer": arguments.analyzer, "rows": measured(songs), "mixed_up": None, "environment": environment()}
    print(page(result), flush=True)
    if archive.exists():
        result["mixed_up"] = mixed_up(archive)
        print(page(result), flush=True)
    if arguments.write:
        # Messages about wrong labels are long, and left out because the page shows those about true labels only.
        kept = [{name: one[name] for name in one if name != "said" or one["kind"] == "true"} for one in result["rows"]]
        write_results(RESULTS / "labels.json", result | {"rows": kept}, page(result))


if __name__ == "__main__":
    run_script(main)
