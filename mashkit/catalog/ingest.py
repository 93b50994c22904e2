"""One song in, what its clips are made of out: decoded, separated, analysed and measured, in any process.

What is computed does not depend on what else is known: an analysis not on the separator, stems and features not on the
analyzer, neither on where the clip is cut. :mod:`mashkit.catalog.clips` makes the clips of it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit import features
from mashkit.audiofile import load, resample
from mashkit.catalog.excerpts import SHORTEST_S, Excerpt, ExcerptPolicy
from mashkit.catalog.objects import encode
from mashkit.catalog.songs import Song
from mashkit.catalog.synchrony import synchrony_note
from mashkit.errors import AudioFileError
from mashkit.interfaces import Analyzer, Separator
from mashkit.types import ROLE_STEMS, Audio, Role, StemSet

SAMPLE_RATE = 44_100
"""Rate of clips, Hz: what nearly all songs have, and what the separation models were trained at."""
NARROW_BAND_HZ = 16_000
"""Recordings at a lower rate are used, but said to be: they hold nothing above half of it."""

LABELS_BEYOND_S = 0.5
"""Labels may speak of so much more than the recording holds, seconds: a last chord that was faded out or cut (ours)."""

FIGURES = 3
"""Counts up whenever a figure measured of the stems changes or is added: what is kept is then computed anew."""
FEATURES = 1
"""Counts up whenever a feature changes or is added."""
ACTIVITY_FRAME_S = 0.1
ACTIVITY_RANGE_DB = 25.0
"""A stem sounds in a frame when it lies within this range of the mix's level: below it, it is separation residue."""

ANALYSIS, STEMS, FEATURE = "analysis", "stems", "features"
"""Kinds of results. Features are made with the stems."""
TRUE_STEMS, LABELS = "true stems", "labels"
"""Stand for the separator and the analyzer where none was needed."""


@attrs.frozen
class SongFacts:
    """What decoding a song tells.

    Parameters
    ----------
    sha256 : str
        Of its samples, and its stems' where it has true ones: the song's identity, whatever its files are called and
        their tags say.
    sample_rate, channels, frames : int
        Of its first file, as decoded.
    duration_s : float
        Of the mix at the clips' rate.
    notes : tuple of str
        What the user should know though nothing failed.
    """

    sha256: str
    sample_rate: int
    channels: int
    frames: int
    duration_s: float
    notes: tuple[str, ...] = ()


@attrs.frozen
class Task:
    """What is to be computed of a song.

    Parameters
    ----------
    song : Song
    known : frozenset of str
        Keys of results that are there already.
    wanted : frozenset of str
        Kinds of results: :data:`ANALYSIS`, :data:`STEMS`.
    """

    song: Song
    known: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset({ANALYSIS, STEMS})


@attrs.frozen
class Computed:
    """What was computed of a song.

    Parameters
    ----------
    facts : SongFacts
    results : mapping of key to (kind, value)
        Plain data, for the database.
    objects : mapping of (sha256, suffix) to bytes
        Files that the results refer to.
    """

    facts: SongFacts
    results: Mapping[str, tuple[str, Any]]
    objects: Mapping[tuple[str, str], bytes]


@attrs.frozen
class Keys:
    """Names of results: each a sha256 over everything it depends on.

    Parameters
    ----------
    separator, analyzer : str
        Their fingerprints.
    sample_rate : int
        Of the clips, Hz.
    hears_beats : bool
        Whether the analyzer finds beats, with which labelled ones can be compared.
    """

    separator: str
    analyzer: str
    sample_rate: int = SAMPLE_RATE
    hears_beats: bool = True

    def analysis(self, song: Song, sha256: str, excerpt: Excerpt) -> str | None:
        """Key of an excerpt's analysis; None where labels say all, and nothing is compared with them."""
        if self.analysed_by(song) == LABELS:
            return None
        return self._key(ANALYSIS, sha256, excerpt, self.analyzer)

    def stems(self, song: Song, sha256: str, excerpt: Excerpt) -> str:
        """Key of an excerpt's stems and figures; with all roles true, no separator has a part in it."""
        return self._key(STEMS, sha256, excerpt, FIGURES, self.separated_by(song), sorted(true_roles(song)))

    def features(self, song: Song, sha256: str, excerpt: Excerpt) -> str:
        """Key of an excerpt's features."""
        return self._key(FEATURE, sha256, excerpt, FEATURES, self.separated_by(song), sorted(true_roles(song)))

    def separated_by(self, song: Song) -> str:
        """Return the separator's fingerprint, or :data:`TRUE_STEMS`."""
        return TRUE_STEMS if true_roles(song) == frozenset(Role) else self.separator

    def analysed_by(self, song: Song) -> str:
        """Return the analyzer's fingerprint, or :data:`LABELS` where it has no part in what is known.

        Where labels say all that it would, it still compares its beats with theirs, unless it hears none or a person
        vouches for the labels.
        """
        return LABELS if is_analysed(song) and (song.trusted or not self.hears_beats) else self.analyzer

    def _key(self, kind: str, song: str, excerpt: Excerpt, *depends_on: object) -> str:
        whole = [kind, song, self.sample_rate, excerpt.start, excerpt.duration, *depends_on]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def true_roles(song: Song) -> frozenset[Role]:
    """Return the roles of which a song has true stems."""
    return frozenset(role for role, names in ROLE_STEMS.items() if any(name in song.stems for name in names))


