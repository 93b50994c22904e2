"""The plans scorers are compared on: twins differ in one thing, and processing says nothing of the class."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest

from mashkit.audio.files import save
from mashkit.bench import rendered
from mashkit.bench.collections import (
    Choice,
    RenderedSource,
    open_collection,
    separated_by,
)
from mashkit.bench.protocols import (
    CLASSES,
    CONTROL,
    HARMONIC_STEPS,
    LENGTH_S,
    NEGATIVE,
    ORIGINAL,
    POSITIVE,
    PROTOCOLS,
    TEMPO_PERCENT,
    TWIN,
    TWINS,
    UNLABELLED,
    WRONG_SONG,
    Counts,
    Example,
    NoExample,
    chosen_vocals,
    examples,
    harmonic_twin,
    late_twin,
    tempo_twin,
)
from mashkit.bench.registered import CollectionMissing, collections, with_clips
from mashkit.cli import main
from mashkit.conditions import FIFTH, UNMATCHED
from mashkit.errors import CatalogError
from mashkit.features.spectral import chromagram, spectrogram
from mashkit.models import file_sha256
from mashkit.testing import signals
from mashkit.timing.beats import beat_error
from mashkit.types import Audio, Clip, Condition, Layer, MashupPlan, Role

pytestmark = pytest.mark.whole  # rendered songs

COUNTS = Counts(vocals=12, matched=3, negatives=3, groups=(*PROTOCOLS, *TWINS))


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Twelve rendered songs, of which nothing is rendered."""
    return RenderedSource(3, 12).clips


@pytest.fixture(scope="module")
def found(clips: list[Clip]) -> list[Example]:
    made = list(examples(clips, COUNTS, seed=3))
    assert all(isinstance(one, Example) for one in made), [one for one in made if isinstance(one, NoExample)]
    return [one for one in made if isinstance(one, Example)]


def of(found: Sequence[Example], group: str, part: str) -> dict[str, list[MashupPlan]]:
    """Return plans by their vocal."""
    plans: dict[str, list[MashupPlan]] = {}
    for one in found:
        if (one.group, one.part) == (group, part):
            plans.setdefault(one.vocal.id, []).append(one.plan)
    return plans


def layers(plan: MashupPlan) -> tuple[Layer, Layer, Layer]:
    vocal, harmonic, percussion = (plan.layer(role) for role in Role)
    return vocal, harmonic, percussion


def test_every_vocal_has_every_example(clips: list[Clip], found: list[Example]) -> None:
    for group in PROTOCOLS:
        for part, count in ((POSITIVE, 1), (UNLABELLED, 3), (NEGATIVE, 3)):
            assert {clip: len(plans) for clip, plans in of(found, group, part).items()} == {
                clip.id: count for clip in clips
            }
        kinds = Counter(plan.condition for plans in of(found, group, NEGATIVE).values() for plan in plans)
        assert kinds == dict.fromkeys(UNMATCHED, len(clips))
    for name in TWINS:
        for part in (ORIGINAL, TWIN):
            assert len(of(found, name, part)) == len(clips)
    few = attrs.evolve(COUNTS, vocals=2)
    first, again, other = (list(examples(clips, few, seed=seed)) for seed in (3, 3, 4))
    assert first == again != other
    drawn = list(examples(clips, few, seed=3, draws=3))
    assert [one for one in drawn if isinstance(one, Example) and one.draw == 0] == first
    assert {one.draw for one in drawn if isinstance(one, Example)} == {0, 1, 2}
    assert {one.vocal.id for one in drawn} == {one.vocal.id for one in first}
    # Another draw is of other plans, as far as there are others.
    matched = [{one.plan.id for one in drawn if isinstance(one, Example) and (one.draw, one.part) == (draw, UNLABELLED)}
               for draw in range(3)]  # fmt: skip
    assert len(matched[0]) < len(matched[0] | matched[1]) < len(matched[0] | matched[1] | matched[2])


