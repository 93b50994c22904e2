"""The recipe "rendered": songs of POP909 with random instruments, a singing voice, and human or machine drums."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mashkit.atomicfile import require_possible_folder, require_writable_folder, writing_alone
from mashkit.audio.files import save
from mashkit.errors import UsageError
from mashkit.models import file_sha256
from mashkit.types import Analysis, Audio, Role, Samples
from mashkit_mashnet.stem_features import StemFeatures
from mashkit_mashnet_train.examples import Split, split_of
from mashkit_mashnet_train.recipes.mixing import mixed
from mashkit_mashnet_train.recipes.processes import in_processes, seed_of
from mashkit_mashnet_train.recipes.processing import MIXED, Processing
from mashkit_mashnet_train.recipes.production import Production
from mashkit_mashnet_train.recipes.scores import Drumming, Excerpt, groove, pop909, require_groove
from mashkit_mashnet_train.recipes.singers import require_singers
from mashkit_mashnet_train.recipes.sound import SAMPLE_RATE, SUNG, arrange
from mashkit_mashnet_train.store import LICENCES, MIXED_WITH, Record, Store, StoreWriter

RECIPE = "rendered-3"
"""Name of the recipe in stores. Another sound gets another name, so that stores with different sounds are told apart.

In a store of ``rendered``, stems are dry, and one voice sings half a semitone out of tune. In ``rendered-2``, singers
are in tune, and stems have what a studio adds. In both, a played stem begins with some milliseconds of another
rendered stem; in ``rendered-3`` it does not.
"""
SECONDS = 23.0
"""Length of a clip, about (ours)."""
PLAYED_FROM = {"POP909": "MIT", "Groove MIDI Dataset": "CC BY 4.0"}
"""Licences of what every store is made of."""
SUNG_BY = {"HTS voice nitech_jp_song070_f001": "CC BY 3.0"}
"""Licence of the voice, of which a store is made too if melodies are sung."""


@attrs.frozen(kw_only=True)
class RenderedOptions:
    """What clips the recipe makes.

    Parameters
    ----------
    windows : int
        Largest number of clips of a song.
    songs : int, optional
        Only the first so many songs; by default all.
    seconds : float
        Approximate length of a clip.
    seed : int
        Seed of all draws: the same seed makes the same clips, in any order, with any number of jobs.
    sung : float
        Share of melodies that are sung, 0 to 1; more than 0 needs pysinsy and pyworld.
    production : Production
        How often stems have effects.
    processing : Processing
        Separator and stretcher that the stems go through; by default none.
    sound : Path, optional
        Folder for the mix of each clip as a .flac file, for recipe "pipeline"; by default no sound is written. Take one
        window of each song, because each file is a song of its own there.
    """

    windows: int = 3
    songs: int | None = None
    seconds: float = SECONDS
    seed: int = 0
    sung: float = SUNG
    production: Production = attrs.field(factory=Production)
    processing: Processing = attrs.field(factory=Processing)
    sound: Path | None = None


def render(
    folder: Path,
    midi: Path,
    drums: Path,
    soundfonts: Sequence[Path],
    options: RenderedOptions | None = None,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """Make a store of rendered clips; clips that an interrupted run has made already are kept.

    Parameters
    ----------
    folder : Path
        Folder of the store.
    midi, drums : Path
        POP909 and the Groove MIDI Dataset, as tar files.
    soundfonts : sequence of Path
        Soundfonts as .sf2 files; at least one.
    options : RenderedOptions, optional
    jobs : int
        Number of processes.
    progress : callable
        Called with (done, total) after each clip.

    Raises
    ------
    StoreError
        If ``folder`` holds a finished store, or clips made with other options.
    UsageError
        If an input cannot be read, or if what renders or sings is not installed.
    OutputError
        If a folder cannot be written to, or another run is writing into it.
    """
    options = options or RenderedOptions()
    excerpts, source = check(folder, midi, drums, soundfonts, options)
    if options.sound is not None:
        require_writable_folder(options.sound)
    groups = grouped(excerpts, options.processing)
    drummings = groove(drums)
    with writing_alone(require_writable_folder(folder)):
        writer = StoreWriter(folder, source)
        writer.keep(dict.fromkeys(map(clip_id, excerpts)))
        missing = [group for group in groups if not all(writer.has(clip_id(excerpt)) for excerpt in group)]
        done = len(excerpts) - sum(map(len, missing))
        work = functools.partial(_make, writer, drummings, tuple(soundfonts), options)
        for group in in_processes(work, missing, jobs):
            for _ in group:  # one by one, because the time that is left is told from the number of calls
                done += 1
                progress(done, len(excerpts))
        return writer.close()


def grouped(excerpts: Iterable[Excerpt], processing: Processing) -> list[tuple[Excerpt, ...]]:
    """Return excerpts that are made together: one by one, or as many as a separator's mixes need.

    The songs of a group are of one part (training, validation or test), so that no part has residue of another one, and
    none of them is in it twice. An excerpt without two others for its mixes is left out. The first clips of all songs
    come before the second clips, so that an unfinished store has all songs.
    """
    ordered = sorted(excerpts, key=lambda excerpt: (excerpt.number, excerpt.song))
    if processing.separator is None:
        return [(excerpt,) for excerpt in ordered]
    alike: dict[tuple[int, Split], list[Excerpt]] = {}
    for excerpt in ordered:
        alike.setdefault((excerpt.number, split_of(excerpt.song)), []).append(excerpt)
    groups: list[tuple[Excerpt, ...]] = []
    for same in alike.values():
        count = len(same) // MIXED
        ends = [*range(0, MIXED * count, MIXED), len(same)]
        groups += [tuple(same[first:last]) for first, last in pairwise(ends) if count]
    return groups


def check(
    folder: Path, midi: Path, drums: Path, soundfonts: Sequence[Path], options: RenderedOptions
) -> tuple[list[Excerpt], dict[str, Any]]:
    """Return the excerpts that :func:`render` would render, and the source of the store. Nothing is written.

    Raises
    ------
    StoreError
        If ``folder`` holds a finished store, or clips made with other options.
    UsageError
        As for :func:`require_inputs`, and if there is no excerpt.
    OutputError
        If ``folder`` or ``sound`` cannot be written to, or another run is writing into ``folder``.
    """
    processed = options.processing.to_dict()
    require_inputs(midi, drums, soundfonts, sung=options.sung, seconds=options.seconds)
    source: dict[str, Any] = {
        "recipe": f"{RECIPE}-processed" if processed else RECIPE,
        "windows": options.windows, "seconds": options.seconds, "seed": options.seed, "sung": options.sung,
        LICENCES: {**PLAYED_FROM, **(SUNG_BY if options.sung > 0 else {})},
        "production": attrs.asdict(options.production), **processed,
        # A list, because the order of soundfonts counts.
        "files": described_files([midi, drums, *soundfonts]),
    }  # fmt: skip
    if options.songs is not None:
        source["songs"] = options.songs
    if options.sound is not None:
        source["sound"] = True  # clips that were made without sound are not gone on with
        require_possible_folder(options.sound)
    with writing_alone(folder):
        StoreWriter.require_possible(folder, source, whole=True)
    excerpts = list(pop909(midi, options.windows, options.seconds, options.seed, options.songs))
    if not excerpts:
        raise UsageError(
            f"{midi} has no song in 4/4 whose melody sounds for {options.seconds:g} seconds at a steady tempo",
            "give fewer --seconds",
        )
    excerpts = [excerpt for group in grouped(excerpts, options.processing) for excerpt in group]
    if not excerpts:
        raise UsageError(
            f"{midi} has fewer than {MIXED} songs of one part, whose stems are mixed for the separator",
            "give more --songs",
        )
    return excerpts, source


def require_inputs(
    midi: Path, drums: Path, soundfonts: Sequence[Path], *, sung: float = SUNG, seconds: float = SECONDS
) -> None:
    """Check the arguments of :func:`render`.

    Raises
    ------
    UsageError
        If there is no soundfont, a file does not exist or is another than it should be, singers are wanted and not
        installed, or a number has no sense.
    """
    if not 0 <= sung <= 1:
        raise UsageError(f"sung is {sung}", "give a share from 0 to 1, such as 0.35")
    if not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"seconds is {seconds}", "give the length of a clip, such as 23")
    if not soundfonts:
        raise UsageError("no soundfont", "give one or more .sf2 or .sf3 files")
    for path in (midi, drums, *soundfonts):
        if not path.is_file():
            raise UsageError(f"cannot read {path}: there is no such file", "check the path")
    if sung > 0:
        require_singers()
    for path in soundfonts:
        _require_soundfont(path)
    require_groove(drums)


def _require_soundfont(path: Path) -> None:
    """Raise UsageError if a file does not begin as a soundfont does: a RIFF file of type "sfbk"."""
    with _reading(path), path.open("rb") as file:
        begin = file.read(12)
    if begin[:4] != b"RIFF" or begin[8:] != b"sfbk":
        raise UsageError(f"{path} is not a soundfont", "give an .sf2 or .sf3 file")


def described_files(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Return name and hash of files, in their order, because two may have one name.

    Raises
    ------
    UsageError
        If a file cannot be read.
    """
    found = []
    for path in paths:
        with _reading(path):
            found.append({"name": path.name, "sha256": file_sha256(path)})
    return found


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise UsageError if the block cannot read a file."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "check the path") from error