def is_analysed(song: Song) -> bool:
    """Tell whether labels say all that an analyzer would."""
    known = song.known
    return known is not None and all(
        field is not None for field in (known.key, known.tempo, known.beats, known.downbeats)
    )


def excerpts_of(song: Song, duration_s: float, policy: ExcerptPolicy) -> list[Excerpt]:
    """Return the parts of a song that become clips: its own, or the policy's.

    Raises
    ------
    AudioFileError
        If there is none, or labels speak of what lies beyond the song's end.
    """
    latest = max((one.start + one.duration for one in song.excerpts or ()), default=0.0)
    if song.known is not None and song.known.beats is not None and len(song.known.beats):
        latest = max(latest, float(song.known.beats[-1]))
    if latest > duration_s + LABELS_BEYOND_S:
        raise AudioFileError(
            song.path,
            f"lasts {duration_s:.1f} s, and its labels speak of {latest:.1f} s: they do not fit the audio",
            _written_as(latest, duration_s) or "use the recording that was labelled",
        )
    if song.excerpts is None:
        found = policy.excerpts(duration_s)
    else:
        found = [attrs.evolve(one, duration=min(one.duration, duration_s - one.start)) for one in song.excerpts]
        found = [one for one in found if one.duration >= SHORTEST_S - LABELS_BEYOND_S]
    if not found:
        raise AudioFileError(
            song.path,
            f"lasts {duration_s:.1f} s; a mashup needs clips of {SHORTEST_S:g} s or more",
            "use a longer recording",
        )
    return found


def _written_as(latest: float, duration_s: float) -> str | None:
    """Return what to do about times that are seconds in another unit; None if they are in none."""
    units = {"milliseconds": 1e3, "samples at 44.1 kHz": 44_100.0, "samples at 48 kHz": 48_000.0}
    for unit, factor in units.items():
        if 0.5 * duration_s <= latest / factor <= duration_s + LABELS_BEYOND_S:
            return f"they look like {unit}: write seconds"
    return None


