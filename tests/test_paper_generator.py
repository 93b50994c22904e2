"""The paper's generator: every plan satisfies its condition, and every plan that satisfies it can be drawn."""

from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest

import mashkit as mk
from mashkit.audio.mixing import SHORTEST_FADE_S
from mashkit.builtin.paper import PaperGenerator
from mashkit.builtin.placement import MOST_BARS, BeatsOfClips, ChosenStem, Placer
from mashkit.conditions import TEMPO_CLASH
from mashkit.errors import GenerationError, OptionError, UsageError
from mashkit.testing import GeneratorContract
from mashkit.timing.beats import beat_error
from mashkit.types import Analysis, Clip, Condition, Key, MashupPlan, Role


class TestPaperGenerator(GeneratorContract):
    component = "paper"


def make_clip(index: int, key: str, tempo: float, *, song: str | None = None, duration: float = 40.0) -> Clip:
    beats = np.arange(0.2 + 0.05 * index, duration, 60 / tempo)
    analysis = Analysis(Key.parse(key), tempo, beats, beats[::4])
    name = f"clip-{index}"
    return Clip(
        name, song or name, name, f"{name}.ogg", 0.0, duration, 44_100, analysis, "CC0-1.0",
        {Role.VOCAL: -20.0, Role.HARMONIC: -18.0 - index, Role.PERCUSSION: -22.0 + index}, dict.fromkeys(Role, 1.0),
    )  # fmt: skip


@pytest.fixture
def clips() -> list[Clip]:
    random = np.random.default_rng(5)
    names = [f"{tonic} {mode}" for tonic in ("C", "D", "F#", "A", "Bb") for mode in ("major", "minor")]
    return [make_clip(index, str(random.choice(names)), float(random.uniform(70, 170))) for index in range(14)]


def plans(clips: list[Clip], condition: str, count: int = 200, seed: int = 0, **options: object) -> list[MashupPlan]:
    return list(PaperGenerator(**options).plan(clips, condition=condition, count=count, seed=seed))


def chosen(plan: MashupPlan, clips: list[Clip]) -> dict[Role, Clip]:
    by_id = {clip.id: clip for clip in clips}
    return {layer.role: by_id[layer.clip_id] for layer in plan.layers}


def tempo_ratio(seed: Clip, clip: Clip) -> float:
    return float(seed.analysis.tempo) / float(clip.analysis.tempo)  # type: ignore[arg-type]


def key_shift(seed: Clip, clip: Clip) -> int:
    assert seed.analysis.key is not None
    assert clip.analysis.key is not None
    return clip.analysis.key.semitones_to(seed.analysis.key)


def test_matched_fits_key_and_tempo(clips: list[Clip]) -> None:
    for plan in plans(clips, "matched"):
        used = chosen(plan, clips)
        seed = used[Role.VOCAL]
        for role in (Role.HARMONIC, Role.PERCUSSION):
            layer = plan.layer(role)
            assert used[role].song != seed.song
            assert 0.8 <= layer.speed <= 1.2
            assert layer.speed == pytest.approx(tempo_ratio(seed, used[role]), rel=1e-6)
        harmonic = plan.layer(Role.HARMONIC)
        assert abs(harmonic.semitones) <= 3
        assert harmonic.semitones == key_shift(seed, used[Role.HARMONIC])
        assert plan.layer(Role.PERCUSSION).semitones == 0
        assert 25 <= plan.duration_s <= 60


def test_matched_draws_every_combination_that_fits_and_no_other(clips: list[Clip]) -> None:
    expected = {
        (vocal.id, harmonic.id, percussion.id)
        for vocal, harmonic, percussion in itertools.product(clips, repeat=3)
        if vocal.song not in (harmonic.song, percussion.song)
        and all(0.8 <= tempo_ratio(vocal, clip) <= 1.2 for clip in (harmonic, percussion))
        and abs(key_shift(vocal, harmonic)) <= 3
    }
    drawn = {tuple(plan.layer(role).clip_id for role in Role) for plan in plans(clips, "matched", count=100_000)}
    assert 20 < len(expected) < 400
    assert drawn == expected


