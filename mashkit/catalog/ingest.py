"""One song in, its clips out: excerpt, analysis, stems, and the figures a generator needs of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.audiofile import load, resample
from mashkit.catalog.excerpts import SHORTEST_S, ExcerptPolicy
from mashkit.catalog.songs import SongFile
from mashkit.catalog.store import ObjectStore, SoundRef, result_key
from mashkit.errors import AudioFileError
from mashkit.interfaces import Analyzer, Separator
from mashkit.types import Analysis, Audio, Clip, Role

NARROW_BAND_HZ = 16_000
"""Recordings at a lower rate are used, but said to be: they hold nothing above half of it."""

FIGURES = 2
"""Counts up whenever a figure measured of the stems changes or is added: what the cache holds is then computed anew."""
ACTIVITY_FRAME_S = 0.1
ACTIVITY_RANGE_DB = 25.0
"""A stem sounds in a frame when it lies within this range of the mix's level: below it, it is separation residue."""


@attrs.frozen
class Ingested:
    """What one song gave.

    Parameters
    ----------
    clips : tuple of Clip
    stems : mapping of (clip id, Role) to SoundRef
    results : mapping of key to (kind, value)
        Computed just now, for the store; empty when everything was known.
    notes : tuple of str
        What the user should know though nothing failed.
    """

    clips: tuple[Clip, ...]
    stems: Mapping[tuple[str, Role], SoundRef]
    results: Mapping[str, tuple[str, Any]]
    notes: tuple[str, ...]


class Ingestor:
    """Makes clips of songs with one separator and one analyzer.

    Parameters
    ----------
    separator : Separator
    analyzer : Analyzer
    objects : ObjectStore
        Where the stems go.
    policy : ExcerptPolicy
    sample_rate : int
        Rate of the clips, Hz: songs at another rate are resampled, and the clip's notes say so.
    loader : callable, optional
        The hook ``mashkit_load_audio``.
    """

    def __init__(
        self,
        separator: Separator,
        analyzer: Analyzer,
        objects: ObjectStore,
        *,
        policy: ExcerptPolicy,
        sample_rate: int,
        loader: Callable[..., Audio | None] | None = None,
    ) -> None:
        self.separator = separator
        self.analyzer = analyzer
        self.objects = objects
        self.policy = policy
        self.sample_rate = sample_rate
        self.loader = loader
        # Hashing weights takes time: once an ingestor, not once a song.
        self._separator_fingerprint = separator.fingerprint()
        self._analyzer_fingerprint = analyzer.fingerprint()

    def ingest(self, song: SongFile, known: Mapping[str, Any]) -> Ingested:
        """Make the clips of ``song``, computing only what ``known`` does not hold.

        Parameters
        ----------
        song : SongFile
        known : mapping of key to value
            What the store has of this song.

        Raises
        ------
        AudioFileError
            If the file cannot be used: damaged, too short for a clip, silent.
        ComponentError
            If separator or analyzer fails.
        """
        return _Ingestion(self, song, known).run()

    def is_known(self, song: SongFile, known: Mapping[str, Any]) -> bool:
        """Tell whether :meth:`ingest` would compute nothing."""
        return _Ingestion(self, song, known).is_known()

    def probe_key(self, song: SongFile) -> str:
        """Key of what decoding tells: duration and notes."""
        return result_key("probe", [song.sha256, self.sample_rate])

    def analysis_key(self, song: SongFile, excerpt: tuple[float, float]) -> str:
        """Key of an excerpt's analysis: independent of the separator."""
        return result_key("analysis", [song.sha256, self.sample_rate, *excerpt, self._analyzer_fingerprint])

    def stems_key(self, song: SongFile, excerpt: tuple[float, float]) -> str:
        """Key of an excerpt's stems: independent of the analyzer."""
        return result_key("stems", [FIGURES, song.sha256, self.sample_rate, *excerpt, self._separator_fingerprint])