# --------------------------------------------------------------------------------------------------------- protocols
def test_the_papers_positives_are_recordings(found: list[Example]) -> None:
    for plans in of(found, "paper", POSITIVE).values():
        for layer in plans[0].layers:
            assert (layer.speed, layer.semitones, layer.gain_db) == (1.0, 0.0, 0.0)
    for part in (UNLABELLED, NEGATIVE):
        assert all(plan.layer(Role.VOCAL).speed == 1 for plans in of(found, "paper", part).values() for plan in plans)


def test_controlled_classes_are_processed_alike(clips: list[Clip], found: list[Example]) -> None:
    processing = {
        part: [
            (abs(math.log(layer.speed)), abs(layer.semitones), layer.role)
            for plans in of(found, "controlled", part).values()
            for plan in plans
            for layer in plan.layers
        ]
        for part in CLASSES
    }
    means = {}
    for part in CLASSES:
        speeds, shifts = (np.array([one[at] for one in processing[part]]) for at in (0, 1))
        assert shifts.max() <= 2
        assert all(shift == 0 for _, shift, role in processing[part] if role is Role.PERCUSSION)
        means[part] = speeds.mean(), shifts.mean()
    for at in (0, 1):
        assert max(mean[at] for mean in means.values()) < 1.5 * min(mean[at] for mean in means.values())
    # Who hears that something was stretched has heard nothing: hardly a plan is as it was recorded.
    for part in CLASSES:
        assert np.mean([one[0] > 1e-3 for one in processing[part]]) > 0.9


def test_a_controlled_positive_sings_the_same_as_its_matched_mashup(found: list[Example]) -> None:
    for vocal, (positive,) in of(found, "controlled", POSITIVE).items():
        matched = of(found, "controlled", UNLABELLED)[vocal][0]
        assert positive.layer(Role.VOCAL) == matched.layer(Role.VOCAL)
        assert positive.duration_s == matched.duration_s == LENGTH_S
        sung, *backing = layers(positive)
        for layer in backing:
            assert (layer.clip_id, layer.speed, layer.offset_s) == (vocal, sung.speed, sung.offset_s)
        assert backing[0].semitones == sung.semitones


def test_controlled_matched_mashups_match(clips: list[Clip], found: list[Example]) -> None:
    by_id = {clip.id: clip for clip in clips}
    for plans in of(found, "controlled", UNLABELLED).values():
        for plan in plans:
            sung, harmonic, _ = layers(plan)
            keys = [by_id[layer.clip_id].analysis.key.transposed(int(layer.semitones)) for layer in (sung, harmonic)]
            assert keys[0].semitones_to(keys[1]) == 0
            # Both go half of the way.
            assert abs(abs(sung.semitones) - abs(harmonic.semitones)) <= 1
            tempi = [by_id[layer.clip_id].analysis.tempo * layer.speed for layer in plan.layers]
            assert max(tempi) == pytest.approx(min(tempi))
            logs = [math.log(layer.speed) for layer in plan.layers]
            assert max(logs) == pytest.approx(-min(logs))
            beats = [layer.to_mashup(by_id[layer.clip_id].analysis.beats) for layer in plan.layers]
            inside = [one[(one > 0.5) & (one < plan.duration_s - 0.5)] for one in beats]
            assert np.abs(beat_error(inside[0], inside[2])).max() < 1e-6


def test_controlled_negatives_clash_in_key_or_tempo_and_never_by_a_fifth(
    clips: list[Clip], found: list[Example]
) -> None:
    by_id = {clip.id: clip for clip in clips}
    for plans in of(found, "controlled", NEGATIVE).values():
        for plan in plans:
            sung, harmonic, _ = layers(plan)
            keys = [by_id[layer.clip_id].analysis.key.transposed(int(layer.semitones)) for layer in (sung, harmonic)]
            distance = abs(keys[0].semitones_to(keys[1]))
            tempi = [by_id[layer.clip_id].analysis.tempo * layer.speed for layer in plan.layers]
            if plan.condition is Condition.UNMATCHED_TEMPO:
                assert distance == 0
            else:
                assert distance not in (0, FIFTH)
            if plan.condition is Condition.UNMATCHED_KEY:
                assert max(tempi) == pytest.approx(min(tempi))
            else:
                assert min(abs(tempi[0] / other - 1) for other in tempi[1:]) > 0.03


