"""Examples: what is drawn fits or does not, as it says; nothing but the match tells originals from others."""

import math
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashkit.builtin.paper import PaperGenerator
from mashkit.conditions import (
    BACKING,
    FIFTH,
    KEY_FREE,
    MAX_OFFSET_S,
    MAX_SHIFT,
    TEMPO_FREE,
    UNMATCHED,
    fifth_apart,
    keys_clash,
)
from mashkit.conditions import SPEEDS as RATIOS
from mashkit.errors import UsageError
from mashkit.timing import metre
from mashkit.types import Analysis, Condition, Key, Role
from mashkit_mashnet.frontend import LOG_FREQUENCY
from mashkit_mashnet.intervalnet import COMPACT as INTERVALS
from mashkit_mashnet.loops import COMPACT as LOOPS
from mashkit_mashnet.networks import COMPACT, PAPER
from mashkit_mashnet.stem_features import WIDE
from mashkit_mashnet_train import examples, spectra_data, stored_intervals
from mashkit_mashnet_train.batches import Batch
from mashkit_mashnet_train.examples import (
    FAST,
    HARMONIC,
    LATE,
    LEAST_BEATS,
    RULES,
    SHIFTS,
    SPEEDS,
    TWINS,
    Clips,
    Drawer,
    Example,
    Fold,
    sounds,
    split_all,
    split_of,
    splits,
)
from mashkit_mashnet_train.interval_data import LARGEST_S, IntervalData
from mashkit_mashnet_train.spectra_data import SpectraData, collated
from mashkit_mashnet_train.store import Record, Store
from mashkit_mashnet_train.training_data import training_data

ORIGINAL, MATCHED, KEY, TEMPO, BOTH = Condition
KINDS = (ORIGINAL, MATCHED, *UNMATCHED, *TWINS)


@pytest.fixture(scope="module")
def clips(store: Store) -> Clips:
    return Clips([store], None)


def drawn(
    clips: Clips, kinds: tuple[str, ...] = KINDS, protocol: str = "controlled", groups: int = 40
) -> list[Example]:
    drawer = Drawer(clips, protocol, (16, 32))  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    return [example for number in range(groups) for example in drawer.group(number, kinds, random)]


def distance(clips: Clips, example: Example) -> int:
    """Semitones that the harmonic layer's key is from the vocal's as both sound, −6…5."""
    vocal, harmonic = example.layers[Role.VOCAL], example.layers[Role.HARMONIC]
    sounding = [clips.tonics[layer.clip] + layer.semitones for layer in (vocal, harmonic)]
    return int((sounding[1] - sounding[0] + 6) % 12 - 6)


def drift(clips: Clips, example: Example, role: Role) -> float:
    """How far beats of a layer lie from the vocal's, of a beat, at most."""
    layer = example.layers[role]
    beats = clips.beats[layer.clip]
    heard = layer.to_clip(example.grid[:-1])
    heard = heard[(heard > beats[0]) & (heard < beats[-1])]
    places = np.interp(heard, beats, np.arange(len(beats)))
    return float(np.abs(places - np.round(places)).max()) if len(places) else 0.0


def test_a_song_is_in_one_split_for_ever() -> None:
    songs = [f"song-{number}" for number in range(4000)]
    shares = {name: sum(split_of(song) == name for song in songs) / 4000 for name in ("training", "validation", "test")}
    assert shares["test"] == pytest.approx(0.15, abs=0.02)
    assert shares["training"] / shares["validation"] == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("of", [2, 3, 9])
