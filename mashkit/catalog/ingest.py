"""Decode, separate, analyse and measure one song, in any process.

The results are independent of each other: an analysis does not depend on the separator, stems and features do not
depend on the analyzer, and none of them depends on the cut of the clip. :mod:`mashkit.catalog.clips` makes the clips
from the results.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mashkit.audio.buffers import shifted, weighted_sum
from mashkit.audio.files import load, resample
from mashkit.audio.levels import complaints, constant_offset, loudness, usual_gain
from mashkit.audio.silence import is_silent, loudest_second_db, sounding_seconds
from mashkit.catalog.excerpts import SAMPLE_RATE as SAMPLE_RATE
from mashkit.catalog.excerpts import SHORTEST_S, Excerpt, ExcerptPolicy
from mashkit.catalog.objects import encode
from mashkit.catalog.songs import Song
from mashkit.catalog.synchrony import synchrony_note
from mashkit.errors import AudioError, AudioFileError
from mashkit.features import spectral as features
from mashkit.features.soundprint import Soundprint, soundprint
from mashkit.features.tuner import tuning_of
from mashkit.interfaces import Analyzer, Separator
from mashkit.types import ROLE_STEMS, Audio, Role, StemSet

NARROW_BAND_HZ = 16_000
"""Recordings at a lower sample rate are used with a note, because they contain nothing above half of their rate."""

LABELS_BEYOND_S = 0.5
"""Largest time by which labels may go beyond the recording's end, seconds, because a last chord may have been faded out
or cut (ours)."""

FIGURES = 3
"""Add 1 when a figure measured on the stems changes or is added; stored stems and figures are then computed anew."""
TUNINGS = 1
"""Add 1 when the estimate of tuning changes."""
FEATURES = 1
"""Add 1 when a feature changes or is added."""
LEVEL = 1
"""Add 1 when the stems of recordings at an unusual level (:mod:`mashkit.audio.levels`) change. Only these stems are
computed anew then."""
SILENT_S = 5.0
"""Shortest silence that is stored, seconds, because a shorter silence makes no excerpt mostly silent."""
VOICE_ALONE_DB = 25.0
"""Least level of a voice above harmony and percussion, dB, for the voice to be alone (ours); see also
:data:`PAUSES_ALONE_DB`."""
PAUSES_ALONE_DB = 9.0
"""The same level, dB, for a voice that pauses for :data:`PAUSES_S` in total, if harmony and percussion pause too. The
separator's residue of a voice is silent when the voice is, but a band plays on (ours; docs/collections.md, "A voice
alone", has the figures)."""
PAUSES_S = 1.0
"""Least total length of a voice's pauses, seconds, in which harmony and percussion are measured."""
SOUNDING_IN_PAUSES = 0.15
"""Largest share of the pauses in which harmony or percussion may sound. The residue of a separated voice sounds in 5 %
at most, a band in 60 % at least (ours)."""
ACTIVITY_FRAME_S = 0.1
ACTIVITY_RANGE_DB = 25.0
"""A stem sounds in a frame if its level is at most this far below the mix's level, dB; less is separation residue."""

ANALYSIS, STEMS, TUNING, FEATURE = "analysis", "stems", "tuning", "features"
"""Kinds of results. Tuning and features are computed together with the stems."""
TRUE_STEMS, LABELS = "true stems", "labels"
"""Used in place of the fingerprint of the separator or the analyzer where no such component was needed."""


@attrs.frozen
class SongFacts:
    """Facts about a song that are known after decoding it.

    Parameters
    ----------
    sha256 : str
        Hash of the samples of all its files, true stems included. It identifies the song; names and tags of the files
        do not change it.
    sample_rate, channels, frames : int
        Sample rate (Hz), channels and frames of its first file, as decoded.
    duration_s : float
        Length of the mix, seconds, at the clips' sample rate.
    notes : tuple of str
        Notes for the user on defects that are not errors, without the song's path, because the file may be moved.
    peak : float, optional
        Largest absolute sample of the mix; None if an older mashkit decoded it.
    silent : tuple of (float, float)
        Silent parts of :data:`SILENT_S` or more, seconds.
    recording : str, optional
        The sha256 of another song in the database that is the same recording. Both count as one song then.
    """

    sha256: str
    sample_rate: int
    channels: int
    frames: int
    duration_s: float
    notes: tuple[str, ...] = ()
    peak: float | None = None
    silent: tuple[tuple[float, float], ...] = ()
    recording: str | None = None

    @property
    def identity(self) -> str:
        """Identifies the song in clips (:attr:`mashkit.Clip.song`); equal for all songs of one recording."""
        return identity_of(self.sha256, self.recording)