# -------------------------------------------------------------------------------------------------------------- twins
def test_twins_differ_in_one_layer(found: list[Example]) -> None:
    wrong = {name: Role.PERCUSSION if name.startswith("percussion") else Role.HARMONIC for name in TWINS}
    for name in TWINS:
        if name in (WRONG_SONG, CONTROL):
            continue
        for vocal, (original,) in of(found, name, ORIGINAL).items():
            (twin,) = of(found, name, TWIN)[vocal]
            assert original.duration_s == twin.duration_s >= 18
            differing = {role for role in Role if original.layer(role) != twin.layer(role)}
            assert differing == {wrong[name]}


@pytest.mark.parametrize("step", HARMONIC_STEPS)
def test_a_harmonic_twin_is_off_by_its_interval(step: int, found: list[Example]) -> None:
    for vocal, (original,) in of(found, harmonic_twin(step), ORIGINAL).items():
        (twin,) = of(found, harmonic_twin(step), TWIN)[vocal]
        right, wrong = original.layer(Role.HARMONIC), twin.layer(Role.HARMONIC)
        assert right.semitones == original.layer(Role.VOCAL).semitones
        assert wrong.semitones - right.semitones == step
        assert 0 not in (wrong.semitones, right.semitones)


def test_how_far_a_layer_was_shifted_or_stretched_tells_no_twin(found: list[Example]) -> None:
    """Over the twins of an interval up and down, and over two vocals, both sides are processed the same."""
    for pair in ((1, -1), (2, -2)):
        shifts = [
            sorted(abs(plan.layer(Role.HARMONIC).semitones) for step in pair
                   for (plan,) in of(found, harmonic_twin(step), part).values())
            for part in (ORIGINAL, TWIN)
        ]  # fmt: skip
        assert shifts[0] == shifts[1]
    for percent in TEMPO_PERCENT:
        speeds = [
            sorted(abs(math.log(plan.layer(Role.PERCUSSION).speed))
                   for (plan,) in of(found, tempo_twin(percent), part).values())
            for part in (ORIGINAL, TWIN)
        ]  # fmt: skip
        assert np.abs(np.mean(speeds[0]) - np.mean(speeds[1])) < 1e-9


@pytest.mark.parametrize("percent", TEMPO_PERCENT)
def test_a_tempo_twin_drifts_from_the_start_on(percent: float, clips: list[Clip], found: list[Example]) -> None:
    by_id = {clip.id: clip for clip in clips}
    ratios = set()
    for vocal, (original,) in of(found, tempo_twin(percent), ORIGINAL).items():
        (twin,) = of(found, tempo_twin(percent), TWIN)[vocal]
        right, wrong = (plan.layer(Role.PERCUSSION) for plan in (original, twin))
        ratios.add(round(wrong.speed / right.speed, 6))
        assert wrong.to_clip(0.0) == pytest.approx(right.to_clip(0.0))
        assert wrong.to_mashup(by_id[vocal].duration) >= twin.duration_s
    assert ratios == {round(1 + percent / 100, 6), round(1 / (1 + percent / 100), 6)}


def test_late_twins_are_late_and_begin_in_sound(clips: list[Clip], found: list[Example]) -> None:
    by_id = {clip.id: clip for clip in clips}
    for part in (0.25, 0.5):
        for vocal, (original,) in of(found, late_twin(part), ORIGINAL).items():
            (twin,) = of(found, late_twin(part), TWIN)[vocal]
            right, wrong = (plan.layer(Role.PERCUSSION) for plan in (original, twin))
            beat = 60 / by_id[vocal].analysis.tempo / right.speed
            assert (wrong.offset_s - right.offset_s) / beat == pytest.approx(part)
            assert wrong.to_clip(0.0) >= 0


def test_the_wrong_songs_backing_is_one_other_songs(found: list[Example]) -> None:
    for vocal, (twin,) in of(found, WRONG_SONG, TWIN).items():
        (original,) = of(found, WRONG_SONG, ORIGINAL)[vocal]
        sung, harmonic, percussion = layers(twin)
        assert harmonic.clip_id == percussion.clip_id != vocal == sung.clip_id
        assert original.layer(Role.VOCAL) == sung
        assert {layer.clip_id for layer in original.layers} == {vocal}
        assert abs(math.log(harmonic.speed)) == pytest.approx(abs(math.log(sung.speed)))


