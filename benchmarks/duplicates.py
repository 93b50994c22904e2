"""Is a recording found again after it was encoded, padded, trimmed or sped up, and is no other song taken for it?

    python benchmarks/duplicates.py --songs FOLDER … [--multitracks FOLDER] [--pop909 TAR --groove TAR] [--seconds S]

Songs are sound files; of a multitrack the stems are added up. Each is changed in every way of :data:`WAYS` by ffmpeg
(which mashkit itself does not need) and compared with what it was made of; every song is compared with every
other, with excerpts of every other, and with pieces that are rendered with one soundfont and one drum kit from POP909
and the Groove MIDI Dataset (``pip install "mashkit-mashnet-train[render]"``), whose drums alone are compared too. Takes
of one chord progression that differ in a shaker's noise alone are compared with each other. The threshold that half of
the songs would choose is shown beside what the others do at it. Writes benchmarks/results/duplicates.json and
duplicates.md. Seeded: two runs give the same numbers, but for the seconds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that counts processors is imported

import numpy as np
from script import RESULTS, rounded, run_script, write_results

from mashkit.audio.files import AUDIO_SUFFIXES, load, resample, save
from mashkit.catalog.protocols.multitrack import Multitrack
from mashkit.catalog.songs import Song, find_songs, title_of
from mashkit.cli.actions import positive
from mashkit.errors import UsageError
from mashkit.features.soundprint import SAME, Shelf, Soundprint, likeness, shelved, soundprint
from mashkit.rendering.output import environment
from mashkit.synthetic.signals import chord_progression
from mashkit.types import Audio, Key, Role

FASTER, SLOWER = "asetrate=44541,aresample=44100", "asetrate=43659,aresample=44100"
EXCERPTED = "30 s of it"
WAYS: dict[str, tuple[str, list[str]]] = {
    "mp3 64 kbps": ("mp3", ["-b:a", "64k"]),
    "mp3 192 kbps": ("mp3", ["-b:a", "192k"]),
    "ogg": ("ogg", ["-c:a", "libvorbis", "-q:a", "3"]),
    "opus 64 kbps": ("opus", ["-c:a", "libopus", "-b:a", "64k"]),
    "flac 48 kHz, −3 dB": ("flac", ["-ar", "48000", "-af", "volume=-3dB"]),
    "22.05 kHz": ("wav", ["-ar", "22050"]),
    "0.5 s padding, ends trimmed": (
        "flac",
        ["-af", "atrim=start=1.7,areverse,atrim=start=2.3,areverse,adelay=500:all=1"],
    ),
    "1 % faster": ("flac", ["-af", FASTER]),
    "1 % slower": ("flac", ["-af", SLOWER]),
    "mono": ("flac", ["-ac", "1"]),
    "−20 dB": ("flac", ["-af", "volume=-20dB"]),
    "8 kHz": ("wav", ["-ar", "8000"]),
    "96 kHz": ("flac", ["-ar", "96000"]),
    "−30 dB": ("flac", ["-af", "volume=-30dB"]),
    "clipped by 12 dB": ("wav", ["-af", "volume=12dB"]),
    EXCERPTED: ("flac", ["-ss", "11.37", "-t", "30"]),
    "1 % faster, mono, mp3 48 kbps": ("mp3", ["-af", FASTER, "-ac", "1", "-b:a", "48k"]),
}
EXCERPT_S = 30.0
SHORTEST_S = 1.5 * EXCERPT_S
"""Length of the shortest sound of which there is an excerpt."""
FEWEST = 4
"""Fewest songs: two that choose a threshold, and two that show what it does."""
ASKED = 10_000
"""Songs of the shelf whose speed is measured."""


def sound_files(folders: Sequence[Path]) -> list[Path]:
    """Return the sound files in folders."""
    return [path for path in find_songs(folders) if path.suffix.lower() in AUDIO_SUFFIXES]


def stem_songs(multitracks: Sequence[Path]) -> list[Song]:
    """Return the songs in folders of multitracks that can be used."""
    return [song for song in Multitrack().songs(multitracks) if isinstance(song, Song)] if multitracks else []


def decoded_songs(files: Sequence[Path], multitracks: Sequence[Song]) -> Iterator[tuple[str, dict[str, Audio]]]:
    """Yield title and sounds of each song: "mix", and of multitracks the sums of stems that show what is borderline."""
    for path in files:
        yield title_of(path), {"mix": load(path)}
    for song in multitracks:
        stems = {name: load(path) for name, path in song.stems.items()}
        sums = {
            "mix": set(stems), "instrumental": set(stems) - {"vocals"}, "vocals alone": {"vocals"},
            "drums alone": {"drums"}, "without drums": set(stems) - {"drums"},
        }  # fmt: skip
        yield song.title, {name: total([stems[one] for one in names]) for name, names in sums.items()}


def taken(audio: Audio, seconds: float | None) -> Audio:
    """Return so much of a sound, from a third of it on."""
    if seconds is None or audio.duration <= seconds:
        return audio
    return audio.excerpt(min(audio.duration / 3, audio.duration - seconds), seconds)


def total(stems: Sequence[Audio]) -> Audio:
    """Return the sum of stems."""
    length = max(stem.frames for stem in stems)
    mix = np.zeros((2, length), np.float32)
    for stem in stems:
        mix[:, : stem.frames] += stem.samples
    return Audio(mix * np.float32(0.7), stems[0].sample_rate)


def changed(audio: Audio, folder: Path) -> Iterator[tuple[str, Audio]]:
    """Yield a sound as it is (way ""), then changed in every way; what the folder has of it is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "whole.wav"  # float, because a decoded MP3 may exceed full scale
    original = resample(audio, 44_100)  # the speed is changed by saying another rate
    if not (whole.exists() and np.array_equal(load(whole).samples, original.samples)):
        for way, (suffix, _) in WAYS.items():
            (folder / f"{way}.{suffix}").unlink(missing_ok=True)
        save(whole, original)
    yield "", original
    for way, (suffix, options) in WAYS.items():
        if way == EXCERPTED and original.duration < SHORTEST_S:
            continue
        made = folder / f"{way}.{suffix}"
        if not made.exists():
            command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", whole, *options, made]
            subprocess.run(command, check=True)  # noqa: S603
        yield way, load(made)


