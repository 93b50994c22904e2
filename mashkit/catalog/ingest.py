"""One song in, what its clips are made of out: decoded, separated, analysed and measured, in any process.

What is computed does not depend on what else is known: an analysis not on the separator, stems and features not on the
analyzer, neither on where the clip is cut. :mod:`mashkit.catalog.clips` makes the clips of it.
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

from mashkit import features
from mashkit.audiobuffer import weighted_sum
from mashkit.audiofile import load, resample
from mashkit.catalog.excerpts import SAMPLE_RATE as SAMPLE_RATE
from mashkit.catalog.excerpts import SHORTEST_S, Excerpt, ExcerptPolicy
from mashkit.catalog.objects import encode
from mashkit.catalog.songs import Song
from mashkit.catalog.synchrony import synchrony_note
from mashkit.errors import AudioError, AudioFileError
from mashkit.interfaces import Analyzer, Separator
from mashkit.levels import complaints, loudness, usual_gain
from mashkit.paths import path_text
from mashkit.silence import SILENCE_DB, loudest_second_db, sounding_seconds
from mashkit.soundprint import Soundprint, soundprint
from mashkit.tuner import tuning_of
from mashkit.types import ROLE_STEMS, Audio, Role, StemSet

NARROW_BAND_HZ = 16_000
"""Recordings at a lower rate are used, but said to be: they hold nothing above half of it."""

LABELS_BEYOND_S = 0.5
"""Labels may speak of so much more than the recording holds, seconds: a last chord that was faded out or cut (ours)."""

FIGURES = 3
"""Counts up whenever a figure measured of the stems changes or is added: what is kept is then computed anew."""
TUNINGS = 1
"""Counts up whenever the estimate of tuning changes."""
FEATURES = 1
"""Counts up whenever a feature changes or is added."""
LEVEL = 1
"""Counts up whenever stems of recordings at an unusual level (:mod:`mashkit.levels`) change; others stay."""
SILENT_S = 5.0
"""Shortest silence of a song that is remembered, seconds: a shorter one makes no excerpt mostly silent."""
VOICE_ALONE_DB = 25.0
"""How far all else must lie below a voice for it to be alone, dB (ours); :data:`PAUSES_ALONE_DB` where it pauses."""
PAUSES_ALONE_DB = 9.0
"""The same for a voice that pauses for :data:`PAUSES_S` in all: what a separator takes from a voice falls silent with
it, a band goes on (ours; docs/collections.md, "A voice alone", has the figures)."""
PAUSES_S = 1.0
HEARD_IN_PAUSES = 0.15
"""Share of the pauses in which something else may sound: what is left of a separated voice does for 5 % at most, a band
for 60 % at least (ours)."""
ACTIVITY_FRAME_S = 0.1
ACTIVITY_RANGE_DB = 25.0
"""A stem sounds in a frame when it lies within this range of the mix's level: below it, it is separation residue."""

ANALYSIS, STEMS, TUNING, FEATURE = "analysis", "stems", "tuning", "features"
"""Kinds of results. Tuning and features are made with the stems."""
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
    peak : float, optional
        Largest absolute sample of the mix; None where an older mashkit decoded it.
    silent : tuple of (float, float)
        Where nothing sounds for :data:`SILENT_S` or more, seconds.
    recording : str, optional
        The sha256 of the song whose recording it is, where a database has it as another's: both are one song then.
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
        """Stands for the song in clips (:attr:`mashkit.Clip.song`): the same for all that are one recording."""
        return (self.recording or self.sha256)[:16]