def test_the_control_is_right_on_both_sides(found: list[Example]) -> None:
    for vocal, (raw,) in of(found, CONTROL, ORIGINAL).items():
        (processed,) = of(found, CONTROL, TWIN)[vocal]
        assert {(layer.speed, layer.semitones) for layer in raw.layers} == {(1.0, 0.0)}
        assert len({layer.speed for layer in processed.layers} | {1.0}) == 2
        assert processed.layer(Role.VOCAL).semitones == processed.layer(Role.HARMONIC).semitones != 0


# ------------------------------------------------------------------------------------------------------------ too few
def test_one_song_has_twins_and_says_what_it_lacks(clips: list[Clip]) -> None:
    made = list(examples(clips[:1], COUNTS, seed=0))
    there = {(one.group, one.part) for one in made if isinstance(one, Example)}
    lacking = {(one.group, one.part): one.reason for one in made if isinstance(one, NoExample)}
    assert ("paper", POSITIVE) in there
    assert (harmonic_twin(1), TWIN) in there
    assert set(lacking) == {
        *(("controlled", part) for part in CLASSES), ("paper", UNLABELLED), ("paper", NEGATIVE),
        *((WRONG_SONG, side) for side in (ORIGINAL, TWIN)),
    }  # fmt: skip
    assert "no other song" in lacking[WRONG_SONG, TWIN]
    assert "no matched mashup among 1 clips" in lacking["controlled", POSITIVE]


def test_short_clips_have_no_twins(clips: list[Clip]) -> None:
    short = [attrs.evolve(clip, duration=18.0) for clip in clips[:1]]
    reasons = {one.reason for one in examples(short, COUNTS, seed=0) if isinstance(one, NoExample)}
    assert any("18 s are needed" in reason for reason in reasons)


def test_vocals_are_of_as_many_songs_as_possible(clips: list[Clip]) -> None:
    twice = [attrs.evolve(clip, id=f"{clip.id}-{turn}") for clip in clips[:4] for turn in (1, 2)]
    assert len({clip.song for clip in chosen_vocals(twice, 4, seed=1)}) == 4
    assert [clip.id for clip in chosen_vocals(twice, 99, seed=1)] == [clip.id for clip in twice]
    silent = [attrs.evolve(clip, activity={Role.VOCAL: 0.1}) for clip in twice]
    assert chosen_vocals(silent, 4, seed=1) == []


# -------------------------------------------------------------------------------------------------------- collections
def test_rendered_songs_are_the_same_from_a_seed_and_differ_from_each_other() -> None:
    one, other = (rendered.render(rendered.compose(1, number)) for number in (0, 1))
    again = rendered.render(rendered.compose(1, 0))
    for name, stem in one.stems.items():
        np.testing.assert_array_equal(stem.samples, again.stems[name].samples)
        assert 0.01 < np.sqrt(np.mean(stem.samples**2)) < 0.5
    assert rendered.compose(1, 0).melody != rendered.compose(1, 1).melody
    assert other.stems["vocals"].frames != one.stems["vocals"].frames


@pytest.mark.parametrize("number", range(4))
def test_rendered_songs_sound_in_their_key_and_on_their_beats(number: int) -> None:
    song = rendered.compose(7, number)
    stems = rendered.render(song)
    scale = {(song.key.tonic + degree) % 12 for degree in rendered.SCALES[song.key.mode]}
    assert {note.pitch % 12 for note in (*song.melody, *song.bass, *song.chords)} <= scale
    tonal = Audio(stems.stems["other"].samples + stems.stems["vocals"].samples, rendered.SAMPLE_RATE)
    chroma = chromagram(spectrogram(tonal)).sum(axis=1)
    assert chroma[sorted(scale)].sum() > 0.75 * chroma.sum()
    drums = np.abs(stems.stems["drums"].mono())
    for moment in song.analysis.beats[4:12:4]:
        at = round(moment * rendered.SAMPLE_RATE)
        assert drums[at : at + 2000].max() > 3 * drums[at - 300 : at].max()