class Ingestor:
    """Computes what clips are made of, with one separator and one analyzer.

    Parameters
    ----------
    separator : Separator
    analyzer : Analyzer
    policy : ExcerptPolicy
    with_features : bool
        Also measure features of the stems.
    loader : callable, optional
        The hook ``mashkit_load_audio``.
    """

    def __init__(
        self,
        separator: Separator,
        analyzer: Analyzer,
        *,
        policy: ExcerptPolicy,
        with_features: bool = False,
        loader: Callable[..., Audio | None] | None = None,
    ) -> None:
        self.separator = separator
        self.analyzer = analyzer
        self.policy = policy
        self.with_features = with_features
        self.loader = loader
        # Hashing weights takes time: once an ingestor, not once a song.
        hears_beats = "beats" in analyzer.info.provides
        self.keys = Keys(separator.fingerprint(), analyzer.fingerprint(), hears_beats=hears_beats)

    def missing(self, song: Song, facts: SongFacts, known: frozenset[str]) -> frozenset[str]:
        """Return the kinds of results that are not known yet; raises AudioFileError as :func:`excerpts_of` does."""
        kinds = set()
        for excerpt in excerpts_of(song, facts.duration_s, self.policy):
            key = self.keys.analysis(song, facts.sha256, excerpt)
            if key is not None and key not in known:
                kinds.add(ANALYSIS)
            if not self._stems_keys(song, facts, excerpt) <= known:
                kinds.add(STEMS)
        return frozenset(kinds)

    def _stems_keys(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> frozenset[str]:
        stems = self.keys.stems(song, facts.sha256, excerpt)
        return frozenset({stems, self.keys.features(song, facts.sha256, excerpt)} if self.with_features else {stems})

    def facts(self, song: Song) -> SongFacts:
        """Decode a song and say what it is; raises AudioFileError if that cannot be done."""
        return _Decoded(song, self.loader).facts

    def compute(self, task: Task) -> Computed:
        """Compute what is wanted of a song and not known yet.

        Raises
        ------
        AudioFileError
            If a file cannot be used: damaged, too short for a clip, silent.
        ComponentError
            If separator or analyzer fails.
        """
        song, decoded = task.song, _Decoded(task.song, self.loader)
        facts = decoded.facts
        results: dict[str, tuple[str, Any]] = {}
        objects: dict[tuple[str, str], bytes] = {}
        for excerpt in excerpts_of(song, facts.duration_s, self.policy):
            key = self.keys.analysis(song, facts.sha256, excerpt)
            if ANALYSIS in task.wanted and key is not None and key not in task.known:
                results[key] = (ANALYSIS, self.analyzer.analyze(decoded.excerpt(excerpt)).to_dict())
            if STEMS in task.wanted and not self._stems_keys(song, facts, excerpt) <= task.known:
                mix = decoded.excerpt(excerpt)
                stems = self._stems(decoded, excerpt, mix, true_roles(song))
                figures = {str(role): _figures(stem, mix, objects) for role, stem in stems.items()}
                results[self.keys.stems(song, facts.sha256, excerpt)] = (STEMS, figures)
                if self.with_features:
                    key = self.keys.features(song, facts.sha256, excerpt)
                    results[key] = (FEATURE, _features(stems, objects))
        return Computed(facts, results, objects)

    def _stems(self, decoded: _Decoded, excerpt: Excerpt, mix: Audio, true: frozenset[Role]) -> dict[Role, Audio]:
        stems = {role: decoded.true_stem(role, excerpt) for role in true}
        if true != frozenset(Role):
            separated = self.separator.separate(mix)
            stems |= {role: separated.role(role) for role in Role if role not in true}
        return {role: stems[role] for role in Role}


class _Decoded:
    """The sound of a song: decoded once, when it is first needed."""

    def __init__(self, song: Song, loader: Callable[..., Audio | None] | None) -> None:
        self._song = song
        self._loader = loader

    @cached_property
    def _originals(self) -> tuple[Audio, ...]:
        return tuple(load(path, loader=self._loader) for path in self._song.files)

    @cached_property
    def _at_rate(self) -> tuple[Audio, ...]:
        """Every file at the clips' rate and in stereo, so that any two can be mixed."""
        return tuple(_stereo(resample(audio, SAMPLE_RATE)) for audio in self._originals)

    @cached_property
    def _mix(self) -> Audio:
        if self._song.has_mix:
            return self._at_rate[0]
        total = np.zeros((2, max(audio.frames for audio in self._at_rate)), np.float32)
        for audio in self._at_rate:
            total[:, : audio.frames] += audio.samples
        total.flags.writeable = False
        return Audio(total, SAMPLE_RATE)

    @cached_property
    def facts(self) -> SongFacts:
        first = self._originals[0]
        if self._mix.peak == 0:
            raise AudioFileError(self._song.path, "is silent from beginning to end", "use a recording with sound in it")
        notes = []
        if first.sample_rate < NARROW_BAND_HZ:
            notes.append(
                f"{self._song.path}: {first.sample_rate} Hz, so nothing above {first.sample_rate // 2} Hz; "
                "use a better recording if you have one"
            )
        if self._song.has_mix and self._song.stems:
            note = synchrony_note(self._song, self._mix, self._at_rate[1:])
            notes += [] if note is None else [note]
        digest = hashlib.sha256(json.dumps(sorted(self._song.stems)).encode())
        for audio in self._originals:
            digest.update(f"{audio.sample_rate} {audio.samples.shape} ".encode())
            digest.update(audio.samples.data)
        return SongFacts(
            digest.hexdigest(), first.sample_rate, first.channels, first.frames, self._mix.duration, tuple(notes)
        )

    def excerpt(self, excerpt: Excerpt) -> Audio:
        return self._mix.excerpt(excerpt.start, excerpt.duration)

    def true_stem(self, role: Role, excerpt: Excerpt) -> Audio:
        """Return the true stem of a role; where it is shorter than the mix, silence follows."""
        names = sorted(self._song.stems)
        parts = {}
        for name, audio in zip(names, self._at_rate[-len(names) :], strict=True):
            first = round(excerpt.start * SAMPLE_RATE)
            part = audio.samples[:, first : first + round(excerpt.duration * SAMPLE_RATE)]
            padded = np.zeros((2, round(excerpt.duration * SAMPLE_RATE)), np.float32)
            padded[:, : part.shape[1]] = part
            parts[name] = Audio(padded, SAMPLE_RATE)
        return StemSet(parts).role(role)


def _stereo(audio: Audio) -> Audio:
    return audio if audio.channels == 2 else Audio(np.repeat(audio.samples, 2, axis=0), audio.sample_rate)


def _figures(stem: Audio, mix: Audio, objects: dict[tuple[str, str], bytes]) -> dict[str, Any]:
    """Return what is kept of a stem, and put its sound among the objects."""
    ref, data = encode(stem)
    objects[ref.sha256, ".flac"] = data
    return {
        "sha256": ref.sha256,
        "halvings": ref.halvings,
        "loudness": loudness(stem),
        "sounding": "".join("1" if one else "0" for one in sounding(stem, mix)),
    }


def _features(stems: Mapping[Role, Audio], objects: dict[tuple[str, str], bytes]) -> dict[str, Any]:
    """Return where the features of stems are kept, and put them among the objects."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for role, stem in stems.items():
        spectrum = features.spectrogram(stem)
        arrays["times"] = spectrum.times
        arrays[f"{role}.chroma"] = features.chromagram(spectrum)
        arrays[f"{role}.onsets"] = features.onset_strength(spectrum)
        arrays[f"{role}.bands"] = features.band_energies(spectrum)
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # its other arguments are bool; entries carry no time: the same arrays are the same bytes
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    objects[digest, ".npz"] = file.getvalue()
    return {"sha256": digest}


def loudness(audio: Audio) -> float | None:
    """Return the integrated loudness (ITU-R BS.1770-4), LUFS; None for silence or less than one 0.4 s block."""
    import pyloudnorm  # here: it brings scipy, which few commands need

    if audio.peak == 0 or audio.duration <= 0.4:
        return None
    value = float(pyloudnorm.Meter(audio.sample_rate).integrated_loudness(audio.samples.T.astype(np.float64)))
    return value if np.isfinite(value) else None


def sounding(stem: Audio, mix: Audio) -> npt.NDArray[np.bool_]:
    """Say of each 0.1 s frame whether the stem's RMS lies within 25 dB of the whole mix's RMS."""
    level = float(np.sqrt(np.mean(np.square(mix.samples, dtype=np.float64))))
    hop = round(ACTIVITY_FRAME_S * stem.sample_rate)
    whole = stem.frames // hop * hop
    if level == 0 or whole == 0:
        return np.zeros(0, np.bool_)
    frames: npt.NDArray[np.float32] = stem.samples[:, :whole].reshape(stem.channels, -1, hop)
    rms = np.sqrt(np.mean(np.square(frames, dtype=np.float32), axis=(0, 2)))
    loud: npt.NDArray[np.bool_] = rms > level * 10 ** (-ACTIVITY_RANGE_DB / 20)
    return loud


def activity(frames: npt.NDArray[np.bool_]) -> float:
    """Return the share, 0–1, of frames that sound; see :func:`sounding`."""
    return float(np.mean(frames)) if len(frames) else 0.0


def entry(frames: npt.NDArray[np.bool_]) -> float | None:
    """Return when a stem first sounds, seconds; None if it never does.

    That is the first frame that sounds (:func:`sounding`), with half of the second it begins: a click or a breath is
    no entry.
    """
    window = round(1.0 / ACTIVITY_FRAME_S)
    ahead = np.convolve(frames, np.ones(window))[window - 1 :]
    entries = np.flatnonzero(frames & (ahead[: len(frames)] >= window / 2))
    return float(entries[0] * ACTIVITY_FRAME_S) if len(entries) else None