def test_layers_meet_on_their_first_downbeats_and_cover_the_mashup(clips: list[Clip]) -> None:
    for plan in plans(clips, "matched"):
        used = chosen(plan, clips)
        firsts = {float(layer.to_mashup(used[layer.role].analysis.downbeats[:1])[0]) for layer in plan.layers}  # type: ignore[index]
        assert max(firsts) - min(firsts) < 1e-6
        for layer in plan.layers:
            assert layer.offset_s <= 1e-9
            assert layer.offset_s + used[layer.role].duration / layer.speed >= plan.duration_s - 1e-9


def test_original_adjusts_nothing(clips: list[Clip]) -> None:
    found = plans(clips, "original")
    assert {plan.layer(Role.VOCAL).clip_id for plan in found} == {clip.id for clip in clips}
    for plan in found:
        assert len({layer.clip_id for layer in plan.layers}) == 1
        assert all(
            (layer.speed, layer.semitones, layer.offset_s, layer.gain_db) == (1, 0, 0, 0) for layer in plan.layers
        )


def test_unmatched_key_keeps_tempo_and_clashes_in_key(clips: list[Clip]) -> None:
    for plan in plans(clips, "unmatched-key"):
        used = chosen(plan, clips)
        assert all(0.8 <= layer.speed <= 1.2 for layer in plan.layers)
        assert all(layer.semitones == 0 for layer in plan.layers)
        assert key_shift(used[Role.VOCAL], used[Role.HARMONIC]) != 0


def folded(ratio: float) -> float:
    return min((ratio * factor for factor in (0.25, 0.5, 1, 2, 4)), key=lambda value: abs(np.log2(value)))


def test_unmatched_tempo_keeps_key_and_clashes_in_tempo(clips: list[Clip]) -> None:
    offsets = []
    for plan in plans(clips, "unmatched-tempo"):
        used = chosen(plan, clips)
        seed = used[Role.VOCAL]
        assert all(layer.speed == 1 for layer in plan.layers)
        assert plan.layer(Role.HARMONIC).semitones == key_shift(seed, used[Role.HARMONIC])
        assert abs(plan.layer(Role.HARMONIC).semitones) <= 3
        for role in (Role.HARMONIC, Role.PERCUSSION):
            assert abs(np.log(folded(tempo_ratio(seed, used[role])))) > np.log(1 + TEMPO_CLASH) - 1e-8
        firsts = [float(layer.to_mashup(used[layer.role].analysis.downbeats[:1])[0]) for layer in plan.layers]  # type: ignore[index]
        assert len({round(first, 9) for first in firsts}) == 2  # one stem is moved, the other two still meet
        offsets.append(max(firsts) - min(firsts))
    assert max(offsets) <= 1
    assert np.mean(offsets) == pytest.approx(0.5, abs=0.15)


def test_unmatched_both_clash_in_both(clips: list[Clip]) -> None:
    for plan in plans(clips, "unmatched-key-tempo"):
        used = chosen(plan, clips)
        assert all((layer.speed, layer.semitones) == (1, 0) for layer in plan.layers)
        assert key_shift(used[Role.VOCAL], used[Role.HARMONIC]) != 0
        ratio = tempo_ratio(used[Role.VOCAL], used[Role.PERCUSSION])
        assert abs(np.log(folded(ratio))) > np.log(1 + TEMPO_CLASH) - 1e-8


def test_literal_lets_some_negatives_fit_by_chance(clips: list[Clip]) -> None:
    shifts = [
        key_shift(chosen(plan, clips)[Role.VOCAL], chosen(plan, clips)[Role.HARMONIC])
        for plan in plans(clips, "unmatched-key", mismatch="literal")
    ]
    assert 0 in shifts
    assert any(shifts)


def test_bounds_are_inclusive() -> None:
    pair = [make_clip(0, "C major", 96.0), make_clip(1, "Eb major", 120.0)]
    (plan, other) = plans(pair, "matched", max_speed=1.25)
    assert {plan.layer(Role.HARMONIC).speed, other.layer(Role.HARMONIC).speed} == {0.8, 1.25}
    with pytest.raises(GenerationError, match="no harmonic stem"):
        plans(pair, "matched", max_shift=2)