def rendered(pop909: Path, groove: Path, count: int) -> Iterator[tuple[str, str, dict[str, Soundprint]]]:
    """Yield name, drumming and prints (mix, drums) of pieces of different songs, all played by one soundfont."""
    from mashkit_mashnet_train.recipes.production import DRY
    from mashkit_mashnet_train.recipes.rendered import bundled_soundfont
    from mashkit_mashnet_train.recipes.scores import groove as drummings_of
    from mashkit_mashnet_train.recipes.scores import pop909 as songs_of
    from mashkit_mashnet_train.recipes.sound import SAMPLE_RATE, arrange

    drummings = drummings_of(groove)
    for number, piece in enumerate(itertools.islice(songs_of(pop909, 1, EXCERPT_S, 0), count)):
        made = arrange(piece, drummings, [bundled_soundfont()], number, sung=0.0, production=DRY)
        length = max(map(len, made.stems.values()))
        mix = sum(np.pad(one, (0, length - len(one))) for one in made.stems.values())
        sounds = {"mix": np.asarray(mix), "drums": made.stems[Role.PERCUSSION]}
        prints = {name: soundprint(Audio(one[None].astype(np.float32), SAMPLE_RATE)) for name, one in sounds.items()}
        yield piece.song, made.drums, prints


def rounds() -> list[list[Soundprint]]:
    """Return prints of a few chords that go round, in six keys, each with four takes of a shaker."""
    chance, made = np.random.default_rng(0), []
    for number in range(6):
        mode, tempo = ("major", "minor")[number % 2], 90 + 8 * number
        chords = chord_progression(Key(2 * number, mode), seconds=32.0, tempo=tempo)
        fading = np.exp(-(np.arange(chords.frames) / chords.sample_rate % (60 / tempo)) / 0.05)
        noises = [(0.03 * fading * chance.standard_normal(chords.samples.shape)).astype("f4") for _ in range(4)]
        made.append([soundprint(Audio(chords.samples + noise, chords.sample_rate)) for noise in noises])
    return made


def judged(first: Soundprint, second: Soundprint) -> dict[str, Any]:
    """Return how alike two prints are (−1 where nothing can be said), and whether they are the same recording."""
    found = likeness(first, second)
    return {"agreement": -1.0 if found is None else found.agreement, "same": found is not None and found.same}


