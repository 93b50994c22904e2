"""Clips of songs whose true stems are known, so that no separator has an effect on what is measured.

A song is a folder with ``vocals``, ``drums`` and ``other`` (``bass`` where it has one) as sound files that begin
together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from mashkit.audio.files import AUDIO_SUFFIXES, load, probe, resample
from mashkit.audio.levels import loudness
from mashkit.catalog.excerpts import SHORTEST_S, ExcerptPolicy
from mashkit.catalog.ingest import SAMPLE_RATE, activity, entry, sounding
from mashkit.errors import AudioFileError, CatalogError
from mashkit.hookspecs import StageEvent
from mashkit.interfaces import Analyzer
from mashkit.remote.progress import report
from mashkit.types import STEM_NAMES, Analysis, Audio, Clip, Role, StemSet

NEEDED = ("vocals", "drums", "other")
KEPT_CLIPS = 12
"""Number of clips whose stems are kept in memory: the clips of five songs, half a gigabyte."""


def find_multitracks(folder: Path) -> list[Path]:
    """Return the songs in a folder, sorted; a song has vocals, drums and other."""
    if not folder.is_dir():
        return []
    return sorted(song for song in folder.iterdir() if song.is_dir() and set(NEEDED) <= set(stem_files(song)))


def stem_files(song: Path) -> dict[str, Path]:
    """Return the sound file of each stem of a song."""
    files = sorted(path for path in song.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
    return {path.stem: path for path in files if path.stem in STEM_NAMES}


def measured(clip: Clip, stems: Mapping[Role, Audio], analyze: Callable[[Audio], Analysis]) -> Clip:
    """Return a clip with the analysis of its stems' sum, and loudness, activity and entry of each."""
    mix = Audio(np.sum([stem.samples for stem in stems.values()], axis=0), SAMPLE_RATE)
    levels = {role: loudness(stem) for role, stem in stems.items()}
    sounds = {role: sounding(stem, mix) for role, stem in stems.items()}
    entries = {role: entry(frames) for role, frames in sounds.items()}
    return attrs.evolve(
        clip,
        analysis=analyze(mix),
        loudness={role: float("-inf") if level is None else level for role, level in levels.items()},
        activity={role: activity(frames) for role, frames in sounds.items()},
        entry={role: moment for role, moment in entries.items() if moment is not None},
    )


class MultitrackSource:
    """A clip source over multitrack songs: see :class:`mashkit.ClipSource`.

    Parameters
    ----------
    songs : sequence of Path
        Folders. The analyses of their clips are empty until :meth:`analyse` or :meth:`take` is called.

    Attributes
    ----------
    problems : list of str
        A sentence for each song that is too short for a clip.
    """

    def __init__(self, songs: Sequence[Path]) -> None:
        # All stems of a clip are read at once and take about 50 MB.
        self._roles = functools.lru_cache(maxsize=KEPT_CLIPS)(self._cut)
        self._clips: dict[str, Clip] = {}
        self._songs: dict[str, Path] = {}
        self.problems: list[str] = []
        for song in songs:
            duration = min(probe(path).duration for path in stem_files(song).values())
            excerpts = ExcerptPolicy().excerpts(duration)
            if not excerpts:
                self.problems.append(f"{song.name} lasts {duration:.1f} s, and a clip needs {SHORTEST_S:g} s")
            for number, excerpt in enumerate(excerpts, 1):
                name = f"{song.name} {number}"
                self._songs[name] = song
                frames = round(excerpt.duration * SAMPLE_RATE)
                self._clips[name] = Clip(
                    name, song.name, name, str(song), excerpt.start, frames / SAMPLE_RATE, SAMPLE_RATE, Analysis()
                )

    @property
    def clips(self) -> list[Clip]:
        """All clips."""
        return list(self._clips.values())

    def analyse(self, analyzer: Analyzer) -> None:
        """Find key, tempo and beats of every clip in the sum of its stems, and measure each role's level."""
        for done, (name, clip) in enumerate(self._clips.items(), 1):
            self._clips[name] = measured(clip, {role: self.stem(name, role) for role in Role}, analyzer.analyze)
            report(StageEvent(stage="analyze", item=clip.title, state="done", done=done, total=len(self._clips)))

    def take(self, clips: Iterable[Clip]) -> None:
        """Replace the clips of these ids by these clips; raise CatalogError if there is no such clip."""
        for clip in clips:
            self.clip(clip.id)
            self._clips[clip.id] = clip

    def clip(self, clip_id: str) -> Clip:
        """Return the clip; raise CatalogError if there is none."""
        if clip_id not in self._clips:
            raise CatalogError(f"no clip {clip_id!r} among these multitracks", "give the songs it was cut from")
        return self._clips[clip_id]

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the clip's true stem for ``role``, stereo."""
        self.clip(clip_id)
        return self._roles(clip_id)[role]

    def _cut(self, clip_id: str) -> dict[Role, Audio]:
        clip = self._clips[clip_id]
        parts = {}
        for name, path in stem_files(self._songs[clip_id]).items():
            audio = resample(load(path), SAMPLE_RATE)
            if audio.duration < clip.start + clip.duration:
                raise AudioFileError(path, "is shorter than the song's other stems", "align the stems")
            part = audio.excerpt(clip.start, clip.duration)
            if part.channels == 1:
                part = Audio(np.repeat(part.samples, 2, axis=0), SAMPLE_RATE)
            parts[name] = part
        stems = StemSet(parts)
        return {role: stems.role(role) for role in Role}

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return no components, because the stems were not separated."""
        return ()