def test_rendered_clips_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = Choice(name="rendered", data=None, seed=11, songs=3).open()
    assert collection is Choice(name="rendered", data=None, seed=11, songs=3).open()
    assert len(collection.clips) == 3
    assert {clip.licence for clip in collection.clips} == {"CC0-1.0"}
    for clip in collection.clips:
        assert clip.activity[Role.VOCAL] > 0.3
        assert -40 < clip.loudness[Role.HARMONIC] < -5
    open_collection.cache_clear()
    monkeypatch.setattr("mashkit.bench.collections.measured", lambda *_: pytest.fail("measured again"))
    assert Choice(name="rendered", data=None, seed=11, songs=3).open().clips == collection.clips
    with pytest.raises(CatalogError, match="no clip 'x'"):
        collection.source.stem("x", Role.VOCAL)


def test_collections_that_are_not_there_say_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(CollectionMissing, match="did you mean 'songs'"):
        Choice(name="song", data=None, seed=0).open()
    with pytest.raises(CollectionMissing, match=r"no --data.*sound files in DATA/songs"):
        Choice(name="songs", data=None, seed=0).open()
    with pytest.raises(CollectionMissing, match="MUSDB18"):
        Choice(name="multitracks", data=tmp_path, seed=0).open()
    (tmp_path / "multitracks").mkdir()
    with pytest.raises(CollectionMissing, match="no song with vocals"):
        Choice(name="multitracks", data=tmp_path, seed=0).open()
    assert set(with_clips()) == {"rendered", "demo", "songs", "multitracks"}


@pytest.mark.slow
def test_multitracks_separated_anew_keep_their_clips(tmp_path: Path) -> None:
    song = tmp_path / "multitracks" / "Song"
    song.mkdir(parents=True)
    stems, _ = signals.band(tempo=120.0, bars=14)
    for name, stem in stems.stems.items():
        save(song / f"{name}.flac", stem)
    collection = Choice(name="multitracks", data=tmp_path, seed=0).open()
    (clip,) = collection.clips
    other = separated_by(Choice(name="multitracks", data=tmp_path, seed=0), "librosa")
    renamed = other.clip(f"{clip.id}~librosa")
    assert attrs.evolve(renamed, id=clip.id) == clip
    # A separation is near the truth, and not the truth.
    true, found = (
        source.stem(clip_id, Role.PERCUSSION).mono()
        for source, clip_id in ((collection.source, clip.id), (other, renamed.id))
    )
    assert 0.5 < np.corrcoef(true, found)[0, 1] < 0.9999
    assert "librosa" in [described["name"] for described in other.provenance([renamed.id])]
    with pytest.raises(CatalogError, match="separated by 'librosa'"):
        other.clip(clip.id)


def test_what_music_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = tmp_path / "multitracks" / "Song"
    song.mkdir(parents=True)
    for name in ("vocals", "drums", "other"):
        save(song / f"{name}.wav", signals.noise(1.0))
    (tmp_path / "giantsteps-key-dataset" / "annotations" / "key").mkdir(parents=True)
    for number in (1, 2):  # labels of which the sound has not been fetched are no songs
        (tmp_path / "giantsteps-key-dataset" / "annotations" / "key" / f"{number}.key").write_text("C minor")
    save(tmp_path / "giantsteps-key-dataset" / "audio" / "1.mp3", signals.noise(1.0))
    assert main(["bench", "data", "--data", str(tmp_path), "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert set(found) == set(collections())
    assert {name for name, one in found.items() if one["here"]} == {
        "rendered", "demo", "multitracks", "giantsteps-key"
    }  # fmt: skip
    songs = [found[name]["songs"] for name in ("multitracks", "demo", "giantsteps-key")]
    assert songs == [1, 6, 1]
    assert all(one["licence"] and one["where"] for one in found.values())
    assert main(["bench", "data"]) == 0
    assert "zenodo.org" in capsys.readouterr().out


def test_a_files_digest_follows_its_content(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("a")
    first = file_sha256(path)
    assert file_sha256(path) == first
    path.write_text("bb")
    assert file_sha256(path) != first