def test_folds_leave_each_song_out_once(of: int) -> None:
    names = [f"song {number}" for number in range(9)]
    left_out: list[str] = []
    for number in range(1, of + 1):
        parts = splits(names, Fold(number, of))
        assert set(parts) == set(names)
        own = [song for song, split in parts.items() if split == "test"]
        assert len(own) in (9 // of, 9 // of + (9 % of > 0))
        assert list(parts.values()).count("validation") == 2
        assert "training" in parts.values()
        left_out += own
    assert sorted(left_out) == names
    assert splits(names) == {name: split_of(name) for name in names}


def test_a_fold_is_trained_without_its_songs(store: Store) -> None:
    data = IntervalData([store], fold=Fold(2, 3), validation_groups=1)
    parts = splits((record.song for record in store.records), Fold(2, 3))
    assert {record.song for record in data.training.records} == {song for song in parts if parts[song] == "training"}
    assert {record.song for record in data.held.records} == {song for song in parts if parts[song] == "validation"}
    assert data.summary["fold"] == "2/3"
    assert data.fingerprint != IntervalData([store], validation_groups=1).fingerprint
    few = attrs.evolve(store, records=store.records[:3])
    with pytest.raises(UsageError, match=r"of fold 1/3\): mashups need two or more"):
        IntervalData([few], fold=Fold(1, 3))


def test_all_layers_of_an_example_are_of_one_store(store: Store) -> None:
    other = attrs.evolve(store, records=store.records[:5])
    clips = Clips([store, other], None)
    assert [pool.rows for pool in clips.pools] == [range(12), range(12, 17)]
    made = drawn(clips, groups=60)
    pools = [{clips.pool_of(layer.clip).rows for layer in example.layers.values()} for example in made]
    assert all(len(one) == 1 for one in pools)
    # Without shares, each clip is as likely as any other.
    vocals = {example.group: example.layers[Role.VOCAL].clip for example in made}
    assert sum(clip >= 12 for clip in vocals.values()) / len(vocals) == pytest.approx(5 / 17, abs=0.15)
    assert {example.kind for example in made if example.layers[Role.VOCAL].clip >= 12} == set(KINDS)


def test_one_store_is_drawn_from_as_if_it_had_a_share(store: Store) -> None:
    alone, shared = Clips([store], None), Clips([store], None, shares=[2])
    assert [pool.rows for pool in alone.pools] == [range(12)]
    assert {shared.draw(np.random.default_rng(seed)) for seed in range(200)} == set(range(12))


@pytest.mark.parametrize("shares", [(1, 3), (9, 1)])
def test_vocals_are_of_each_store_as_often_as_its_share_says(store: Store, shares: tuple[float, float]) -> None:
    other = attrs.evolve(store, records=store.records[:5])
    clips = Clips([store, other], None, shares=shares)
    random = np.random.default_rng(0)
    own = np.array([clips.draw(random) for _ in range(2000)])
    assert (own >= 12).mean() == pytest.approx(shares[1] / sum(shares), abs=0.03)
    for rows in (pool.rows for pool in clips.pools):
        counts = np.bincount(own[(own >= rows.start) & (own < rows.stop)] - rows.start, minlength=len(rows))
        assert counts.min() > 0.5 * counts.mean()
    data = IntervalData([store, other], shares=shares, validation_groups=1)
    assert data.summary["shares"] == list(shares)
    assert data.fingerprint != IntervalData([store, other], validation_groups=1).fingerprint


def test_a_song_without_another_of_its_store_has_no_part(store: Store) -> None:
    single = attrs.evolve(store, records=store.records[:1])
    for shares in (None, (1, 1)):
        clips = Clips([single, store], None, shares=shares)
        assert [pool.rows for pool in clips.pools] == [range(12)]
        assert {number for number, _ in clips.places} == {1}
        assert 0 <= clips.draw(np.random.default_rng(0)) < 12
    with pytest.raises(UsageError, match="no store has two songs"):
        Drawer(Clips([single, single], None), "controlled", (16, 32))


@pytest.mark.parametrize(
    ("shares", "said"), [((1.0,), "1 shares for 2 stores"), ((1.0, 0.0), "shares 1, 0"), ((1.0, math.nan), "nan")]
)
def test_wrong_shares_are_told(store: Store, shares: tuple[float, ...], said: str) -> None:
    stores = [store, attrs.evolve(store, records=store.records[:5])]
    with pytest.raises(UsageError, match=said):
        training_data(stores, "intervalnet", INTERVALS, "controlled", 0, unlabelled=False, shares=shares)


def test_a_store_that_is_given_twice_is_told(store: Store) -> None:
    for other, said in (
        (store, "is given twice"),
        (attrs.evolve(store, folder=Path("copy")), "copy holds the same as"),
    ):
        with pytest.raises(UsageError, match=said):
            training_data([store, other], "intervalnet", INTERVALS, "controlled", 0, unlabelled=False)


names_and_titles = st.dictionaries(
    st.integers(0, 30).map("song {}".format), st.sampled_from([None, "", "A", "B", "C", "D"]), min_size=6
)


@given(st.lists(names_and_titles, min_size=1, max_size=3), st.integers(2, 5))
@settings(deadline=None)
def test_no_song_and_no_title_is_in_two_splits_of_all_stores(stores: list[dict[str, str | None]], of: int) -> None:
    left_out: list[str] = []
    for fold in (None, *(Fold(number, of) for number in range(1, of + 1))):
        try:
            parts = split_all(stores, fold)
        except UsageError:  # so many songs have one title that there are too few
            continue
        assert set(parts) == {song for store in stores for song in store}
        by_title: dict[str, set[str]] = {}
        for store in stores:
            for song, title in store.items():
                by_title.setdefault(title or song, set()).add(parts[song])
        assert all(len(own) == 1 for own in by_title.values())
        if fold is not None:
            left_out += [song for song, split in parts.items() if split == "test"]
    assert len(left_out) == len(set(left_out)) in (0, len({song for store in stores for song in store}))


def test_songs_without_titles_in_common_are_parted_by_store_as_before() -> None:
    first, second = ([f"{name} {number}" for number in range(9)] for name in ("one", "two"))
    titled = {song: f"Band - {song}" for song in second}
    for fold in (None, Fold(2, 3)):
        assert split_all([dict.fromkeys(first), titled], fold) == splits(first, fold) | splits(second, fold)


def test_stores_that_share_songs_are_trained_without_the_songs_of_the_fold(store: Store) -> None:
    stores = [attrs.evolve(store, records=store.records[:9]), attrs.evolve(store, records=store.records[3:])]
    for number in (1, 2, 3):
        parts = [
            {record.song for record in Clips(stores, split, Fold(number, 3)).records}
            for split in ("training", "validation", "test")
        ]
        assert sum(map(len, parts)) == len(set().union(*parts))


def test_more_folds_than_songs_are_refused() -> None:
    names = [f"song {number}" for number in range(6)]
    assert "test" in splits(names, Fold(6, 6)).values()
    with pytest.raises(
        UsageError, match=r"fold 7/7 of 6 songs: some folds would leave no song out \(give 6 folds at most"
    ):
        splits(names, Fold(7, 7))


def test_splits_share_no_song(store: Store) -> None:
    parts = [Clips([store], split) for split in ("training", "validation", "test")]
    songs = [{record.song for record in part.records} for part in parts]
    assert sum(len(part) for part in songs) == len(set().union(*songs)) == len(store)


def test_songs_can_be_left_out(store: Store) -> None:
    every = Clips([store], "training")
    out = every.records[0].song
    fewer = Clips([store], "training", without={out, "no such song"})
    assert [one.id for one in fewer.records] == [one.id for one in every.records if one.song != out]
    assert 0 < len(fewer) < len(every)


def test_originals_are_of_one_clip_in_key_and_in_time(clips: Clips) -> None:
    for example in drawn(clips, (ORIGINAL,)):
        assert len({layer.clip for layer in example.layers.values()}) == 1
        assert distance(clips, example) == 0
        assert max(drift(clips, example, role) for role in Role) < 1e-6


@pytest.mark.parametrize("kind", [MATCHED, KEY, TEMPO, BOTH])
def test_others_are_of_other_songs_and_fit_as_they_should(clips: Clips, kind: str) -> None:
    found = [example for example in drawn(clips, (kind,)) if example.kind == kind]
    assert found
    for example in found:
        vocal = example.layers[Role.VOCAL].clip
        for role in (Role.HARMONIC, Role.PERCUSSION):
            other = example.layers[role].clip
            assert clips.songs[other] != clips.songs[vocal]
            if kind in (MATCHED, KEY):
                assert RATIOS[0] <= clips.tempi[vocal] / clips.tempi[other] <= RATIOS[1]
                assert drift(clips, example, role) < 1e-6
        apart = abs(distance(clips, example))
        moved = example.layers[Role.HARMONIC].semitones - example.layers[Role.VOCAL].semitones
        if kind in (MATCHED, TEMPO):
            assert apart == 0
            assert abs(moved) <= MAX_SHIFT
        else:
            assert apart not in (0, FIFTH)
            assert moved == 0
    if kind in (TEMPO, BOTH):
        assert np.median([drift(clips, example, Role.PERCUSSION) for example in found]) > 0.2


Facts = tuple[int, int, float, int]
"""Song, tonic, tempo in BPM, beats in a bar."""


def clips_of(facts: list[Facts], seconds: list[int] | None = None) -> Clips:
    """Return clips of 16 s, or of so many, with these facts; all their stems sound all the time."""
    lengths = seconds or [16] * len(facts)
    records = []
    for number, ((song, tonic, tempo, bar), length) in enumerate(zip(facts, lengths, strict=True)):
        beats = np.arange(0, length, 60 / tempo)
        analysis = Analysis(Key(tonic, "major"), tempo, beats, beats[::bar])
        records.append(Record(id=f"clip-{number}", song=f"song-{song}", duration=float(length), analysis=analysis))
    frames = [round(length * WIDE.frame_rate) for length in lengths]
    shapes = [(sum(frames), len(Role), bands) for bands in (WIDE.bands, 3)]
    spectra, onsets = (np.full(shape, 255, np.uint8) for shape in shapes)
    starts = np.cumsum([0, *frames])[:, None].repeat(2, axis=1)
    return Clips([Store(Path("none"), tuple(records), {}, spectra, onsets, starts)], None)


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 11), st.floats(62, 170), st.sampled_from([4, 4, 4, 3])),
        min_size=2,
        max_size=8,
        unique_by=lambda fact: fact[0],
    ),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_examples_are_drawn_by_the_rules_of_the_papers_generator(facts: list[Facts], seed: int) -> None:
    assert attrs.evolve(RULES, fifths=True) == PaperGenerator().rules
    clips = clips_of(facts)
    drawer, random = Drawer(clips, "controlled", (16, 32)), np.random.default_rng(seed)

    def fits(vocal: int, other: int, role: Role, condition: Condition) -> bool:
        (song, tonic, _, bar), (other_song, other_tonic, _, other_bar) = facts[vocal], facts[other]
        return (
            other_song != song
            and metre.fit(bar, other_bar)
            and RULES.tempo_fits(float(clips.tempi[vocal]) / float(clips.tempi[other]), condition)
            and (role is Role.PERCUSSION or RULES.key_fits((tonic - other_tonic + 6) % 12 - 6, condition))
        )

    for vocal, (_, tonic, _, _) in enumerate(facts):
        found = {example.kind: example for example in drawer.group(0, tuple(Condition), random, vocal=vocal)}
        assert {layer.clip for layer in found[ORIGINAL].layers.values()} == {vocal}
        assert found[ORIGINAL].target() == 1
        for condition in (MATCHED, *UNMATCHED):
            if condition not in found:
                assert not all(any(fits(vocal, one, role, condition) for one in range(len(facts))) for role in BACKING)
                continue
            example = found[condition]
            assert all(fits(vocal, example.layers[role].clip, role, condition) for role in BACKING)
            assert math.isnan(example.target()) if condition is MATCHED else example.target() == 0
            shift = example.layers[Role.HARMONIC].semitones - example.layers[Role.VOCAL].semitones
            apart = (facts[example.layers[Role.HARMONIC].clip][1] + shift - tonic + 6) % 12 - 6
            assert keys_clash(apart) is (condition in KEY_FREE)
            assert not fifth_apart(apart)
            starts = [float(example.layers[role].mashup[0]) for role in BACKING]
            assert max(map(abs, starts)) <= (MAX_OFFSET_S if condition in TEMPO_FREE else 0)
            # One stem of three is delayed; if it is the vocal, both others are early by the same time.
            assert 0 in starts or starts[0] == starts[1]