def test_folding_finds_the_double_tempo() -> None:
    pair = [make_clip(0, "C major", 80.0), make_clip(1, "C major", 150.0)]
    with pytest.raises(GenerationError):
        plans(pair, "matched")
    speeds = sorted(plan.layer(Role.PERCUSSION).speed for plan in plans(pair, "matched", fold_tempo=True))
    assert speeds == pytest.approx([150 / 160, 2 * 80 / 150])


def test_same_mode() -> None:
    pair = [make_clip(0, "C major", 100.0), make_clip(1, "A minor", 100.0)]
    assert plans(pair, "matched")
    with pytest.raises(GenerationError):
        plans(pair, "matched", same_mode=True)


@pytest.mark.parametrize(
    ("condition", "keys", "tempi", "said"),
    [
        ("matched", ["A minor"], [100.0],
         "of 2 pairs 2 are in another mode, and 2 of these fit in the rest .*or use generator.same_mode=false"),
        ("unmatched-tempo", ["A minor"], [120.0],
         "of 2 pairs 2 are in another mode, and 2 of these fit in the rest .*or use generator.same_mode=false"),
        ("matched", ["A minor", "F# major"], [100.0, 100.0], "of 6 pairs 4 are in another mode, and 2 of these fit"),
        ("matched", ["D# minor"], [100.0],
         r"of 2 pairs 2 are in another mode, and 0 of these .*\(add songs in the vocal's mode\)"),
        ("matched", ["D# minor", "F# major"], [100.0, 100.0],
         r"of 6 pairs 4 are in another mode, and 2 of these"),
        ("matched", ["F minor", "F# major"], [50.0, 100.0],
         r"of 6 pairs 2 lie more than 3 .* in tempo, 4 are in another mode .* max_shift \(now 3; 6 would do\)"),
        ("matched", ["F minor", "C major"], [50.0, 70.0],
         "of 6 pairs 2 are too far apart in tempo, 0 in key, 4 are in another mode .* min_speed"),
    ],
)  # fmt: skip
def test_another_mode_is_a_cause_of_its_own(condition: str, keys: list[str], tempi: list[float], said: str) -> None:
    clips = [make_clip(0, "C major", 100.0), *map(make_clip, range(1, 9), keys, tempi)]
    with pytest.raises(GenerationError, match=said):
        plans(clips, condition, same_mode=True)


def test_transposing_a_candidate_by_n_moves_its_shift_by_minus_n() -> None:
    for n in (-2, -1, 1, 2):
        moved = make_clip(1, "C major", 100.0)
        moved = attrs.evolve(moved, analysis=attrs.evolve(moved.analysis, key=Key(n % 12, "major")))
        clips = [make_clip(0, "C major", 100.0), moved]
        (plan,) = PaperGenerator().plan(clips, condition="matched", count=9, seed=0, vocal="clip-0")
        assert plan.layer(Role.HARMONIC).semitones == -n


def test_loudness_is_that_of_the_seeds_own_song(clips: list[Clip]) -> None:
    for plan in plans(clips, "matched", match_loudness=True):
        used = chosen(plan, clips)
        for role in (Role.HARMONIC, Role.PERCUSSION):
            wanted = used[Role.VOCAL].loudness[role] - used[role].loudness[role]
            assert plan.layer(role).gain_db == pytest.approx(np.clip(wanted, -12, 12))
        assert plan.layer(Role.VOCAL).gain_db == 0


@pytest.mark.parametrize("quieter_db", [0.0, 35.0, -35.0])
def test_a_quiet_recording_is_raised_as_a_whole(clips: list[Clip], quieter_db: float) -> None:
    def gains(shelf: list[Clip]) -> dict[tuple[str, Role], float]:
        layers = [layer for plan in plans(shelf, "matched", match_loudness=True) for layer in plan.layers]
        return {(layer.clip_id, layer.role): layer.gain_db for layer in layers if layer.role is not Role.VOCAL}

    seed = clips[0]
    even = [seed] + [attrs.evolve(clip, loudness=seed.loudness) for clip in clips[1:]]
    quiet = {role: loudness - quieter_db for role, loudness in seed.loudness.items()}
    found = gains([seed] + [attrs.evolve(clip, loudness=quiet) for clip in clips[1:]])
    assert set(found) == set(gains(even))
    assert {round(abs(gain), 6) for gain in found.values()} <= {0.0, abs(quieter_db)}
    assert any(gain for gain in found.values()) == (quieter_db != 0)