def bundled_soundfont() -> Path:
    """Return the path of pretty_midi's soundfont (TimGM6mb; it is GPL-2, but sound rendered with it is not).

    Raises
    ------
    UsageError
        If pretty_midi is not installed.
    """
    try:
        import pretty_midi
    except ImportError as error:
        raise UsageError("rendering needs pretty_midi", 'pip install "mashkit-mashnet-train[render]"') from error
    return Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


def clip_id(excerpt: Excerpt) -> str:
    """Return the id of an excerpt's clip."""
    return f"{excerpt.song.replace('/', '-')}-{excerpt.number}"


def _make(
    writer: StoreWriter,
    drummings: Sequence[Drumming],
    soundfonts: Sequence[Path],
    options: RenderedOptions,
    group: Sequence[Excerpt],
) -> None:
    """Render, process and write excerpts that are made together."""
    seeds = [seed_of(options.seed, clip_id(excerpt)) for excerpt in group]
    arranged = [
        arrange(excerpt, drummings, soundfonts, own, sung=options.sung, production=options.production)
        for excerpt, own in zip(group, seeds, strict=True)
    ]
    processed = options.processing.of(
        [one.stems for one in arranged], SAMPLE_RATE, np.random.default_rng([seeds[0], 1])
    )
    for excerpt, made, stems in zip(group, arranged, processed, strict=True):
        if options.sound is not None:
            save(
                options.sound / f"{clip_id(excerpt)}.flac", mixed([_audio(samples) for samples in made.stems.values()])
            )
        beats = np.arange(4 * excerpt.bars) * 60 / made.tempo
        key = None if excerpt.key is None else excerpt.key.transposed(made.transposed)
        facts = {"voice": made.voice, "drums": made.drums, "production": made.production}
        if len(group) > 1:
            facts[MIXED_WITH] = [other.song for other in group if other is not excerpt]
        record = Record(
            id=clip_id(excerpt),
            song=excerpt.song,
            duration=len(made.stems[Role.VOCAL]) / SAMPLE_RATE,
            analysis=Analysis(key=key, tempo=made.tempo, beats=beats, downbeats=beats[::4]),
            facts=facts,
        )
        writer.add(record, {role: StemFeatures.of(_audio(samples), fine=True) for role, samples in stems.items()})


def _audio(samples: Samples) -> Audio:
    return Audio(samples[None], SAMPLE_RATE)