def test_data_drawn_by_other_rules_are_other_data(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = IntervalData([store], groups=2, validation_groups=4)
    assert now.summary["rules"] == examples.RULES_VERSION == 6
    monkeypatch.setattr(examples, "RULES_VERSION", 2)
    assert IntervalData([store], groups=2, validation_groups=4).fingerprint != now.fingerprint


@pytest.mark.parametrize("fold", [None, Fold(1, 3)])
def test_residue_is_of_another_song_of_the_split(
    store: Store, fold: Fold | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = [record.song for record in store.records]
    parts = examples.parts_of([store], fold)
    origins = stored_intervals._origins(store, parts)
    drawn_from = {
        (songs[clip], songs[other])
        for clip in range(len(store))
        for role in Role
        if (other := stored_intervals._other(origins, clip, role)[1]) is not None
    }
    assert len(drawn_from) > len(set(songs))
    assert all(own != other and parts[own] == parts[other] for own, other in drawn_from)
    # Without another song there is no residue.
    alone = np.zeros((2, len(store)), np.intp)
    assert stored_intervals._other(alone, 0, Role.VOCAL)[1] is None
    assert not stored_intervals._residue_onsets(store, alone, 0, Role.VOCAL).any()
    own = store.stem(0, Role.VOCAL).spectrum
    assert np.array_equal(stored_intervals._with_residue(store, alone, 0, Role.VOCAL), own)
    # So it is in spectra, where a batch draws it.
    clips = Clips([store], None)
    seen: list[int] = []
    place = clips.place
    monkeypatch.setattr(clips, "place", lambda clip: seen.append(clip) or place(clip))
    values = np.zeros((LOG_FREQUENCY.bands, 50), np.float32)
    for own_clip in range(len(clips)):
        for seed in range(5):
            random = np.random.default_rng(seed)
            spectra_data._with_residue(clips, values, own_clip, Role.VOCAL, random, LOG_FREQUENCY)
        assert clips.songs[own_clip] not in clips.songs[seen[-5:]]


def test_a_fold_has_residue_of_its_own_and_no_file_of_another_is_read(store: Store) -> None:
    one, again, other = (IntervalData([store], fold=fold, validation_groups=1)._lookup._kept[store.folder]
                         for fold in (Fold(1, 3), Fold(1, 3), Fold(2, 3)))  # fmt: skip
    for role, (clean, residue) in one.pitches.items():
        assert clean.filename == other.pitches[role][0].filename == again.pitches[role][0].filename
        assert residue.filename == again.pitches[role][1].filename != other.pitches[role][1].filename
        assert not np.array_equal(residue, other.pitches[role][1])
        assert not np.array_equal(residue, clean)


def test_the_page_names_the_version_of_the_rules() -> None:
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    assert f"The rules are of version {examples.RULES_VERSION}." in page
    assert f"\n| {examples.RULES_VERSION} | " in page
    assert f"\n| {examples.RULES_VERSION + 1} | " not in page


def outside(clips: Clips, example: Example, edge: float = 0.0) -> float:
    """Return the greatest share of an example's time in which one of its layers is outside of its clip."""
    times = np.linspace(example.grid[0] - edge, example.grid[-1] + edge, 500)
    shares = []
    for layer in example.layers.values():
        moments = layer.to_clip(times)
        shares.append(((moments < -1e-9) | (moments > clips.records[layer.clip].duration + 1e-9)).mean())
    return float(max(shares))


@pytest.mark.parametrize("protocol", ["controlled", "paper"])
def test_no_kind_of_example_is_told_by_silence_outside_of_its_clips(clips: Clips, protocol: str) -> None:
    # As clips of the same length, of very different lengths, and with beats from the first moment on.
    for some in (clips, clips_of([(n, 2 * n % 12, 80.0 + 7 * n, 4) for n in range(9)], [12 + 3 * n for n in range(9)])):
        for kinds in ((ORIGINAL, MATCHED, *UNMATCHED), KINDS):
            found: dict[str, list[float]] = {}
            for example in drawn(some, kinds, protocol):
                found.setdefault(example.kind, []).append(outside(some, example))
            assert set(found) == set(kinds)
            assert {kind: max(shares) for kind, shares in found.items()} == dict.fromkeys(kinds, 0.0)


def test_beats_that_a_tracker_moves_stay_in_the_clips(store: Store) -> None:
    data = IntervalData([store], groups=2, validation_groups=4)
    for clips, drawer in ((data.training, data._drawer), (data.held, data._held)):
        random = np.random.default_rng(0)
        for number in range(20):
            for example in drawer.group(number, KINDS, random):
                speed = float(np.diff(example.layers[Role.VOCAL].to_clip(np.array([0.0, 1.0])))[0])
                assert outside(clips, example, LARGEST_S / max(speed, 1)) == 0


@pytest.mark.parametrize("protocol", ["controlled", "paper"])
def test_all_examples_of_a_group_have_one_excerpt_in_which_the_vocal_sounds(clips: Clips, protocol: str) -> None:
    groups: dict[int, list[Example]] = {}
    for example in drawn(clips, (ORIGINAL, MATCHED, *UNMATCHED), protocol):
        groups.setdefault(example.group, []).append(example)
    for made in groups.values():
        sources = {tuple(example.layers[Role.VOCAL].source) for example in made}
        assert len(sources) == 1
        assert len({len(example.grid) for example in made}) == 1
        sung = made[0].layers[Role.VOCAL]
        first = int(np.flatnonzero(clips.beats[sung.clip] == sung.source[0])[0])
        assert len(made[0].grid) > LEAST_BEATS
        assert sounds(clips, sung.clip, first, len(made[0].grid) - 1)


def test_a_vocal_whose_clip_is_too_short_gives_nothing() -> None:
    clips = clips_of([(0, 0, 61.0, 7), (1, 0, 62.0, 4)], [15, 40])
    random = np.random.default_rng(0)
    assert [example.kind for example in Drawer(clips, "paper", (16, 32)).group(0, (ORIGINAL,), random, vocal=0)]
    # With room for a beat before the excerpt, and a faster stem after it, seven beats remain.
    assert not list(Drawer(clips, "paper", (16, 32)).group(0, (ORIGINAL,), random, vocal=0, twins=True))
    assert list(Drawer(clips, "paper", (16, 32)).group(0, (ORIGINAL,), random, vocal=1, twins=True))


def test_twins_differ_in_one_thing(clips: Clips) -> None:
    for example in drawn(clips, TWINS):
        layers = example.layers
        assert len({layer.clip for layer in layers.values()}) == 1
        sung, played, drums = (layers[role] for role in (Role.VOCAL, Role.HARMONIC, Role.PERCUSSION))
        if example.kind == HARMONIC:
            assert drums is sung
            assert played.semitones != sung.semitones
            np.testing.assert_array_equal(played.mashup, sung.mashup)
        else:
            assert played is sung
            assert drums.semitones == sung.semitones
        if example.kind == LATE:
            beat = float(np.median(np.diff(example.grid)))
            assert 0.1 < (drums.mashup - sung.mashup).max() / beat < 1.01
        if example.kind == FAST:
            ratio = np.ptp(sung.mashup) / np.ptp(drums.mashup)
            assert 0.015 <= abs(ratio - 1) <= 0.061
            assert drums.mashup[0] == sung.mashup[0]


def test_targets_are_of_the_layers_that_are_heard(clips: Clips) -> None:
    all_roles = frozenset(Role)
    pair = {role: all_roles - {role} for role in Role}
    for example in drawn(clips):
        whole, no_vocal = example.target(), example.target(pair[Role.VOCAL])
        if example.kind == ORIGINAL:
            assert whole == no_vocal == 1
        elif example.kind == MATCHED:
            assert math.isnan(whole)
        else:
            assert whole == 0
        if example.kind == HARMONIC:
            # A backing a semitone off is still in tune with itself, and its drums with the vocal.
            assert no_vocal == example.target(pair[Role.HARMONIC]) == 1
        if example.kind in (LATE, FAST):
            assert no_vocal == example.target(pair[Role.HARMONIC]) == 0
            assert example.target(pair[Role.PERCUSSION]) == 1
        if example.kind == KEY:
            assert math.isnan(no_vocal)
            assert example.target(pair[Role.PERCUSSION]) == 0


def test_in_the_controlled_protocol_processing_tells_nothing(clips: Clips) -> None:
    shifts: dict[str, list[float]] = {}
    for example in drawn(clips, (ORIGINAL, *UNMATCHED), groups=300):
        sung = example.layers[Role.VOCAL]
        speed = float(np.diff(sung.source)[0] / np.diff(sung.mashup)[0])
        assert SPEEDS[0] <= speed <= SPEEDS[1]
        assert SHIFTS[0] <= sung.semitones < SHIFTS[1]
        shifts.setdefault("original" if example.kind == ORIGINAL else "other", []).append(sung.semitones)
    means = [np.mean(values) for values in shifts.values()]
    assert abs(means[0] - means[1]) < 0.35  # 4 standard errors of 300 draws


def test_in_the_papers_protocol_the_vocal_stays_as_it_is(clips: Clips) -> None:
    for example in drawn(clips, (ORIGINAL, MATCHED, *UNMATCHED), "paper"):
        sung = example.layers[Role.VOCAL]
        assert sung.semitones == 0
        np.testing.assert_allclose(np.diff(sung.source), np.diff(sung.mashup))


def test_one_song_is_not_enough(store: Store) -> None:
    clips = Clips([attrs.evolve(store, records=store.records[:1])], None)
    with pytest.raises(UsageError, match="two or more"):
        Drawer(clips, "controlled", (16, 32))


# ------------------------------------------------------------------------------------------------------------ data
@pytest.mark.parametrize("family", ["intervals", "stems", "mix", "bars"])
def test_a_batch_is_made_of_its_number(store: Store, family: str) -> None:
    def made(seed: int) -> IntervalData | SpectraData:
        if family == "intervals":
            return IntervalData([store], seed=seed, groups=2, validation_groups=4)
        bars = LOOPS.bar_frames if family == "bars" else None
        mixed = family == "mix"
        return SpectraData(
            [store], seed=seed, mixed=mixed, unlabelled=True, groups=2, validation_groups=4, bar_frames=bars
        )

    one, again, other = made(0), made(0), made(1)
    assert one.fingerprint == again.fingerprint != other.fingerprint
    again.batch(0)  # what was drawn before is of no matter
    assert _same(one.batch(3), again.batch(3))
    assert not _same(one.batch(3), one.batch(4))
    assert not _same(one.batch(3), other.batch(3))
    assert all(_same(a, b) for a, b in zip(one.validation(), other.validation(), strict=True))
    batch = one.batch(0)
    assert {1.0, 0.0} <= set(batch.targets[~batch.targets.isnan()].tolist())
    assert batch.targets.isnan().any()
    assert all(len(part) == len(batch) for part in batch.inputs.values())
    assert one.summary["training"]["test"]["songs"] >= 2


@pytest.mark.parametrize("family", ["intervals", "stems"])
def test_validation_is_the_same_for_any_number_of_vocals_in_a_batch(store: Store, family: str) -> None:
    def made(groups: int) -> list[Batch]:
        if family == "intervals":
            return IntervalData([store], groups=groups, validation_groups=14).validation()
        return SpectraData([store], mixed=False, unlabelled=True, groups=groups, validation_groups=14).validation()

    few, many = made(1), made(7)
    assert len(few) == len(many) > 1
    assert all(_same(one, other) for one, other in zip(few, many, strict=True))


def _same(one: Batch, other: Batch) -> bool:
    return all(
        part.shape == other.inputs[name].shape and bool((part == other.inputs[name]).all())
        for name, part in one.inputs.items()
    )


def test_a_transposed_example_is_a_shifted_spectrum(clips: Clips) -> None:
    (example,) = drawn(clips, (ORIGINAL,), "paper", groups=1)
    moved = Example(
        example.kind,
        0,
        example.grid,
        example.downbeats,
        {role: layer.__class__(layer.clip, 2, layer.mashup, layer.source) for role, layer in example.layers.items()},
    )
    plain, up = (collated(clips, [one], None, frames=100, mixed=False).inputs["spectra"][0] for one in (example, moved))
    np.testing.assert_array_equal(up[0, 4:], plain[0, :-4])
    np.testing.assert_array_equal(up[2], plain[2])  # drums have no pitch to transpose


def test_a_bar_is_a_bar_of_the_vocal_with_as_many_frames_as_any(store: Store, clips: Clips) -> None:
    data = training_data([store], "nlc-snn", LOOPS, "controlled", 0, unlabelled=False)
    assert data.batch(0).inputs["spectra"].shape == (24, 3, 128, 44)  # a bar, as published
    assert all(batch.inputs["spectra"].shape[3] in range(2 * 44, 9 * 44, 44) for batch in data.validation())
    (example,) = drawn(clips, (ORIGINAL,), "paper", groups=1)
    found = collated(clips, [example], None, frames=1 << 20, mixed=False, bar_frames=44).inputs
    bars = len(example.downbeats) - 1
    assert found["lengths"].tolist() == [bars * 44]
    vocal = example.layers[Role.VOCAL]
    beats = vocal.to_clip(example.downbeats)
    owner, own = clips.place(vocal.clip)
    spectrum = owner.spectrum(own, Role.VOCAL, LOG_FREQUENCY)[:, 12:-12] / np.float32(255)
    for bar in range(bars):
        quarters = np.linspace(beats[bar], beats[bar + 1], 4, endpoint=False)
        due = spectrum[np.rint(quarters * LOG_FREQUENCY.frame_rate).astype(int)]
        np.testing.assert_allclose(found["spectra"][0, 0, :, bar * 44 : (bar + 1) * 44 : 11].T, due, atol=1e-6)


def test_what_no_store_holds_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="mel front end"):
        training_data([store], "premixnet", PAPER, "controlled", 0, unlabelled=False)
    for variant, preset in (
        ("premixnet", COMPACT),
        ("postmixnet-lsro", COMPACT),
        ("intervalnet", INTERVALS),
        ("nlc-cnn", LOOPS),
    ):
        assert training_data([store], variant, preset, "controlled", 0, unlabelled=True).batch(0).targets.numel() > 8


def test_recordings_are_named_and_songs_that_were_made_are_not(store: Store) -> None:
    assert Clips([store], None).recordings == set()
    titles = {record.song: f"Band - {record.song}" for record in store.records}
    named = attrs.evolve(store, source={**store.source, "titles": titles})
    training, test = (Clips([named], split).recordings for split in ("training", "test"))
    assert len(training) == 6
    assert training == {f"Band - {song}" for song in titles if split_of(song) == "training"}
    assert not training & test