def identity_of(sha256: str, recording: str | None) -> str:
    """Return what clips call a song (:attr:`SongFacts.identity`)."""
    return (recording or sha256)[:16]


@attrs.frozen
class Soundprinted:
    """Facts and soundprint of a decoded song."""

    facts: SongFacts
    sound: Soundprint


@attrs.frozen
class Task:
    """A request to compute results of a song.

    Parameters
    ----------
    song : Song
    known : frozenset of str
        Keys of results that are stored already.
    wanted : frozenset of str
        Kinds of results to compute: :data:`ANALYSIS`, :data:`STEMS`.
    """

    song: Song
    known: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset({ANALYSIS, STEMS})


@attrs.frozen
class Computed:
    """The computed results of a song.

    Parameters
    ----------
    facts : SongFacts
    results : mapping of key to (kind, value)
        Plain data for the database.
    objects : mapping of (sha256, suffix) to bytes
        Files to which the results refer.
    """

    facts: SongFacts
    results: Mapping[str, tuple[str, Any]]
    objects: Mapping[tuple[str, str], bytes]


@attrs.frozen
class Keys:
    """Makes the keys of results: each key is a sha256 of everything on which the result depends.

    Parameters
    ----------
    separator, analyzer : str
        Fingerprints of the two components.
    sample_rate : int
        Sample rate of the clips, Hz.
    estimates_beats : bool
        Whether the analyzer estimates beats, so that labelled beats can be compared with them.
    """

    separator: str
    analyzer: str
    sample_rate: int = SAMPLE_RATE
    estimates_beats: bool = True

    def analysis(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> str | None:
        """Return the key of an excerpt's analysis; None if the labels are complete and not compared with the sound."""
        if self.analysed_by(song) == LABELS:
            return None
        return self._key(ANALYSIS, facts.sha256, excerpt, self.analyzer)

    def stems(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> str:
        """Return the key of an excerpt's stems and figures; it is free of the separator if all stems are true stems."""
        return self._key(STEMS, facts.sha256, excerpt, FIGURES, *self._made_of(song, facts))

    def tuning(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> str:
        """Return the key of the tuning of an excerpt's harmonic stem."""
        return self._key(TUNING, facts.sha256, excerpt, TUNINGS, *self._made_of(song, facts))

    def features(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> str:
        """Return the key of an excerpt's features."""
        return self._key(FEATURE, facts.sha256, excerpt, FEATURES, *self._made_of(song, facts))

    def _made_of(self, song: Song, facts: SongFacts) -> list[object]:
        """Return everything on which an excerpt's stems depend.

        Whole songs at a usual level have the same two entries as in older versions, so that their stored stems stay
        valid.
        """
        depends: list[object] = [self.separated_by(song), sorted(true_roles(song))]
        if song.holds != frozenset(Role):
            depends.append({"holds": sorted(song.holds)})
        if depends[0] != TRUE_STEMS and facts.peak is not None and usual_gain(facts.peak) != 1:
            depends.append({"level": LEVEL})
        return depends

    def separated_by(self, song: Song) -> str:
        """Return the separator's fingerprint, or :data:`TRUE_STEMS`."""
        return TRUE_STEMS if true_roles(song) == song.holds else self.separator

    def analysed_by(self, song: Song) -> str:
        """Return the analyzer's fingerprint, or :data:`LABELS` if the analyzer is not used.

        The analyzer is used even if the labels are complete, because labelled beats are compared with its beats. It is
        not used then if it estimates no beats, if a person vouches for the labels, or for a lone vocal.
        """
        compares = song.holds != {Role.VOCAL} and self.estimates_beats and not song.trusted
        return LABELS if needs_no_analysis(song) and not compares else self.analyzer

    def _key(self, kind: str, song: str, excerpt: Excerpt, *depends_on: object) -> str:
        whole = [kind, song, self.sample_rate, excerpt.start, excerpt.duration, *depends_on]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def true_roles(song: Song) -> frozenset[Role]:
    """Return the roles for which a song has true stems. A song with one role only is itself the stem of that role."""
    if len(song.holds) == 1:
        return song.holds
    return frozenset(role for role, names in ROLE_STEMS.items() if any(name in song.stems for name in names))


def needs_no_analysis(song: Song) -> bool:
    """Return whether no analysis is needed, because the labels are complete or the song is a lone vocal.

    An analyzer could only guess key, tempo and bars of a lone vocal, because no instrument plays them.
    """
    if song.holds == {Role.VOCAL}:
        return True
    known = song.known
    return known is not None and all(
        field is not None for field in (known.key, known.tempo, known.beats, known.downbeats)
    )


def excerpts_of(song: Song, facts: SongFacts, policy: ExcerptPolicy) -> list[Excerpt]:
    """Return the parts of a song that become clips: the song's own excerpts, or else the excerpts of the policy.

    Raises
    ------
    AudioFileError
        If there are no excerpts, or labels give times beyond the song's end.
    """
    duration_s = facts.duration_s
    ends = [(one.start + one.duration, "excerpts" if one.on_downbeats else "labels") for one in song.excerpts or ()]
    if song.known is not None and song.known.beats is not None and len(song.known.beats):
        ends.append((float(song.known.beats[-1]), "labels"))
    latest, what = max(ends, default=(0.0, "excerpts"))
    if latest > duration_s + LABELS_BEYOND_S:
        raise AudioFileError(
            song.path,
            f"lasts {duration_s:.1f} s, but its {what} go up to {latest:.1f} s: the {what} do not fit the audio",
            _written_as(latest, duration_s) or f"use the recording for which the {what} were made",
        )
    if song.excerpts is None:
        # Two excerpts may be equal if the song is hardly longer than an excerpt.
        found = list(dict.fromkeys(policy.excerpts(facts.duration_s, facts.silent)))
    else:
        lasting = [min(one.duration, duration_s - one.start) for one in song.excerpts]
        longest = max(lasting)
        found = [
            attrs.evolve(one, duration=duration)
            for one, duration in zip(song.excerpts, lasting, strict=True)
            if duration >= SHORTEST_S - LABELS_BEYOND_S
        ]
        if not found and duration_s >= SHORTEST_S:
            raise AudioFileError(
                song.path,
                f"its excerpts last {math.floor(10 * max(longest, 0.0)) / 10:.1f} s or less;"
                f" a mashup needs clips of {SHORTEST_S:g} s or more",
                f"give excerpts of {SHORTEST_S:g} s or more, or none, for the parts that the policy chooses",
            )
    if not found:
        raise AudioFileError(
            song.path,
            f"lasts {math.floor(10 * duration_s) / 10:.1f} s; a mashup needs clips of {SHORTEST_S:g} s or more",
            "use a longer recording",
        )
    return found


def _written_as(latest: float, duration_s: float) -> str | None:
    """Return a fix for labels whose times seem to be in another unit than seconds; None if no unit fits."""
    units = {"milliseconds": 1e3, "samples at 44.1 kHz": 44_100.0, "samples at 48 kHz": 48_000.0}
    for unit, factor in units.items():
        if 0.5 * duration_s <= latest / factor <= duration_s + LABELS_BEYOND_S:
            return f"they look like {unit}: write seconds"
    return None


class Ingestor:
    """Computes the results from which clips are made, with one separator and one analyzer.

    Parameters
    ----------
    separator : Separator
    analyzer : Analyzer
    policy : ExcerptPolicy
    with_features : bool
        Whether to compute features of the stems too.
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
        # The fingerprints are computed once for all songs, because hashing weights takes time.
        estimates_beats = "beats" in analyzer.info.provides
        self.keys = Keys(separator.fingerprint(), analyzer.fingerprint(), estimates_beats=estimates_beats)

    def missing(self, song: Song, facts: SongFacts, known: frozenset[str]) -> frozenset[str]:
        """Return the kinds of results that are still missing; raises AudioFileError as :func:`excerpts_of` does."""
        kinds = set()
        for excerpt in excerpts_of(song, facts, self.policy):
            key = self.keys.analysis(song, facts, excerpt)
            if key is not None and key not in known:
                kinds.add(ANALYSIS)
            if not self._stems_keys(song, facts, excerpt) <= known:
                kinds.add(STEMS)
        return frozenset(kinds)

    def _stems_keys(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> frozenset[str]:
        stems = self.keys.stems(song, facts, excerpt)
        return frozenset({stems, self.keys.features(song, facts, excerpt)} if self.with_features else {stems})

    def facts(self, song: Song) -> SongFacts:
        """Decode a song and return its facts; raises AudioFileError if that fails."""
        return _Decoded(song, self.loader).facts

    def compute(self, task: Task) -> Computed:
        """Compute the requested results that are still missing.

        Raises
        ------
        AudioFileError
            If a file cannot be used, because it is damaged, too short for a clip, or silent.
        ComponentError
            If the separator or the analyzer fails.
        """
        song, decoded = task.song, _Decoded(task.song, self.loader)
        facts = decoded.facts
        results: dict[str, tuple[str, Any]] = {}
        objects: dict[tuple[str, str], bytes] = {}
        for excerpt in excerpts_of(song, facts, self.policy):
            key = self.keys.analysis(song, facts, excerpt)
            if ANALYSIS in task.wanted and key is not None and key not in task.known:
                results[key] = (ANALYSIS, self.analyzer.analyze(decoded.excerpt(excerpt)).to_dict())
            if STEMS in task.wanted and not self._stems_keys(song, facts, excerpt) <= task.known:
                mix = decoded.excerpt(excerpt)
                stems = self._stems(decoded, excerpt, mix)
                figures = {str(role): _figures(stem, mix, objects) for role, stem in stems.items()}
                results[self.keys.stems(song, facts, excerpt)] = (STEMS, figures)
                if Role.HARMONIC in stems:
                    results[self.keys.tuning(song, facts, excerpt)] = (TUNING, tuning(stems[Role.HARMONIC]))
                if self.with_features:
                    key = self.keys.features(song, facts, excerpt)
                    results[key] = (FEATURE, _features(stems, objects))
        return Computed(facts, results, objects)

    def _stems(self, decoded: _Decoded, excerpt: Excerpt, mix: Audio) -> dict[Role, Audio]:
        """Return the stems of an excerpt for the roles that sound in it."""
        song = decoded.song
        if len(song.holds) == 1:
            return dict.fromkeys(song.holds, mix)
        true = true_roles(song)
        stems = {role: decoded.true_stem(role, excerpt) for role in true}
        if true != frozenset(Role):
            separated = self.separator.separate(mix, peak=decoded.facts.peak)
            stems |= {role: separated.role(role) for role in Role if role not in true}
            if not true and song.holds == frozenset(Role) and is_voice_alone(stems, mix):
                return {Role.VOCAL: mix}
            if Role.VOCAL not in song.holds:  # in an instrumental, the separated "voice" is an instrument
                parts = [(1.0, stems[Role.HARMONIC]), (1.0, stems.pop(Role.VOCAL))]
                stems[Role.HARMONIC] = weighted_sum(parts)
        return {role: stems[role] for role in Role if role in stems}


def soundprint_song(song: Song, loader: Callable[..., Audio | None] | None = None) -> Soundprinted:
    """Decode a song and return its facts and soundprint; raises AudioFileError if that fails."""
    decoded = _Decoded(song, loader)
    return Soundprinted(decoded.facts, soundprint(decoded.mix))


class _Decoded:
    """The sound of a song, decoded once, when it is first needed."""

    def __init__(self, song: Song, loader: Callable[..., Audio | None] | None) -> None:
        self.song = song
        self._loader = loader

    @cached_property
    def _originals(self) -> tuple[Audio, ...]:
        return tuple(load(path, loader=self._loader) for path in self.song.files)

    @cached_property
    def _at_rate(self) -> tuple[Audio, ...]:
        """All files at the clips' sample rate and in stereo, so that they can be mixed.

        A constant offset is taken off, because a stem with an offset counts as sounding, and clicks where it is cut.
        """
        at_rate = (resample(audio, SAMPLE_RATE) for audio in self._originals)
        return tuple(_stereo(shifted(audio, -constant_offset(audio))) for audio in at_rate)

    @cached_property
    def mix(self) -> Audio:
        """The mix at the clips' sample rate and in stereo."""
        if self.song.has_mix:
            return self._at_rate[0]
        total = np.zeros((2, max(audio.frames for audio in self._at_rate)), np.float32)
        for audio in self._at_rate:
            total[:, : audio.frames] += audio.samples
        total.flags.writeable = False
        return Audio(total, SAMPLE_RATE)

    @cached_property
    def facts(self) -> SongFacts:
        first = self._originals[0]
        if is_silent(self.mix):
            level = loudest_second_db(self.mix)
            raise AudioFileError(
                self.song.path,
                "is silent from beginning to end"
                + ("" if level == -math.inf else f": its loudest second has {level:.0f} dB relative to full scale"),
                "use a recording with sound in it",
            )
        notes = complaints(self._mix_as_recorded)
        if first.sample_rate < NARROW_BAND_HZ:
            notes.append(
                f"{first.sample_rate} Hz, so nothing above {first.sample_rate // 2} Hz; "
                "use a better recording if you have one"
            )
        if self.song.has_mix and self.song.stems:
            note = synchrony_note(self.song, self.mix, self._at_rate[1:])
            notes += [] if note is None else [note]
        digest = hashlib.sha256(json.dumps(sorted(self.song.stems)).encode())
        for audio in self._originals:
            digest.update(f"{audio.sample_rate} {audio.samples.shape} ".encode())
            digest.update(audio.samples.data)
        return SongFacts(
            digest.hexdigest(),
            first.sample_rate,
            first.channels,
            first.frames,
            self.mix.duration,
            tuple(notes),
            self.mix.peak,
            _silences(sounding_seconds(self.mix), self.mix.duration),
        )

    @property
    def _mix_as_recorded(self) -> Audio:
        """The mix before resampling, because resampling rounds clipped peaks; without a mix, the sum of the stems."""
        return self._originals[0] if self.song.has_mix else self.mix

    def excerpt(self, excerpt: Excerpt) -> Audio:
        try:
            return self.mix.excerpt(excerpt.start, excerpt.duration)
        except AudioError as error:
            raise AudioFileError(self.song.path, error.problem, "give parts within the song") from error

    def true_stem(self, role: Role, excerpt: Excerpt) -> Audio:
        """Return the true stem of a role, with silence at its end if the stem is shorter than the mix."""
        names = sorted(self.song.stems)
        parts = {}
        for name, audio in zip(names, self._at_rate[-len(names) :], strict=True):
            first = round(excerpt.start * SAMPLE_RATE)
            part = audio.samples[:, first : first + round(excerpt.duration * SAMPLE_RATE)]
            padded = np.zeros((2, round(excerpt.duration * SAMPLE_RATE)), np.float32)
            padded[:, : part.shape[1]] = part
            parts[name] = Audio(padded, SAMPLE_RATE)
        return StemSet(parts).role(role)


def _silences(sounds: npt.NDArray[np.bool_], duration_s: float) -> tuple[tuple[float, float], ...]:
    """Return the silent parts of :data:`SILENT_S` or more. ``sounds`` states for each second whether it has sound."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~sounds, [False]])))
    spans = ((float(start), min(float(end), duration_s)) for start, end in edges.reshape(-1, 2))
    return tuple((start, end) for start, end in spans if end - start >= SILENT_S)


def _stereo(audio: Audio) -> Audio:
    return audio if audio.channels == 2 else Audio(np.repeat(audio.samples, 2, axis=0), audio.sample_rate)


def _figures(stem: Audio, mix: Audio, objects: dict[tuple[str, str], bytes]) -> dict[str, Any]:
    """Return the figures of a stem that are stored, and add its FLAC file to ``objects``."""
    ref, data = encode(stem)
    objects[ref.sha256, ".flac"] = data
    return {
        "sha256": ref.sha256,
        "halvings": ref.halvings,
        "loudness": loudness(stem),
        "sounding": "".join("1" if one else "0" for one in sounding(stem, mix)),
    }


def is_voice_alone(stems: Mapping[Role, Audio], mix: Audio) -> bool:
    """Return whether separated stems are those of an a cappella, in which only a voice sounds.

    That is so if harmony and percussion together are at least :data:`VOICE_ALONE_DB` below the voice. It is also so if
    they are at least :data:`PAUSES_ALONE_DB` below it and silent in its pauses.
    """
    rest = weighted_sum([(1.0, stems[Role.HARMONIC]), (1.0, stems[Role.PERCUSSION])])
    voice, other = (float(np.mean(np.square(one.samples, dtype=np.float64))) for one in (stems[Role.VOCAL], rest))
    if voice == 0 or other >= voice * 10 ** (-PAUSES_ALONE_DB / 10):
        return False
    if other < voice * 10 ** (-VOICE_ALONE_DB / 10):
        return True
    pauses = ~sounding(stems[Role.VOCAL], mix)
    frames = sounding(rest, mix)[pauses]
    return len(frames) * ACTIVITY_FRAME_S >= PAUSES_S and bool(np.mean(frames) <= SOUNDING_IN_PAUSES)


def _features(stems: Mapping[Role, Audio], objects: dict[tuple[str, str], bytes]) -> dict[str, Any]:
    """Return a reference to the features of the stems, and add their file to ``objects``."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for role, stem in stems.items():
        spectrum = features.spectrogram(stem)
        arrays["times"] = spectrum.times
        arrays[f"{role}.chroma"] = features.chromagram(spectrum)
        arrays[f"{role}.onsets"] = features.onset_strength(spectrum)
        arrays[f"{role}.bands"] = features.band_energies(spectrum)
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # savez's own option is a bool; entries contain no time, so that equal arrays give equal bytes
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    objects[digest, ".npz"] = file.getvalue()
    return {"sha256": digest}


def tuning(harmonic: Audio) -> dict[str, Any]:
    """Return the tuning of a harmonic stem, a :class:`mashkit.features.tuning.Tuning`, as plain data for the database.

    It is measured on the harmonic stem, because drums have no tuning and singers glide between pitches. The singers
    follow the instruments, so that this tuning is the voice's too.
    """
    return attrs.asdict(tuning_of(harmonic))


def sounding(stem: Audio, mix: Audio) -> npt.NDArray[np.bool_]:
    """Return for each 0.1 s frame whether the stem's RMS is at most 25 dB below the RMS of the whole mix."""
    hop = round(ACTIVITY_FRAME_S * stem.sample_rate)
    whole = stem.frames // hop * hop
    level = float(np.sqrt(np.mean(np.square(mix.samples, dtype=np.float64)))) if mix.frames else 0.0
    if level == 0 or whole == 0:
        return np.zeros(stem.frames // hop, np.bool_)
    frames: npt.NDArray[np.float32] = stem.samples[:, :whole].reshape(stem.channels, -1, hop)
    rms = np.sqrt(np.mean(np.square(frames, dtype=np.float32), axis=(0, 2)))
    loud: npt.NDArray[np.bool_] = rms > level * 10 ** (-ACTIVITY_RANGE_DB / 20)
    return loud


def activity(frames: npt.NDArray[np.bool_]) -> float:
    """Return the share, 0–1, of frames that sound; see :func:`sounding`."""
    return float(np.mean(frames)) if len(frames) else 0.0


def entry(frames: npt.NDArray[np.bool_]) -> float | None:
    """Return when a stem first sounds, seconds; None if it never does.

    The entry is the first sounding frame (:func:`sounding`) that begins a second of which at least half sounds, because
    a click or a breath is not an entry.
    """
    if not frames.any():
        return None
    window = round(1.0 / ACTIVITY_FRAME_S)
    ahead = np.convolve(frames, np.ones(window))[window - 1 :]
    entries = np.flatnonzero(frames & (ahead[: len(frames)] >= window / 2))
    return float(entries[0] * ACTIVITY_FRAME_S) if len(entries) else None