def test_silent_stems_are_not_drawn(clips: list[Clip]) -> None:
    mute = attrs.evolve(clips[0], activity={Role.VOCAL: 0.0, Role.HARMONIC: 0.1, Role.PERCUSSION: 0.2})
    muted = [mute, *clips[1:]]
    assert mute.id not in {layer.clip_id for plan in plans(muted, "matched") for layer in plan.layers}
    assert mute.id in {layer.clip_id for plan in plans(muted, "original", min_activity=0) for layer in plan.layers}


def test_clips_without_an_answer_are_passed_over(clips: list[Clip]) -> None:
    unknown = attrs.evolve(clips[0], analysis=Analysis())
    empty = attrs.evolve(clips[1], analysis=attrs.evolve(clips[1].analysis, downbeats=[]))
    used = {layer.clip_id for plan in plans([unknown, empty, *clips[2:]], "matched") for layer in plan.layers}
    assert used
    assert not used & {unknown.id, empty.id}


def test_clips_of_one_song_are_not_mashed() -> None:
    with pytest.raises(GenerationError, match="no harmonic stem of another song"):
        plans([make_clip(0, "C major", 100.0, song="s"), make_clip(1, "C major", 100.0, song="s")], "matched")


def test_the_error_tells_the_songs_and_the_way_out() -> None:
    with pytest.raises(GenerationError, match=r"clip-0: C major, 70.0 BPM; clip-1: F# major, 160.0 BPM.*widen"):
        plans([make_clip(0, "C major", 70.0), make_clip(1, "F# major", 160.0)], "matched")


def test_the_error_counts_the_pairs_it_looked_at() -> None:
    far = [make_clip(number, "F# major", 100.0) for number in range(1, 400)]
    clips = [make_clip(0, "C major", 100.0), *far]
    with pytest.raises(GenerationError, match="of 200 pairs 200 lie more than 3 semitones apart, 0 too far in tempo"):
        next(PaperGenerator().plan(clips, condition="matched", count=1, seed=0, vocal="clip-0"))


@pytest.mark.parametrize("phrase_bars", [1, 3, 5, 7, 64, 100])
def test_offsets_are_the_same_in_both_directions(phrase_bars: int) -> None:
    beats = BeatsOfClips().of(make_clip(0, "C major", 240.0, duration=600.0))
    fit = ChosenStem(role=Role.HARMONIC, beats=beats, speed=1.0, semitones=0.0, gain_db=0.0)
    offsets = Placer(min_duration_s=1.0).offsets(beats, fit, phrase_bars=phrase_bars)
    assert sorted(offsets) == sorted(-bars for bars in offsets)
    assert max(offsets) == MOST_BARS // phrase_bars * phrase_bars


def test_short_overlaps_are_rejected() -> None:
    clips = [make_clip(0, "C major", 100.0), make_clip(1, "C major", 100.0, duration=24.0)]
    with pytest.raises(GenerationError, match=r"too short.*longer clips \(--clip-length, in Python ExcerptPolicy"):
        plans(clips, "matched")


def test_wrong_arguments(clips: list[Clip]) -> None:
    generator = PaperGenerator()
    for wrong in ({"condition": "odd"}, {"count": 0}, {"vocal": "nobody"}):
        arguments = {"condition": "matched", "count": 1, "seed": 0, **wrong}
        with pytest.raises(UsageError):
            generator.plan(clips, **arguments)  # type: ignore[arg-type]


def test_every_condition_is_known() -> None:
    assert PaperGenerator.info.provides == {str(condition) for condition in Condition}


