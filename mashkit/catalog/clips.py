"""From what is known of a song to its clips: analysis, labels and edits joined, the cut made and measured."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from mashkit import metre
from mashkit.beats import tempo_of_beats
from mashkit.catalog.edits import NEAR, edited
from mashkit.catalog.excerpts import Excerpt
from mashkit.catalog.ingest import (
    ACTIVITY_FRAME_S,
    FIGURES,
    LEVEL,
    SAMPLE_RATE,
    TRUE_STEMS,
    Keys,
    SongFacts,
    activity,
    entry,
)
from mashkit.catalog.objects import SoundRef
from mashkit.catalog.songs import Song
from mashkit.errors import AudioFileError
from mashkit.levels import usual_gain
from mashkit.paths import path_text
from mashkit.tuning import Tuning, tuned
from mashkit.types import LABELS_TRUSTED, Analysis, Clip, Key, Role, Times, frozen_mapping

LEAST_AGREEMENT = 0.6
"""Agreement (:func:`agreement`) of labelled with found beats, the median over a song's excerpts, from which on labels
are taken to be of this recording (ours): beats a seventh of a beat apart, 70 ms at 120 BPM, which is how far apart
beats may be that evaluations of trackers count as the same (Davies, Degara, Plumbley 2009)."""
SURE_OF_BEATS = 0.4
"""Confidence in its beats from which on an analyzer that finds them half a beat away is worth a note (ours): below it,
the analyzer may be on the off-beat itself."""
SURE_OF_KEY = 0.5
"""Confidence in its key from which on an analyzer that hears another one than labelled is worth a note (ours)."""
TEMPO_FACTORS = (2.0, 0.5, 3.0, 1 / 3, 1.5, 2 / 3, 4 / 3, 0.75)
"""By how much a labelled tempo may differ from the one heard: who labels counts half or double, and trackers are led
astray by triplets and dotted notes."""
_TRUST = "or take the labels as they are with --trust-labels"
CONCENTRATED = 0.5
"""Length of the mean of phases as unit vectors from which on they lie together (ours)."""


@attrs.frozen
class ClipRecord:
    """A clip, and where what belongs to it is kept.

    Parameters
    ----------
    clip : Clip
    stems : mapping of Role to SoundRef
    features : str
        sha256 of the features of its excerpt; "" without.
    excerpt : Excerpt
        What the clip was cut from.
    separator, analyzer : str
        Fingerprints of what made stems and analysis, or :data:`mashkit.catalog.ingest.TRUE_STEMS` and ``LABELS``.
    """

    clip: Clip
    stems: Mapping[Role, SoundRef] = attrs.field(converter=frozen_mapping)
    features: str
    excerpt: Excerpt
    separator: str
    analyzer: str


def clips_of(
    song: Song,
    facts: SongFacts,
    excerpts: Sequence[Excerpt],
    keys: Keys,
    results: Mapping[str, Any],
    edits: Mapping[float, Mapping[str, Any]],
    notes: list[str] | None = None,
) -> list[ClipRecord]:
    """Return the clips of a song, one of each excerpt; nothing is decoded.

    Parameters
    ----------
    song : Song
    facts : SongFacts
    excerpts : sequence of Excerpt
    keys : Keys
        Of the components whose results are taken.
    results : mapping of key to value
        All that they say of the song; tunings and features may be missing.
    edits : mapping of excerpt start to (field to value)
        What a person said of its excerpts; a downbeat in seconds of the song.
    notes : list of str, optional
        What the user should know of labels and bars is added to it.

    Raises
    ------
    AudioFileError
        If labels do not fit the audio.
    """
    notes = [] if notes is None else notes
    found = []
    for excerpt in excerpts:
        key = keys.analysis(song, facts, excerpt)
        alone = is_alone(results[keys.stems(song, facts, excerpt)])
        found.append(Analysis() if key is None or alone else Analysis.from_dict(results[key]))
    notes += require_fit(song, excerpts, found)
    if song.known is not None and song.known.beats is not None and not (song.trusted or keys.hears_beats):
        notes.append(
            f"{path_text(song.path)}: its labels are not compared with the recording: the analyzer finds no beats"
        )
    analyses = [_labelled(song, *pair) for pair in zip(excerpts, found, strict=True)]
    records = []
    trusted = {LABELS_TRUSTED} if song.trusted else set()
    for excerpt, analysis in zip(excerpts, analyses, strict=True):
        parts = results[keys.stems(song, facts, excerpt)]
        heard = results.get(keys.tuning(song, facts, excerpt))
        if heard is not None:
            # The harmonic stem tells it better than the mix did; where it has no tuning, what the mix told stays.
            analysis = tuned(analysis, Tuning(**heard))
        said = dict(edits.get(excerpt.start, {}))
        if "downbeat" in said:
            said["downbeat"] -= excerpt.start
        analysis = edited(analysis, said, excerpt.duration)
        features = results.get(keys.features(song, facts, excerpt))
        separator = keys.separated_by(song)
        records.append(
            ClipRecord(
                _clip(song, facts, excerpt, analysis, parts, separator, tuple(sorted({*said, *trusted}))),
                _cut_stems(excerpt, analysis, parts),
                "" if features is None else features["sha256"],
                excerpt,
                separator,
                keys.analysed_by(song),
            )
        )
    notes += _doubts(song, records)
    return records


def is_alone(parts: Mapping[str, Any]) -> bool:
    """Tell from the stems of an excerpt whether a voice is alone in it, so that key, tempo and bars are guesses."""
    return set(parts) == {Role.VOCAL}


def _doubts(song: Song, records: Sequence[ClipRecord]) -> list[str]:
    """Return what the user should know of bars that are doubtful."""
    doubts = [reason for record in records if (reason := metre.doubt(record.clip.analysis)) is not None]
    if not doubts:
        return []
    clips = "its clip" if len(records) == 1 else f"{len(doubts)} of its {len(records)} clips"
    them = "it" if len(doubts) == 1 else "them"
    return [
        f"{path_text(song.path)}: the bars of {clips} are doubtful ({doubts[0]}): no mashup but the original is made "
        f"of {them}; correct {them} with `mashkit db edit`, or use {them} with -O generator.doubtful_metre=true"
    ]


def _labelled(song: Song, excerpt: Excerpt, found: Analysis) -> Analysis:
    """Return an excerpt's analysis with what labels of the whole song say in its place."""
    if song.known is None:
        return found
    known = song.known.within(excerpt.start, excerpt.start + excerpt.duration)
    tempo = known.tempo
    if tempo is not None and known.beats is None:
        found = _at_labelled_tempo(found, tempo, excerpt.duration)
    if known.beats is not None and (heard := tempo_of_beats(known.beats)) is not None:
        # Half and double are a convention of who counted; the beats are what is played along with.
        tempo = tempo if tempo is not None and _factor(tempo, heard) == 1 else heard
    said: dict[str, Any] = {"key": known.key, "tempo": tempo, "beats": known.beats}
    changed = {name: value for name, value in said.items() if value is not None}
    if known.beats is not None:  # downbeats are among the beats, or not known
        changed["downbeats"] = known.downbeats
    unsure = {*changed, "metre"} if known.beats is not None else changed
    confidence = {name: value for name, value in found.confidence.items() if name not in unsure}
    if known.beats is not None and found.beats is not None and not song.trusted:
        confidence["beats"] = max(0.0, agreement(known.beats, found.beats))
    return attrs.evolve(found, **changed, confidence=confidence)