class _Ingestion:
    """One song on its way: decodes it only when something has to be computed."""

    def __init__(self, ingestor: Ingestor, song: SongFile, known: Mapping[str, Any]) -> None:
        self.ingestor = ingestor
        self.song = song
        self.known = known
        self.results: dict[str, tuple[str, Any]] = {}

    def is_known(self) -> bool:
        probe = self.known.get(self.ingestor.probe_key(self.song))
        if probe is None:
            return False
        excerpts = self.ingestor.policy.excerpts(probe["duration_s"])
        keys = [
            key(self.song, excerpt)
            for excerpt in excerpts
            for key in (self.ingestor.analysis_key, self.ingestor.stems_key)
        ]
        return all(key in self.known for key in keys)

    def run(self) -> Ingested:
        probe = self._result("probe", self.ingestor.probe_key(self.song), self._probe)
        excerpts = self.ingestor.policy.excerpts(probe["duration_s"])
        if not excerpts:
            raise AudioFileError(
                self.song.path,
                f"lasts {probe['duration_s']:.1f} s; a mashup needs clips of {SHORTEST_S:g} s or more",
                "use a longer recording",
            )
        clips: list[Clip] = []
        stems: dict[tuple[str, Role], SoundRef] = {}
        for excerpt in excerpts:
            analysis = self._result(
                "analysis", self.ingestor.analysis_key(self.song, excerpt), partial(self._analyze, excerpt)
            )
            parts = self._result("stems", self.ingestor.stems_key(self.song, excerpt), partial(self._separate, excerpt))
            clip = self._clip(excerpt, Analysis.from_dict(analysis), parts)
            clips.append(clip)
            for role, part in parts.items():
                stems[clip.id, Role(role)] = SoundRef(part["sha256"], part["halvings"])
        return Ingested(tuple(clips), stems, self.results, tuple(probe["notes"]))

    def _result(self, kind: str, key: str, compute: Callable[[], Any]) -> Any:
        if key in self.known:
            return self.known[key]
        value = compute()
        self.results[key] = (kind, value)
        return value

    @cached_property
    def _original(self) -> Audio:
        return load(self.song.path, loader=self.ingestor.loader)

    @cached_property
    def _mix(self) -> Audio:
        audio = resample(self._original, self.ingestor.sample_rate)
        if audio.channels == 1:  # every clip is stereo, so that any two can be mixed
            audio = Audio(np.repeat(audio.samples, 2, axis=0), audio.sample_rate)
        return audio

    def _probe(self) -> dict[str, Any]:
        if self._original.peak == 0:
            raise AudioFileError(self.song.path, "is silent from beginning to end", "use a recording with sound in it")
        rate = self._original.sample_rate
        notes = []
        if rate < NARROW_BAND_HZ:
            notes.append(
                f"{self.song.path}: {rate} Hz, so nothing above {rate // 2} Hz; use a better recording if you have one"
            )
        return {"duration_s": self._mix.duration, "notes": notes}

    def _analyze(self, excerpt: tuple[float, float]) -> dict[str, Any]:
        return self.ingestor.analyzer.analyze(self._mix.excerpt(*excerpt)).to_dict()

    def _separate(self, excerpt: tuple[float, float]) -> dict[str, Any]:
        mix = self._mix.excerpt(*excerpt)
        stems = self.ingestor.separator.separate(mix)
        parts = {}
        for role in Role:
            stem = stems.role(role)
            ref = self.ingestor.objects.put(stem)
            parts[str(role)] = {
                "sha256": ref.sha256,
                "halvings": ref.halvings,
                "loudness": loudness(stem),
                "activity": activity(stem, mix),
                "entry": entry(stem, mix),
            }
        return parts

    def _clip(self, excerpt: tuple[float, float], analysis: Analysis, parts: Mapping[str, Any]) -> Clip:
        start, duration = excerpt
        digest = self.ingestor.stems_key(self.song, excerpt)[:8]
        return Clip(
            id=f"{_slug(self.song.title)}-{digest}",
            song=self.song.sha256[:16],
            title=self.song.title,
            source=str(self.song.path),
            start=start,
            duration=round(duration * self.ingestor.sample_rate) / self.ingestor.sample_rate,
            sample_rate=self.ingestor.sample_rate,
            analysis=analysis,
            licence=self.song.licence,
            loudness={Role(role): _from_json(part["loudness"]) for role, part in parts.items()},
            activity={Role(role): part["activity"] for role, part in parts.items()},
            entry={Role(role): part["entry"] for role, part in parts.items() if part["entry"] is not None},
        )


def _slug(title: str) -> str:
    """Return a title as lower-case ASCII words joined by dashes, for ids and file names."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "song"


def _from_json(loudness_lufs: float | None) -> float:
    return float("-inf") if loudness_lufs is None else loudness_lufs


def loudness(audio: Audio) -> float | None:
    """Return the integrated loudness (ITU-R BS.1770-4), LUFS; None for silence or less than one 0.4 s block."""
    import pyloudnorm  # here: it brings scipy, which few commands need

    if audio.peak == 0 or audio.duration <= 0.4:
        return None
    value = float(pyloudnorm.Meter(audio.sample_rate).integrated_loudness(audio.samples.T.astype(np.float64)))
    return value if np.isfinite(value) else None


def _sounding(stem: Audio, mix: Audio) -> npt.NDArray[np.bool_]:
    """Say of each 0.1 s frame whether the stem's RMS lies within 25 dB of the whole mix's RMS."""
    level = float(np.sqrt(np.mean(np.square(mix.samples, dtype=np.float64))))
    hop = round(ACTIVITY_FRAME_S * stem.sample_rate)
    whole = stem.frames // hop * hop
    if level == 0 or whole == 0:
        return np.zeros(0, np.bool_)
    frames: npt.NDArray[np.float32] = stem.samples[:, :whole].reshape(stem.channels, -1, hop)
    rms = np.sqrt(np.mean(np.square(frames, dtype=np.float32), axis=(0, 2)))
    sounding: npt.NDArray[np.bool_] = rms > level * 10 ** (-ACTIVITY_RANGE_DB / 20)
    return sounding


def activity(stem: Audio, mix: Audio) -> float:
    """Return the share of 0.1 s frames, 0–1, in which the stem's RMS lies within 25 dB of the whole mix's RMS."""
    sounding = _sounding(stem, mix)
    return float(np.mean(sounding)) if len(sounding) else 0.0


def entry(stem: Audio, mix: Audio) -> float | None:
    """Return when the stem first sounds, seconds; None if it never does.

    That is the first frame that sounds, as :func:`activity` has it, with half of the second it begins: a click or a
    breath is no entry.
    """
    sounding = _sounding(stem, mix)
    window = round(1.0 / ACTIVITY_FRAME_S)
    ahead = np.convolve(sounding, np.ones(window))[window - 1 :]
    entries = np.flatnonzero(sounding & (ahead >= window / 2))
    return float(entries[0] * ACTIVITY_FRAME_S) if len(entries) else None