def shelf_of_many(prints: Sequence[Soundprint]) -> dict[str, float]:
    """Return seconds and memory of a shelf of ten thousand songs, each 4 minutes of shuffled pieces of these."""
    chance = np.random.default_rng(0)
    pool = np.concatenate([one.values for one in prints])

    def song() -> Soundprint:
        starts = chance.integers(0, len(pool) - 50, 48)
        return Soundprint(np.concatenate([pool[start : start + 50] for start in starts]))

    words = [shelved(song()) for _ in range(ASKED)]
    began = time.process_time()
    shelf = Shelf(words)
    built = time.process_time() - began
    asked = [song() for _ in range(5)]
    began = time.process_time()
    for one in asked:
        shelf.candidates(one)
    looked_up = (time.process_time() - began) / len(asked)
    began = time.process_time()
    for one, other in itertools.pairwise(asked):
        likeness(one, other)
    compared = (time.process_time() - began) / (len(asked) - 1)
    return {
        "songs": ASKED, "build_cpu_s": built, "look_up_cpu_s": looked_up, "compare_cpu_s": compared,
        "print_bytes_of_4_min": len(asked[0].to_bytes()), "words_bytes_of_4_min": words[0].nbytes,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--multitracks", type=Path, nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--pop909", type=Path, metavar="TAR")
    parser.add_argument("--groove", type=Path, metavar="TAR")
    parser.add_argument(
        "--seconds", type=float, metavar="S",
        help=f"take so much of each song, at least {SHORTEST_S:g}; default: all of it",
    )  # fmt: skip
    parser.add_argument(
        "--made", type=Path, metavar="FOLDER", help="keep the changed sounds there, and use those there"
    )
    parser.add_argument("--rendered", type=positive, default=60, metavar="N", help="pieces; default: %(default)s")
    arguments = parser.parse_args()
    if arguments.seconds is not None and not arguments.seconds >= SHORTEST_S:
        raise UsageError(f"--seconds is {arguments.seconds:g}", f"give {SHORTEST_S:g} or more, which has an excerpt")
    result = measured(arguments)
    write_results(RESULTS / "duplicates.json", rounded(result, 5), page(result))
    print(page(result))


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all figures; raise UsageError if there are too few songs."""
    files, multitracks = sound_files(arguments.songs), stem_songs(arguments.multitracks)
    named = {*map(title_of, files), *(song.title for song in multitracks)}
    if len(named) < FEWEST:
        raise UsageError(f"{len(named)} songs were found", f"give {FEWEST} or more, each of another title")
    mixes: dict[str, Soundprint] = {}
    excerpts: dict[str, Soundprint] = {}
    copies: list[tuple[str, str, Soundprint]] = []
    borderline: list[dict[str, Any]] = []
    cpu_s = minutes = 0.0
    for title, whole in decoded_songs(files, multitracks):
        sounds = {name: taken(audio, arguments.seconds) for name, audio in whole.items()}
        began = time.process_time()
        mixes[title] = soundprint(sounds["mix"])
        cpu_s += time.process_time() - began
        minutes += sounds["mix"].duration / 60
        middle = max(0.0, sounds["mix"].duration / 2 - EXCERPT_S / 2)
        excerpts[title] = soundprint(sounds["mix"].excerpt(middle, min(EXCERPT_S, sounds["mix"].duration)))
        for name, audio in sounds.items():
            if name != "mix":
                borderline.append({"song": title, "what": name, **judged(soundprint(audio), mixes[title])})
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.made or Path(temporary)) / title
            for way, audio in changed(sounds["mix"], folder):
                copies.append((title, way, soundprint(audio)))
        print(title, flush=True)
    pieces = list(rendered(arguments.pop909, arguments.groove, arguments.rendered)) if arguments.pop909 else []
    titles = list(mixes)
    originals = {title: sound for title, way, sound in copies if not way}
    sounds_there = [*(originals[title] for title in titles), *(one["mix"] for _, _, one in pieces)]
    shelf = Shelf([shelved(one) for one in sounds_there])
    positives = [
        {"song": title, "way": way, **judged(sound, originals[title]),
         "looked_up": titles.index(title) in shelf.candidates(sound)}
        for title, way, sound in copies if way
    ]  # fmt: skip
    negatives = {
        "song against song": [judged(mixes[a], mixes[b]) for a, b in itertools.combinations(titles, 2)],
        "30 s of a song against another song": [
            judged(excerpts[a], mixes[b]) for a, b in itertools.permutations(titles, 2)
        ],
        "song against rendered piece": [judged(one["mix"], mixes[b]) for _, _, one in pieces for b in titles],
        "rendered against rendered, one soundfont": [
            judged(a["mix"], b["mix"]) for (_, _, a), (_, _, b) in itertools.combinations(pieces, 2)
        ],
        "drums against drums, one kit": [
            judged(a["drums"], b["drums"])
            for (_, one, a), (_, other, b) in itertools.combinations(pieces, 2)
            if one != other
        ],
        "the same few chords at one tempo, another take": [
            judged(one, other) for takes in rounds() for one, other in itertools.combinations(takes, 2)
        ],
    }
    # The threshold in the middle of what the first half of the songs says, and what the others do at it.
    learnt = set(titles[::2])
    low = min(one["agreement"] for one in positives if one["song"] in learnt)
    high = max(judged(mixes[a], mixes[b])["agreement"] for a, b in itertools.combinations(titles[::2], 2))
    middle = (low + high) / 2
    others = [one for one in positives if one["song"] not in learnt]
    tested = [judged(mixes[a], mixes[b])["agreement"] for a, b in itertools.combinations(titles[1::2], 2)]
    return {
        "threshold": SAME,
        "learnt": {
            "threshold": middle, "positives_from": low, "negatives_to": high, "test_positives": len(others),
            "test_found": sum(one["agreement"] >= middle for one in others), "test_pairs": len(tested),
            "test_false": sum(one >= middle for one in tested),
        },
        "songs": titles,
        "taken": "whole" if arguments.seconds is None else f"{arguments.seconds:g} s of each",
        "positives": positives,
        "negatives": {
            name: {
                "pairs": len(found),
                "highest": max((one["agreement"] for one in found), default=-1.0),
                "false": sum(one["same"] for one in found),
            }
            for name, found in negatives.items()
        },
        "borderline": borderline,
        "cost": {"print_cpu_s_a_minute": cpu_s / minutes, "minutes": minutes, **shelf_of_many([*mixes.values()])},
        "environment": environment(),
    }  # fmt: skip


def page(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# One recording in two files", "",
        "Made by `python benchmarks/duplicates.py`: what it compares is described there. Agreement is the correlation "
        f"that four fifths of the 5 s pieces reach; from {result['threshold']:.2f} on two songs are the same, unless "
        "nearly every piece is as much like another place as like its own.", "",
        f"{len(result['songs'])} songs, {result['taken']}, changed in {len(WAYS)} ways, compared with themselves:", "",
        "| changed | found | n | lowest agreement | found by look-up |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for way in WAYS:
        rows = [one for one in result["positives"] if one["way"] == way]
        if not rows:  # of songs that are all too short, there are no excerpts
            continue
        found = sum(one["same"] for one in rows)
        lowest = min(one["agreement"] for one in rows)
        lines.append(f"| {way} | {found} | {len(rows)} | {lowest:.2f} | {sum(one['looked_up'] for one in rows)} |")
    lines += ["", "Different songs:", "", "| pairs | taken for the same | n | highest agreement |", "|---|---|---|---|"]
    for name, one in result["negatives"].items():
        highest = f"{one['highest']:.2f}" if one["pairs"] else "–"
        lines.append(f"| {name} | {one['false']} | {one['pairs']} | {highest} |")
    total_pairs = sum(one["pairs"] for one in result["negatives"].values())
    false = sum(one["false"] for one in result["negatives"].values())
    learnt, cost = result["learnt"], result["cost"]
    lines += [
        f"| **all** | **{false}** | **{total_pairs}** | |", "",
        f"Every other song alone would put the threshold at {learnt['threshold']:.2f} (copies from "
        f"{learnt['positives_from']:.2f}, different songs to {learnt['negatives_to']:.2f}); of the songs left out, "
        f"{learnt['test_found']} of {learnt['test_positives']} copies are found at it and {learnt['test_false']} of "
        f"{learnt['test_pairs']} pairs are false.", "",
        "Borderline: parts of a multitrack against its own mix. An instrumental is a song of its own once the voice is "
        "heard in more than a fifth of it; where it is heard in less, it is taken for the same.", "",
        "| song | what | agreement | the same |", "|---|---|---|---|",
    ]  # fmt: skip
    for one in result["borderline"]:
        same = "yes" if one["same"] else "no"
        lines.append(f"| {one['song']} | {one['what']} | {one['agreement']:.2f} | {same} |")
    lines += [
        "",
        f"Cost: {cost['print_cpu_s_a_minute']:.2f} CPU s a minute of decoded sound for a print ({cost['minutes']:.0f} "
        f"min). Of {cost['songs']} songs of 4 min: {cost['build_cpu_s']:.2f} CPU s to build the shelf, once a run, "
        f"{cost['look_up_cpu_s']:.2f} s to look a song up, {cost['compare_cpu_s']:.3f} s for each candidate compared; "
        f"{cost['print_bytes_of_4_min']} bytes a print and {cost['words_bytes_of_4_min']} of words in the index.", "",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