# ------------------------------------------------------------------------------------------------ beats, bars, mixing
def test_by_default_layers_follow_the_beats_and_plans_mix(clips: list[Clip]) -> None:
    wobbly = [with_drift(clip, 0.02) for clip in clips]
    drawn = plans(wobbly, "matched")
    assert any(layer.time_map is not None for plan in drawn for layer in plan.layers)
    for plan in drawn:
        used = chosen(plan, wobbly)
        grid = plan.layer(Role.VOCAL).to_mashup(used[Role.VOCAL].analysis.beats)  # type: ignore[arg-type]
        for role in (Role.HARMONIC, Role.PERCUSSION):
            beats = plan.layer(role).to_mashup(used[role].analysis.beats)  # type: ignore[arg-type]
            shared = grid[(grid > max(beats[0], 0) - 0.1) & (grid < min(beats[-1], plan.duration_s) + 0.1)]
            assert np.abs(beat_error(shared, beats)).max() < 0.012
        assert plan.layer(Role.VOCAL).time_map is None
        assert plan.mixing.limit_db == 3.0
        assert plan.notes == ()


def with_drift(clip: Clip, drift: float) -> Clip:
    beats = clip.analysis.beats
    assert beats is not None
    bent = beats + drift * clip.duration / 8 * np.sin(2 * np.pi * beats / clip.duration)
    return attrs.evolve(clip, analysis=attrs.evolve(clip.analysis, beats=bent, downbeats=bent[::4]))


def test_aligned_with_one_speed_as_the_paper_does(clips: list[Clip]) -> None:
    wobbly = [with_drift(clip, 0.02) for clip in clips]
    for plan in plans(wobbly, "matched", align="speed"):
        assert all(layer.time_map is None for layer in plan.layers)
        assert plan.notes == ()


def test_beats_that_cannot_be_trusted_fall_back_to_one_speed(clips: list[Clip]) -> None:
    lost = attrs.evolve(clips[0].analysis, confidence={"beats": 0.01})
    doubtful = [attrs.evolve(clips[0], analysis=lost), *clips[1:]]
    for plan in plans(doubtful, "matched"):
        said = {role for role in Role if any(note.startswith(f"{role} at one speed") for note in plan.notes)}
        using = {layer.role for layer in plan.layers if layer.clip_id == clips[0].id}
        expected = {Role.HARMONIC, Role.PERCUSSION} if Role.VOCAL in using else using
        assert said == expected
        assert all("confidence" in note for note in plan.notes)


def test_unmatched_tempi_are_never_mapped(clips: list[Clip]) -> None:
    for plan in plans([with_drift(clip, 0.02) for clip in clips], "unmatched-tempo"):
        assert all((layer.speed, layer.time_map) == (1.0, None) for layer in plan.layers)


def test_other_metres_are_noted(clips: list[Clip]) -> None:
    waltz = clips[3].analysis
    assert waltz.beats is not None
    mixed = [*clips]
    mixed[3] = attrs.evolve(clips[3], analysis=attrs.evolve(waltz, downbeats=waltz.beats[::3]))
    notes = {note for plan in plans(mixed, "matched", mixed_metres=True) for note in plan.notes}
    assert notes <= {f"{role} has {bar} beats a bar, the vocal {7 - bar}" for role in Role for bar in (3, 4)}
    assert notes


def test_a_metre_is_the_cause_only_where_nothing_else_is(clips: list[Clip]) -> None:
    two = [clips[0], attrs.evolve(clips[0], id="waltz", song="waltz")]
    analysis = two[1].analysis
    assert analysis.beats is not None
    assert analysis.tempo is not None
    two[1] = attrs.evolve(two[1], analysis=attrs.evolve(analysis, downbeats=analysis.beats[::3]))
    with pytest.raises(GenerationError, match="another number of beats in a bar"):
        plans(two, "matched")
    with pytest.raises(GenerationError, match="too far apart in tempo"):
        plans(two, "matched", min_speed=1.1, max_speed=1.15)


def test_limits_that_exclude_everything_are_refused() -> None:
    for options in ({"min_speed": 1.1, "max_speed": 0.9}, {"min_duration_s": 59, "max_duration_s": 26}):
        with pytest.raises(OptionError, match=" up to max_"):
            mk.Registry().create("generator", "paper", options)