def _factor(labelled: float, heard: float) -> float | None:
    """Return by how much a labelled tempo differs from that of beats: 1, a factor of a convention, or None."""
    return next((one for one in (1.0, *TEMPO_FACTORS) if abs(labelled / heard / one - 1) <= NEAR), None)


def _at_labelled_tempo(found: Analysis, tempo: float, duration_s: float) -> Analysis:
    """Return found beats at the tempo somebody said: a tracker at half or twice of it is put right.

    Where they keep to that tempo already they stay: they follow the playing, and a number does not.
    """
    heard = _heard_tempo(found)
    if heard is None or abs(heard / tempo - 1) <= NEAR:
        return found
    return edited(found, {"tempo": tempo}, duration_s)


def _heard_tempo(found: Analysis) -> float | None:
    return found.tempo if found.beats is None else tempo_of_beats(found.beats)


def require_fit(song: Song, excerpts: Sequence[Excerpt], found: Sequence[Analysis]) -> list[str]:
    """Compare the labels of a song with what an analyzer found; return what the user should know of them.

    Beats must be those heard, and a tempo that of the beats, in most of a song's excerpts: one is not enough to tell,
    for a tracker loses the beat in a breakdown. How well beats agree is kept as the confidence of the clip's. Of bars,
    of a tempo twice as fast and of keys analyzers are less sure than people: what differs is told in a note.

    Parameters
    ----------
    song : Song
        With its labels, ``known``.
    excerpts : sequence of Excerpt
    found : sequence of Analysis
        Of each excerpt, times from its start.

    Raises
    ------
    AudioFileError
        If they do not fit.
    """
    known = song.known
    if known is None:
        return []
    name = path_text(song.path)
    if song.trusted:
        return [f"{name}: its labels are trusted: nobody compared them with the recording"]
    notes = [] if known.key is None else _key_note(song, known.key, found)
    if known.beats is None:
        return notes if known.tempo is None else [*notes, *_fit_of_tempo(song, known.tempo, found)]
    if known.tempo is not None and (kept := tempo_of_beats(known.beats)) is not None:
        factor = _factor(known.tempo, kept)
        if factor is None:
            raise AudioFileError(
                song.path,
                f"its labels say {known.tempo:.1f} BPM, and their beats keep {kept:.1f}: they contradict each other",
                f"correct one of the two, or trust the beats by leaving the tempo out; {_TRUST}",
            )
        if factor != 1:
            notes.append(f"{name}: labelled {known.tempo:.1f} BPM, with beats at {kept:.1f}: the beats count")
    values = []
    for excerpt, one in zip(excerpts, found, strict=True):
        labelled = known.within(excerpt.start, excerpt.start + excerpt.duration)
        beats = labelled.beats
        if beats is not None and one.beats is not None:
            # In halves: what is on the beat, and after a cut off it, looks from afar like another tempo.
            for part, start in ((beats[: len(beats) // 2], 0.0), (beats[len(beats) // 2 :], excerpt.duration / 2)):
                values.append((agreement(part, one.beats), excerpt.start + start))
            if _half_a_beat_late(beats, one):
                notes.append(
                    f"{name}: from {excerpt.start:.1f} s the beats labelled lie half-way between those heard; "
                    "if mashups sound half a beat off, move the labels"
                )
            elif (bars := _bars_apart(labelled, one)) is not None:
                notes.append(f"{name}: from {excerpt.start:.1f} s {bars}; if mashups begin inside a bar, correct it")
    middle = float(np.median([value for value, _ in values])) if values else 1.0
    if middle < LEAST_AGREEMENT:
        raise AudioFileError(
            song.path,
            f"the beats labelled are not those heard (agreement {middle:.2f}, "
            f"{LEAST_AGREEMENT} is asked): the labels do not fit the audio",
            f"use the recording that was labelled, check that its times are seconds; {_TRUST}",
        )
    for value, start in values:
        if value < LEAST_AGREEMENT:
            notes.append(f"{name}: from {start:.1f} s the beats labelled are not those heard ({value:.2f})")
    return [*notes, *_count_note(song, known.beats, found)]


def _count_note(song: Song, beats: Times, found: Sequence[Analysis]) -> list[str]:
    """Return a note if an analyzer counts half or twice as many beats as labelled, or two thirds, in all of a song."""
    kept = tempo_of_beats(beats)
    heard = [tempo for one in found if (tempo := _heard_tempo(one)) is not None]
    if kept is None or not heard or any(_factor(kept, tempo) in (1.0, None) for tempo in heard):
        return []
    return [
        f"{path_text(song.path)}: its labels count {kept:.1f} beats a minute, and "
        f"{' and '.join(f'{one:.1f}' for one in heard)} are heard; if it is mashed at half or twice the speed, label "
        "every beat, or every other one"
    ]


def _key_note(song: Song, key: Key, found: Sequence[Analysis]) -> list[str]:
    """Return a note if an analyzer is sure of a key of other notes than the labelled one, in all of a song."""
    heard = {one.key for one in found}
    sure = all(one.confidence.get("key", 0.0) >= SURE_OF_KEY for one in found)
    if len(heard) != 1 or not sure or (other := heard.pop()) is None or key.semitones_to(other) == 0:
        return []
    return [f"{path_text(song.path)}: labelled {key}, and {other} is heard throughout; the label counts"]


def _bars_apart(labelled: Analysis, found: Analysis) -> str | None:
    """Return in what labelled bars differ from heard ones that are to be believed, in words; None if in nothing."""
    bars, lines = labelled.downbeats, found.downbeats
    if bars is None or lines is None or len(lines) < 2 or metre.doubt(found) is not None:
        return None
    inside = bars[(bars >= lines[0]) & (bars <= lines[-1])]
    if len(inside) < 2 or labelled.beats_per_bar is None or found.beats_per_bar is None:
        return None
    if not metre.fit(labelled.beats_per_bar, found.beats_per_bar):
        return f"bars of {labelled.beats_per_bar} beats are labelled, and bars of {found.beats_per_bar} heard"
    mean = complex(np.mean(np.exp(2j * np.pi * np.interp(inside, lines, np.arange(len(lines))))))
    late = round(float(np.angle(mean)) / (2 * np.pi) * found.beats_per_bar) % found.beats_per_bar
    if abs(mean) < CONCENTRATED or late == 0:
        return None
    return f"the bars labelled begin on beat {late + 1} of those heard"


def _fit_of_tempo(song: Song, tempo: float, found: Sequence[Analysis]) -> list[str]:
    """Compare a labelled tempo, beside which no beats are labelled, with those heard."""
    heard = [one for one in map(_heard_tempo, found) if one is not None]
    factors = [_factor(tempo, one) for one in heard]
    if heard and 2 * sum(factor is None for factor in factors) > len(factors):
        raise AudioFileError(
            song.path,
            f"its labels say {tempo:.1f} BPM, and {' and '.join(f'{one:.1f}' for one in heard)} BPM "
            f"{'is' if len(heard) == 1 else 'are'} heard: the labels do not fit the audio",
            f"correct the tempo; {_TRUST}",
        )
    return []


def _half_a_beat_late(labelled: Times, found: Analysis) -> bool:
    """Tell whether labelled beats lie half-way between found ones of which the analyzer is sure."""
    beats = found.beats
    if beats is None or len(beats) < 2 or found.confidence.get("beats", 0.0) < SURE_OF_BEATS:
        return False
    inside = labelled[(labelled >= beats[0]) & (labelled <= beats[-1])]
    if len(inside) < 2:
        return False
    return float(np.mean(np.cos(2 * np.pi * np.interp(inside, beats, np.arange(len(beats)))))) < -LEAST_AGREEMENT


def agreement(labelled: Times, found: Times) -> float:
    """Return how well labelled beats keep to found ones, −1…1; 0 if they have nothing to do with each other.

    Each labelled beat has a phase between the two found beats around it; the mean cosine of that phase is 1 if all lie
    on found beats. A tracker may be on the off-beat, or at half, ⅔ or ¾ of the tempo, where phases lie together only
    when taken twice, three or four times: the first multiple at which they do is the one that counts. (The best of all
    would not do: labels a quarter of a beat late lie together at four times the phase.)

    Notes
    -----
    Measured. 18 excerpts of 13 recordings whose beats are exact (our demo songs), made by hand (MusicDelta) or the
    publisher's tempo from the file's beginning (Software-Entwicklungskit): in 16 of them madmom reaches 0.86–1.00,
    essentia 0.65–0.99, librosa 0.62–1.00; in the others the tracker loses the beat (−0.23 to 0.58). With the labels
    50 ms late 43 of the 54 reach 0.6, 100 ms late 4, 125 ms late 2, 150 ms late 1. The beats of another song of the
    Harmonix Set reach it, in the median of seven excerpts, in 1.4 % of pairs; those of a song of the very same tempo
    (within 0.2 %) in 57 %: one that begins on the other's beat cannot be told from it by beats.
    """
    if len(found) < 2:
        return 0.0
    inside = labelled[(labelled >= found[0]) & (labelled <= found[-1])]
    if len(inside) < 2:
        return 0.0
    phase = np.interp(inside, found, np.arange(len(found)))
    means = [complex(np.mean(np.exp(2j * np.pi * times * phase))) for times in (1, 2, 3, 4)]
    if abs(means[0]) >= CONCENTRATED:
        return max(means[0].real, means[1].real)  # on the beat, or on the off-beat
    return next((mean.real for mean in means[1:] if abs(mean) >= CONCENTRATED), 0.0)


def _frames(excerpt: Excerpt, analysis: Analysis) -> tuple[int, int]:
    """Return the first frame of a clip and the one after its last, counted in its excerpt."""
    start, end = excerpt.cut(analysis)
    return round(start * SAMPLE_RATE), min(round(end * SAMPLE_RATE), round(excerpt.duration * SAMPLE_RATE))


def _cut_stems(excerpt: Excerpt, analysis: Analysis, parts: Mapping[str, Any]) -> dict[Role, SoundRef]:
    first, last = _frames(excerpt, analysis)
    return {Role(role): SoundRef(part["sha256"], part["halvings"], first, last - first) for role, part in parts.items()}


def _clip(
    song: Song,
    facts: SongFacts,
    excerpt: Excerpt,
    analysis: Analysis,
    parts: Mapping[str, Any],
    separator: str,
    edited_fields: tuple[str, ...],
) -> Clip:
    first, last = _frames(excerpt, analysis)
    start, end = first / SAMPLE_RATE, last / SAMPLE_RATE
    cut: list[object] = [excerpt.start, excerpt.duration, first, last]
    identity = [FIGURES, facts.sha256, SAMPLE_RATE, *cut, separator]
    # What older versions did not know of, so that the ids of all other clips stay.
    if facts.peak is not None and usual_gain(facts.peak) != 1 and separator != TRUE_STEMS:
        identity.append({"level": LEVEL})
    if len(parts) < len(Role):
        identity.append({"roles": sorted(parts)})
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
    frames = slice(round(start / ACTIVITY_FRAME_S), round(end / ACTIVITY_FRAME_S))
    sounding = {
        Role(role): np.frombuffer(part["sounding"].encode(), np.uint8)[frames] == ord("1")
        for role, part in parts.items()
    }
    entries = {role: entry(frames) for role, frames in sounding.items()}
    return Clip(
        id=f"{_slug(song.title)}-{digest}",
        song=facts.identity,
        title=song.title,
        source=path_text(song.path),
        start=excerpt.start + start,
        duration=(last - first) / SAMPLE_RATE,
        sample_rate=SAMPLE_RATE,
        analysis=analysis.within(start, end),
        licence=song.licence,
        loudness={Role(role): _from_json(part["loudness"]) for role, part in parts.items()},
        activity={role: activity(frames) for role, frames in sounding.items()},
        entry={role: moment for role, moment in entries.items() if moment is not None},
        label=excerpt.label,
        edited=edited_fields,
        lacks=frozenset(Role) - sounding.keys(),
    )


def _slug(title: str) -> str:
    """Return a title as lower-case ASCII words joined by dashes, for ids and file names."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "song"


def _from_json(loudness_lufs: float | None) -> float:
    return float("-inf") if loudness_lufs is None else loudness_lufs
