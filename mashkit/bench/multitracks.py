"""Clips of songs whose true stems are known, so that no separator has an effect on what is measured.

A song is a folder with ``vocals``, ``drums`` and ``other`` (``bass`` where it has one) as sound files that begin
together.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

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


def mix_of(stems: Mapping[Role, Audio]) -> Audio:
    """Return the sum of a clip's stems."""
    return Audio(np.sum([stem.samples for stem in stems.values()], axis=0), SAMPLE_RATE)


def measured(clip: Clip, stems: Mapping[Role, Audio], analysis: Analysis) -> Clip:
    """Return a clip with an analysis, and with loudness, activity and entry of each of its stems."""
    mix = mix_of(stems)
    levels = {role: loudness(stem) for role, stem in stems.items()}
    sounds = {role: sounding(stem, mix) for role, stem in stems.items()}
    entries = {role: entry(frames) for role, frames in sounds.items()}
    return attrs.evolve(
        clip,
        analysis=analysis,
        loudness={role: float("-inf") if level is None else level for role, level in levels.items()},
        activity={role: activity(frames) for role, frames in sounds.items()},
        entry={role: moment for role, moment in entries.items() if moment is not None},
    )


class TrueStemSource(ABC):
    """A clip source whose stems are the songs' own: see :class:`mashkit.ClipSource`.

    Parameters
    ----------
    clips : iterable of Clip
    kept : int
        Number of clips whose stems are kept in memory.
    """

    of: ClassVar[str]
    """What the clips are of, as an error says it."""
    fix: ClassVar[str]
    """What to do if there is no clip of an id."""

    def __init__(self, clips: Iterable[Clip], kept: int) -> None:
        self._clips = {clip.id: clip for clip in clips}
        self._roles = functools.lru_cache(maxsize=kept)(self._make_roles)

    @property
    def clips(self) -> list[Clip]:
        """All clips."""
        return list(self._clips.values())

    def take(self, clips: Iterable[Clip]) -> None:
        """Replace the clips of these ids by these clips; raise CatalogError if there is no such clip."""
        for clip in clips:
            self.clip(clip.id)
            self._clips[clip.id] = clip

    def clip(self, clip_id: str) -> Clip:
        """Return the clip; raise CatalogError if there is none."""
        if clip_id not in self._clips:
            raise CatalogError(f"no clip {clip_id!r} among these {self.of}", self.fix)
        return self._clips[clip_id]

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the clip's true stem for ``role``, stereo."""
        self.clip(clip_id)
        return self._roles(clip_id)[role]

    def stems(self, clip_id: str) -> dict[Role, Audio]:
        """Return the clip's true stem for each role, stereo."""
        return {role: self.stem(clip_id, role) for role in Role}

    @abstractmethod
    def _make_roles(self, clip_id: str) -> dict[Role, Audio]:
        """Return the stems of a clip that is there, all at once."""

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return no components, because the stems were not separated."""
        return ()


class MultitrackSource(TrueStemSource):
    """A clip source over multitrack songs.

    Parameters
    ----------
    songs : sequence of Path
        Folders. The analyses of their clips are empty until :meth:`analyse` or :meth:`take` is called.

    Attributes
    ----------
    problems : list of str
        A sentence for each song that is too short for a clip.
    """

    of: ClassVar[str] = "multitracks"
    fix: ClassVar[str] = "give the songs it was cut from"

    def __init__(self, songs: Sequence[Path]) -> None:
        clips = []
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
                clips.append(
                    Clip(name, song.name, name, str(song), excerpt.start, frames / SAMPLE_RATE, SAMPLE_RATE, Analysis())
                )
        # All stems of a clip are read at once and take about 50 MB.
        super().__init__(clips, KEPT_CLIPS)

    def analyse(self, analyzer: Analyzer) -> None:
        """Find key, tempo and beats of every clip in the sum of its stems, and measure each role's level."""
        clips = self.clips
        for done, clip in enumerate(clips, 1):
            stems = self.stems(clip.id)
            self.take([measured(clip, stems, analyzer.analyze(mix_of(stems)))])
            report(StageEvent(stage="analyze", item=clip.title, state="done", done=done, total=len(clips)))

    def _make_roles(self, clip_id: str) -> dict[Role, Audio]:
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