@pytest.mark.parametrize("align", ["beats", "speed"])
def test_phrases_enter_multiples_of_bars_away(clips: list[Clip], align: str) -> None:
    found = set()
    for plan in plans(clips, "matched", phrase_bars=2, min_duration_s=15.0, align=align):
        used = chosen(plan, clips)
        vocal, *backing = (plan.layer(role) for role in Role)
        for layer in backing:
            lines = layer.to_mashup(used[layer.role].analysis.downbeats)  # type: ignore[arg-type]
            bar = 240 / float(used[Role.VOCAL].analysis.tempo)  # type: ignore[arg-type]
            first = float(vocal.to_mashup(used[Role.VOCAL].analysis.downbeats)[0])  # type: ignore[arg-type, index]
            bars = (float(lines[0]) - first) / bar
            assert bars == pytest.approx(2 * round(bars / 2), abs=0.01)
            found.add(round(bars))
        assert plan.duration_s >= 15.0
    assert len(found) > 3


def test_variants_keep_the_stems_and_move_the_bars(clips: list[Clip]) -> None:
    generator = PaperGenerator(phrase_bars=4, min_duration_s=20.0)
    known = {clip.id: clip for clip in clips}
    for plan in generator.plan(clips, condition="matched", count=10, seed=0):
        variants = generator.variants(plan, known)
        assert plan in variants
        assert len({variant.id for variant in variants}) == len(variants) > 1
    for condition in ("original", "unmatched-tempo"):
        plan = next(generator.plan(clips, condition=condition, count=1, seed=0))
        assert generator.variants(plan, known) == [plan]


def test_a_vocal_that_starts_in_silence_loses_its_silence(clips: list[Clip]) -> None:
    late = [attrs.evolve(clip, duration=60.0, entry={Role.VOCAL: 20.0}) for clip in clips]
    late = [attrs.evolve(clip, analysis=longer(clip, 60.0)) for clip in late]
    for plan in plans(late, "matched"):
        vocal, used = plan.layer(Role.VOCAL), chosen(plan, late)[Role.VOCAL]
        bar = 240 / float(used.analysis.tempo)  # type: ignore[arg-type]
        enters = float(vocal.to_mashup(20.0))
        assert enters < 5.5 * bar + 0.1
        assert plan.duration_s >= 25.0


def longer(clip: Clip, duration: float) -> Analysis:
    beats = np.arange(float(clip.analysis.beats[0]), duration, 60 / float(clip.analysis.tempo))  # type: ignore
    return attrs.evolve(clip.analysis, beats=beats, downbeats=beats[::4])


@pytest.mark.parametrize("condition", ["original", "matched"])
def test_a_bar_line_just_before_the_start_is_the_first(clips: list[Clip], condition: str) -> None:
    # Clips are cut on their first downbeat, which the tracker found 7 ms later than the other beats say.
    early = []
    for clip in clips:
        beats = np.array(clip.analysis.beats) - float(clip.analysis.beats[0]) - 0.007  # type: ignore[index]
        beats[0] = 0.0
        early.append(attrs.evolve(clip, analysis=attrs.evolve(clip.analysis, beats=beats, downbeats=beats[::4])))
    for plan in plans(early, condition):
        assert plan.mixing.fade_in_s == pytest.approx(SHORTEST_FADE_S, abs=0.001)


def test_fades_lie_on_bar_lines(clips: list[Clip]) -> None:
    for plan in plans(clips, "matched"):
        used = chosen(plan, clips)[Role.VOCAL]
        lines = plan.layer(Role.VOCAL).to_mashup(used.analysis.downbeats)  # type: ignore[arg-type]
        bar = 240 / float(used.analysis.tempo)  # type: ignore[arg-type]
        for moment in (plan.mixing.fade_in_s, plan.duration_s - plan.mixing.fade_out_s):
            assert np.abs((moment - lines[0]) / bar - round((moment - lines[0]) / bar)) < 0.02 or moment == 0.02
        assert plan.mixing.fade_out_s <= 1.3 * bar
    assert {(plan.mixing.fade_in_s, plan.mixing.fade_out_s) for plan in plans(clips, "matched", fades=False)} == {
        (0, 0)
    }


def test_no_clips_are_no_list_of_clips() -> None:
    with pytest.raises(GenerationError, match=r"among 0 clips: .*: there is no clip \(add songs\)$"):
        next(PaperGenerator().plan([], condition="matched", count=1, seed=0))