@attrs.frozen
class Heard:
    """What listening to a song tells."""

    facts: SongFacts
    sound: Soundprint


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

    def analysis(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> str | None:
        """Key of an excerpt's analysis; None where labels say all, and nothing is compared with them."""
        if self.analysed_by(song) == LABELS:
            return None
        return self._key(ANALYSIS, facts.sha256, excerpt, self.analyzer)

    def stems(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> str:
        """Key of an excerpt's stems and figures; with all roles true, no separator has a part in it."""
        return self._key(STEMS, facts.sha256, excerpt, FIGURES, *self._made_of(song, facts))

    def tuning(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> str:
        """Key of the tuning of an excerpt's harmonic stem."""
        return self._key(TUNING, facts.sha256, excerpt, TUNINGS, *self._made_of(song, facts))

    def features(self, song: Song, facts: SongFacts, excerpt: Excerpt) -> str:
        """Key of an excerpt's features."""
        return self._key(FEATURE, facts.sha256, excerpt, FEATURES, *self._made_of(song, facts))

    def _made_of(self, song: Song, facts: SongFacts) -> list[object]:
        """Return what an excerpt's stems depend on; of a whole song at a usual level, what they always did."""
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
        """Return the analyzer's fingerprint, or :data:`LABELS` where it has no part in what is known.

        Where labels say all that it would, it still compares its beats with theirs, unless it hears none or a person
        vouches for the labels.
        """
        compares = song.holds != {Role.VOCAL} and self.hears_beats and not song.trusted
        return LABELS if is_analysed(song) and not compares else self.analyzer

    def _key(self, kind: str, song: str, excerpt: Excerpt, *depends_on: object) -> str:
        whole = [kind, song, self.sample_rate, excerpt.start, excerpt.duration, *depends_on]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def true_roles(song: Song) -> frozenset[Role]:
    """Return the roles of which a song has true stems; what holds one role only is its stem itself."""
    if len(song.holds) == 1:
        return song.holds
    return frozenset(role for role, names in ROLE_STEMS.items() if any(name in song.stems for name in names))


def is_analysed(song: Song) -> bool:
    """Tell whether an analyzer would have nothing to say beside the labels: they say all, or a voice is alone.

    Key, tempo and bars of a voice alone are guesses: nothing plays them.
    """
    if song.holds == {Role.VOCAL}:
        return True
    known = song.known
    return known is not None and all(
        field is not None for field in (known.key, known.tempo, known.beats, known.downbeats)
    )


def excerpts_of(song: Song, facts: SongFacts, policy: ExcerptPolicy) -> list[Excerpt]:
    """Return the parts of a song that become clips: its own, or the policy's.

    Raises
    ------
    AudioFileError
        If there is none, or labels speak of what lies beyond the song's end.
    """
    duration_s = facts.duration_s
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
        # Of a song hardly longer than an excerpt, two may be the same.
        found = list(dict.fromkeys(policy.excerpts(facts.duration_s, facts.silent)))
    else:
        found = [attrs.evolve(one, duration=min(one.duration, duration_s - one.start)) for one in song.excerpts]
        found = [one for one in found if one.duration >= SHORTEST_S - LABELS_BEYOND_S]
    if not found:
        raise AudioFileError(
            song.path,
            f"lasts {math.floor(10 * duration_s) / 10:.1f} s; a mashup needs clips of {SHORTEST_S:g} s or more",
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
        """Decode a song and say what it is; raises AudioFileError if that cannot be done."""
        return _Decoded(song, self.loader).facts

    def listen(self, song: Song) -> Heard:
        """Decode a song and say what it sounds like; raises AudioFileError if that cannot be done."""
        return listen(song, self.loader)

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
        """Return the stems of an excerpt, of those roles that are in it."""
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
            if Role.VOCAL not in song.holds:  # nobody sings: what was taken for a voice is an instrument
                parts = [(1.0, stems[Role.HARMONIC]), (1.0, stems.pop(Role.VOCAL))]
                stems[Role.HARMONIC] = weighted_sum(parts)
        return {role: stems[role] for role in Role if role in stems}


def listen(song: Song, loader: Callable[..., Audio | None] | None = None) -> Heard:
    """Decode a song and say what it sounds like; see :meth:`Ingestor.listen`."""
    decoded = _Decoded(song, loader)
    return Heard(decoded.facts, soundprint(decoded.mix))


class _Decoded:
    """The sound of a song: decoded once, when it is first needed."""

    def __init__(self, song: Song, loader: Callable[..., Audio | None] | None) -> None:
        self.song = song
        self._loader = loader

    @cached_property
    def _originals(self) -> tuple[Audio, ...]:
        return tuple(load(path, loader=self._loader) for path in self.song.files)

    @cached_property
    def _at_rate(self) -> tuple[Audio, ...]:
        """Every file at the clips' rate and in stereo, so that any two can be mixed."""
        return tuple(_stereo(resample(audio, SAMPLE_RATE)) for audio in self._originals)

    @cached_property
    def mix(self) -> Audio:
        """The mix, at the clips' rate and in stereo."""
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
        level = loudest_second_db(self.mix)
        if level < SILENCE_DB:
            raise AudioFileError(
                self.song.path,
                "is silent from beginning to end"
                + ("" if level == -math.inf else f": its loudest second has {level:.0f} dB relative to full scale"),
                "use a recording with sound in it",
            )
        notes = [f"{path_text(self.song.path)}: {complaint}" for complaint in complaints(self._mix_as_recorded)]
        if first.sample_rate < NARROW_BAND_HZ:
            notes.append(
                f"{path_text(self.song.path)}: {first.sample_rate} Hz, so nothing above {first.sample_rate // 2} Hz; "
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
        """The mix before it was resampled, which rounds clipped tops; where there is none, the sum of the stems."""
        return self._originals[0] if self.song.has_mix else self.mix

    def excerpt(self, excerpt: Excerpt) -> Audio:
        try:
            return self.mix.excerpt(excerpt.start, excerpt.duration)
        except AudioError as error:
            raise AudioFileError(self.song.path, error.problem, "name parts that lie in the song") from error

    def true_stem(self, role: Role, excerpt: Excerpt) -> Audio:
        """Return the true stem of a role; where it is shorter than the mix, silence follows."""
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
    """Return where nothing sounds for :data:`SILENT_S` or more, given of each second whether something does."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~sounds, [False]])))
    spans = ((float(start), min(float(end), duration_s)) for start, end in edges.reshape(-1, 2))
    return tuple((start, end) for start, end in spans if end - start >= SILENT_S)


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


def is_voice_alone(stems: Mapping[Role, Audio], mix: Audio) -> bool:
    """Tell from separated stems whether nothing but a voice sounded: an a cappella.

    That is so where harmony and percussion together lie far below the voice, or less far, and fall silent with it.
    """
    rest = weighted_sum([(1.0, stems[Role.HARMONIC]), (1.0, stems[Role.PERCUSSION])])
    voice, other = (float(np.mean(np.square(one.samples, dtype=np.float64))) for one in (stems[Role.VOCAL], rest))
    if voice == 0 or other >= voice * 10 ** (-PAUSES_ALONE_DB / 10):
        return False
    if other < voice * 10 ** (-VOICE_ALONE_DB / 10):
        return True
    pauses = ~sounding(stems[Role.VOCAL], mix)
    heard = sounding(rest, mix)[pauses]
    return len(heard) * ACTIVITY_FRAME_S >= PAUSES_S and bool(np.mean(heard) <= HEARD_IN_PAUSES)


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


def tuning(harmonic: Audio) -> dict[str, Any]:
    """Return what is kept of the tuning of a harmonic stem: a :class:`mashkit.tuning.Tuning`, as plain data.

    Of that stem, because drums have no tuning and singers glide; what is sung keeps to what is played.
    """
    return attrs.asdict(tuning_of(harmonic))


def sounding(stem: Audio, mix: Audio) -> npt.NDArray[np.bool_]:
    """Say of each 0.1 s frame whether the stem's RMS lies within 25 dB of the whole mix's RMS."""
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

    That is the first frame that sounds (:func:`sounding`), with half of the second it begins: a click or a breath is
    no entry.
    """
    if not frames.any():
        return None
    window = round(1.0 / ACTIVITY_FRAME_S)
    ahead = np.convolve(frames, np.ones(window))[window - 1 :]
    entries = np.flatnonzero(frames & (ahead[: len(frames)] >= window / 2))
    return float(entries[0] * ACTIVITY_FRAME_S) if len(entries) else None
