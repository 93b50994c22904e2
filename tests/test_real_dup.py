"""One recording in two files is one song: found whatever was done to it, told once, kept out of mashups with itself."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mashkit as mk
from light import Grid, Thirds
from mashkit.audio.files import load, save
from mashkit.catalog import Adder, Catalog, MashupDB
from mashkit.catalog.adding import Added, usable
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.protocols.multitrack import describe_multitrack
from mashkit.catalog.recordings import Candidate, Recordings, is_part, require_choice
from mashkit.catalog.songs import describe_song, find_songs
from mashkit.catalog.upkeep import content_digest, verify
from mashkit.cli import main
from mashkit.errors import UsageError
from mashkit.features.soundprint import SAME, Shelf, Soundprint, likeness, shelved, soundprint
from mashkit.interfaces import Separator
from mashkit.report.statistics import statistics
from mashkit.types import Audio, Role, StemSet
from real_inputs import dup
from real_inputs.older import as_version_2

HERE = Path(__file__).parent


SHORT = ExcerptPolicy(per_song=1, length_s=25.0)
"""Songs are compared whole, whatever is cut out of them: one short clip of each costs least."""


def build(folder: Path, cache: Path, **options: Any) -> Catalog:
    return Catalog.build([folder], separator=Thirds(), analyzer=Grid(), cache=cache, policy=SHORT, **options)


def add(root: Path, *paths: Path, separator: Separator | None = None, **options: Any) -> tuple[Adder, list[Added]]:
    with MashupDB(root) as database:
        adder = Adder(database, separator or Thirds(), Grid(), policy=SHORT, **options)
        return adder, list(adder.add(usable(find_songs(paths), describe_song)))


def decoding(loader: Callable[[Path], None]) -> mk.Registry:
    """Return a registry whose only plugin decodes files by ``loader``."""

    class Plugin:
        @mk.hookimpl
        def mashkit_load_audio(self, path: Path) -> None:
            loader(path)

    registry = mk.Registry(allow=[])
    registry.plugins.register(Plugin())
    return registry


def used(catalog: Catalog) -> set[str]:
    return {Path(clip.source).name for clip in catalog.clips}


@pytest.fixture(scope="module")
def sounds() -> dict[str, Audio]:
    return {name: dup.demo(name) for name in dup.DEMO}


@pytest.fixture(scope="module")
def prints(sounds: dict[str, Audio]) -> dict[str, Soundprint]:
    return {name: soundprint(audio) for name, audio in sounds.items()}


# --------------------------------------------------------------------------------------------------------- prints
def test_different_songs_are_different(prints: dict[str, Soundprint]) -> None:
    for one, other in itertools.combinations(prints.values(), 2):
        found = likeness(one, other)
        assert found is not None
        assert found.agreement < SAME / 2


@settings(max_examples=8, deadline=None)
@given(
    name=st.sampled_from(dup.DEMO), gain_db=st.floats(-40, 0), speed=st.floats(0.99, 1.01), cut_s=st.floats(0.1, 8),
    pad_s=st.floats(0, 3), rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 96_000]), mono=st.booleans(),
)  # fmt: skip
def test_whatever_is_done_to_it_a_recording_stays_itself(
    sounds: dict[str, Audio],
    prints: dict[str, Soundprint],
    name: str,
    gain_db: float,
    speed: float,
    cut_s: float,
    pad_s: float,
    rate: int,
    mono: bool,
) -> None:
    audio = dup.padded(dup.faster(dup.louder(sounds[name], gain_db), speed), cut_s=cut_s, pad_s=pad_s)
    audio = dup.resample(audio, rate)
    if mono:
        audio = Audio(audio.samples.mean(axis=0, keepdims=True), rate)
    copy = soundprint(audio)
    found = likeness(copy, prints[name])
    assert found is not None
    assert found.same
    # Where it lies: at −pad before what was cut.
    assert found.start_s == pytest.approx(cut_s * speed - pad_s * speed, abs=0.25)
    assert found.speed == pytest.approx(speed, abs=0.005)
    turned = likeness(prints[name], copy)
    assert turned is not None
    assert turned.agreement == pytest.approx(found.agreement, abs=0.1)
    shelf = Shelf([shelved(one) for one in prints.values()])
    assert shelf.candidates(copy)[0] == dup.DEMO.index(name)


@pytest.mark.parametrize(
    ("share", "part"), [(0.4, True), (0.65, True), (0.7, True), (0.76, True), (0.9, False), (1.0, False)]
)
def test_a_part_is_clearly_shorter_than_the_whole(share: float, part: bool, prints: dict[str, Soundprint]) -> None:
    whole = prints["mango-season"]
    for start in (0, round((1 - share) * len(whole.values))):
        piece = Soundprint(whole.values[start:][: round(share * len(whole.values))])
        found = likeness(piece, whole)
        assert found is not None
        assert is_part(found) is part
        assert not is_part(found.reversed())


def test_the_gain_changes_nothing(sounds: dict[str, Audio], prints: dict[str, Soundprint]) -> None:
    softer = soundprint(dup.louder(sounds["slow-river"], -24.0824))  # a power of two, nearly
    assert np.mean(softer.values == prints["slow-river"].values) > 0.999


def test_prints_come_back_from_bytes(prints: dict[str, Soundprint]) -> None:
    for one in (*prints.values(), Soundprint(np.zeros((0, 20), np.int8))):
        data = one.to_bytes()
        back = Soundprint.from_bytes(data)
        assert back is not None
        assert np.array_equal(back.values, one.values)
        assert len(data) == 1 + 10 * len(one.values)
        assert Soundprint.from_bytes(bytes([99]) + data[1:]) is None  # of another version


@pytest.mark.parametrize("seconds", [0.01, 0.5, 0.72, 3.0])
def test_what_is_too_short_or_silent_says_nothing(seconds: float, prints: dict[str, Soundprint]) -> None:
    chance = np.random.default_rng(0)
    noise = chance.standard_normal((2, round(seconds * 44_100))).astype(np.float32)
    for audio in (Audio(noise, 44_100), Audio(noise * 0, 44_100)):
        assert likeness(soundprint(audio), prints["slow-river"]) is None
        assert likeness(prints["slow-river"], soundprint(audio)) is None
    assert Shelf([]).candidates(prints["slow-river"]) == []


def test_tones_noise_and_near_silence_are_no_copies_of_one_another(tmp_path: Path) -> None:
    files = sorted(dup.next_to_nothing(tmp_path).iterdir())
    found = [soundprint(load(path)) for path in files]
    for (one, this), (other, that) in itertools.combinations(zip(files, found, strict=True), 2):
        alike = likeness(this, that)
        assert alike is None or not alike.same, f"{one.name} {other.name}"


# ------------------------------------------------------------------------------------------------------- a folder
VARIANTS = {dup.clipped_and_worn, dup.two_songs_in_one, dup.one_beat_in_two_songs, dup.same_chords_in_two_songs}
"""Makers marked slow, because each is a variant of a quick one."""


def _each(makers: Iterable[Callable[[Path], Path]]) -> list[Any]:
    return [pytest.param(maker, marks=[pytest.mark.slow] if maker in VARIANTS else []) for maker in makers]


@pytest.mark.parametrize("maker", _each(dup.SAME), ids=lambda maker: maker.__name__)
def test_of_one_recording_one_file_is_used_and_a_note_names_both(maker: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = maker(tmp_path / "songs")
    files = {path.name for path in find_songs([folder])}
    catalog = build(folder, tmp_path / "cache")
    assert used(catalog) == files - set(dup.SAME[maker])
    assert not catalog.failures
    assert [path.name for path, _ in catalog.passed_over] == dup.SAME[maker]
    for path, other in catalog.passed_over:
        (note,) = [note for note in catalog.notes if note.startswith(f"{path}: ")]
        assert str(other) in note
        assert "passed over" in note
        assert other.name in used(catalog)


@pytest.mark.parametrize("maker", _each(dup.DIFFERENT), ids=lambda maker: maker.__name__)
def test_what_only_shares_a_loop_or_a_backing_is_a_song_of_its_own(
    maker: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = maker(tmp_path / "songs")
    catalog = build(folder, tmp_path / "cache")
    assert used(catalog) == {path.name for path in find_songs([folder])}
    assert catalog.passed_over == []


def test_true_stems_go_before_a_mix_of_them(tmp_path: Path) -> None:
    folder = dup.stems_and_the_mix(tmp_path / "songs")
    save(folder / "a.flac", load(folder / "mixed" / "mixture.flac"))
    songs = [
        describe_song(folder / "a.flac"),
        describe_multitrack(folder / "mixed"),
        describe_multitrack(folder / "song"),
    ]
    with MashupDB(tmp_path / "db") as database:
        adder = Adder(database, Thirds(), Grid(), policy=SHORT, among_given=True)
        added = list(adder.add(songs))
        # Of two with stems, the one at 44.1 kHz.
        assert [one.path for one in added] == [folder / "song"]
        assert [path for path, _ in adder.report.passed_over] == [songs[0].path, songs[1].path]


@pytest.mark.slow
def test_the_demo_songs_and_a_copy_of_each_make_no_mashup_of_a_song_with_itself(tmp_path: Path) -> None:
    folder = dup.demo_songs_and_copies(tmp_path / "songs")
    kit = mk.Kit(separator=Thirds(), analyzer=Grid())
    one_each = ExcerptPolicy(per_song=1, length_s=32.0)
    catalog = kit.catalog(folder, cache=tmp_path / "cache", policy=one_each)
    assert used(catalog) == {f"{name}.ogg" for name in dup.DEMO}
    copies = ["za.mp3", "zb.opus", "zc.wav", "zd.flac", "ze.flac", "zf.wav"]
    assert [path.name for path, _ in catalog.passed_over] == copies
    assert [note for note in catalog.notes if "z" not in Path(note.split(": ")[0]).name] == []
    assert len(catalog.notes) == 6
    copy_of = dict(zip("abcdef", dup.DEMO, strict=True))
    assert all(other.stem == copy_of[path.stem[1]] for path, other in catalog.passed_over)
    for mashup in kit.generate(catalog, count=40, seed=1):
        clips = mashup.clips
        assert Path(clips[Role.VOCAL].source).stem != Path(clips[Role.HARMONIC].source).stem
    # Each for itself, the copies are songs, and clips of them may meet their originals.
    apart = kit.catalog(folder, cache=tmp_path / "cache", policy=one_each, same_recording="separate")
    assert len(used(apart)) == 12
    assert apart.passed_over == []


def test_the_choice_depends_on_the_songs_not_on_who_is_first_done(tmp_path: Path, light: None) -> None:
    folder = dup.song_in_two_encodings(tmp_path / "songs")
    notes = []
    for jobs in (0, 3):
        kit = mk.Kit(separator="thirds", analyzer="grid", options={"executor": {"jobs": jobs}})
        catalog = kit.catalog(folder, cache=tmp_path / str(jobs), policy=SHORT)
        assert used(catalog) == {"harbour-lights.ogg"}
        notes.append(catalog.notes)
    assert notes[0] == notes[1]


def test_who_is_alike_is_found_in_any_order(prints: dict[str, Soundprint], sounds: dict[str, Audio]) -> None:
    songs = [Candidate(name, one, False, 44_100, 2) for name, one in prints.items()]
    half = soundprint(sounds["slow-river"].excerpt(4.0, 26.0))
    songs += [Candidate("half", half, False, 44_100, 2), Candidate("dull", prints["mango-season"], False, 8_000, 2)]
    for order in itertools.islice(itertools.permutations(songs), 0, 40_320, 6_000):
        found = {match.song: match.of for match in Recordings([], prints.__getitem__).matches(order)}
        assert found == {"half": "slow-river", "dull": "mango-season"}


def test_words_that_are_no_choice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="once or separate"):
        require_choice("twice")
    with MashupDB(tmp_path) as database, pytest.raises(UsageError):
        Adder(database, Thirds(), Grid(), same_recording="join")


# ----------------------------------------------------------------------------------------------------- a database
def test_a_copy_of_what_a_database_has_is_passed_over_for_good(tmp_path: Path) -> None:
    folder = dup.song_in_two_encodings(tmp_path / "songs")
    add(tmp_path / "db", folder / "harbour-lights.ogg")
    separator = Thirds()
    adder, added = add(tmp_path / "db", folder / "x.mp3", folder / "y.flac", separator=separator)
    assert added == []
    assert separator.calls == []
    assert [path.name for path, _ in adder.report.passed_over] == ["x.mp3", "y.flac"]
    decoded: list[str] = []

    def loader(path: Path) -> None:
        decoded.append(path.name)

    adder, added = add(tmp_path / "db", folder, separator=separator, registry=decoding(loader))
    assert decoded == []  # what it sounds like is known: nothing is computed
    assert separator.calls == []
    assert (adder.report.songs, adder.report.cached, len(adder.report.passed_over)) == (1, 1, 2)
    with MashupDB(tmp_path / "db", write=False) as database:
        assert {clip.title for clip in database.table()} == {"harbour-lights"}
        assert statistics(database)["totals"]["songs"] == 1
        assert statistics(database)["totals"]["same_recordings"] == 2
        assert [(path.name, other.name) for path, other, _ in database.same_recordings()] == [
            ("x.mp3", "harbour-lights.ogg"), ("y.flac", "harbour-lights.ogg"),
        ]  # fmt: skip
        (folder / "x.mp3").unlink()
        assert list(verify(database)) == []  # it gives no clip: nobody misses it


@attrs.define(kw_only=True, eq=False)
class Interrupted(Thirds):
    """Lets something else happen while it separates."""

    meanwhile: Callable[[], object]

    def _separate(self, mix: Audio) -> StemSet:
        self.meanwhile()
        return super()._separate(mix)


@pytest.mark.parametrize("choice", [None, pytest.param("separate", marks=pytest.mark.slow)])
def test_a_copy_that_another_process_adds_at_the_same_time_is_passed_over(
    sounds: dict[str, Audio], tmp_path: Path, choice: str | None
) -> None:
    save(tmp_path / "one.flac", sounds["harbour-lights"].excerpt(0, 25.5))
    save(tmp_path / "two.ogg", sounds["harbour-lights"].excerpt(0, 25.5))
    save(tmp_path / "other.flac", sounds["slow-river"].excerpt(0, 25.5))
    first = Interrupted(meanwhile=lambda: add(tmp_path / "db", tmp_path / "two.ogg", same_recording=choice))
    given = tmp_path / "one.flac", tmp_path / "other.flac"
    adder, added = add(tmp_path / "db", *given, separator=first, same_recording=choice)
    used = ["other"] if choice is None else ["one", "other"]
    assert [one.path.stem for one in added] == used
    assert [(path.name, other.name) for path, other in adder.report.passed_over] == (
        [("one.flac", "two.ogg")] if choice is None else []
    )
    with MashupDB(tmp_path / "db", write=False) as database:
        assert {clip.title for clip in database.table()} == {*used, "two"}
        assert list(verify(database)) == []
    adder, added = add(tmp_path / "db", tmp_path / "one.flac")
    assert [one.path.stem for one in added] == used[:-1]  # the choice stays


@attrs.define(kw_only=True, eq=False)
class Failing(Thirds):
    """Fails on the first songs."""

    failures: int = 0

    def _separate(self, mix: Audio) -> StemSet:
        stems = super()._separate(mix)
        if len(self.calls) <= self.failures:
            raise RuntimeError("no stems")
        return stems


@pytest.mark.parametrize(("failures", "among_given"), [(1, False), (2, True), (3, False)])
def test_a_copy_is_used_if_the_song_it_was_passed_over_for_fails(
    sounds: dict[str, Audio], tmp_path: Path, failures: int, among_given: bool
) -> None:
    ranked = ["a.flac", "b.ogg", "c.mp3"]
    for name in ranked:
        save(tmp_path / "songs" / name, sounds["harbour-lights"].excerpt(0, 25.5))
    separator = Failing(failures=failures)
    adder, added = add(tmp_path / "db", tmp_path / "songs", separator=separator, among_given=among_given)
    assert [one.path.name for one in added if one.error] == ranked[:failures]
    assert [one.path.name for one in added if not one.error] == ranked[failures : failures + 1]
    left = [(path.name, other.name) for path, other in adder.report.passed_over]
    assert left == [(name, ranked[failures]) for name in ranked[failures + 1 :]]
    assert len(adder.report.notes) >= len(left)
    with MashupDB(tmp_path / "db", write=False) as database:
        assert {clip.title for clip in database.table()} == {Path(one).stem for one in ranked[failures:][:1]}
        assert list(verify(database)) == []


def test_a_person_may_say_that_they_are_different_songs(tmp_path: Path) -> None:
    folder = dup.song_in_two_encodings(tmp_path / "songs")
    add(tmp_path / "db", folder / "harbour-lights.ogg")
    _, added = add(tmp_path / "db", folder / "x.mp3", same_recording="separate")
    assert len(added) == 1
    adder, added = add(tmp_path / "db", folder)  # that is remembered
    assert [one.path.name for one in added] == ["harbour-lights.ogg", "x.mp3"]
    assert [path.name for path, _ in adder.report.passed_over] == ["y.flac"]
    with MashupDB(tmp_path / "db", write=False) as database:
        assert len({clip.song for clip in database.table()}) == 2
        assert len(set(database.table().songs.tolist())) == 2
    adder, _ = add(tmp_path / "db", folder / "x.mp3", same_recording="once")  # and can be taken back
    with MashupDB(tmp_path / "db", write=False) as database:
        assert len({clip.song for clip in database.table()}) == 1
        assert len(set(database.table().songs.tolist())) == 1
    assert any("count as one song" in note for note in adder.report.notes)


def test_an_older_database_listens_to_what_it_has(tmp_path: Path) -> None:
    folder = dup.song_in_two_encodings(tmp_path / "songs")
    first, _ = add(tmp_path / "db", folder / "harbour-lights.ogg", folder / "x.mp3", same_recording="separate")
    assert first.report.songs == 2
    with MashupDB(tmp_path / "db") as database:
        ids = [clip.id for clip in database.table()]
    as_version_2(tmp_path / "db")
    separator = Thirds()
    adder, added = add(tmp_path / "db", folder / "y.flac", separator=separator)
    assert added == []
    assert separator.calls == []
    assert [(path.name, other.name) for path, other in adder.report.passed_over] == [("y.flac", "harbour-lights.ogg")]
    assert any("harbour-lights.ogg" in note and "x.mp3" in note and "count as one song" in note
               for note in adder.report.notes)  # fmt: skip
    with MashupDB(tmp_path / "db") as database:
        clips = list(database.table())
        assert [clip.id for clip in clips] == ids  # nothing is lost that was there
        assert len({clip.song for clip in clips}) == 1
        assert len(set(database.table().songs.tolist())) == 1
        assert statistics(database)["totals"]["songs"] == 1


def test_a_song_of_an_older_database_that_has_gone_is_counted_in_a_note(tmp_path: Path) -> None:
    folder = dup.song_in_two_encodings(tmp_path / "songs")
    add(tmp_path / "db", folder / "harbour-lights.ogg")
    as_version_2(tmp_path / "db")
    (folder / "harbour-lights.ogg").unlink()
    adder, added = add(tmp_path / "db", folder / "x.mp3")
    assert len(added) == 1
    assert any("harbour-lights.ogg" in note and "no longer at their old paths" in note for note in adder.report.notes)


@pytest.mark.slow
def test_cut_off_it_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = dup.demo_songs_and_copies(tmp_path / "songs")
    files = [*find_songs([folder])[:4], folder / "za.mp3"]
    whole = tmp_path / "whole"
    add(whole, *files)
    with MashupDB(whole) as database:
        expected = content_digest(database)

    class Broken(RuntimeError):
        pass

    heard: list[str] = []

    def until(limit: int) -> Callable[[Path], None]:
        def loader(path: Path) -> None:
            heard.append(path.name)
            if len(heard) == limit:
                signal.raise_signal(signal.SIGINT)

        return loader

    for limit in (3, 100):
        heard.clear()
        with contextlib.suppress(KeyboardInterrupt):
            add(tmp_path / "db", *files, registry=decoding(until(limit)))
    # What was listened to before the end is not listened to again: it is decoded once, to be separated.
    assert heard.count(files[0].name) == 1
    assert heard.count(files[3].name) == 2
    with MashupDB(tmp_path / "db") as database:
        assert content_digest(database) == expected


def test_the_commands_say_it_once_each(tmp_path: Path, light: None, capsys: pytest.CaptureFixture[str]) -> None:
    folder = dup.song_in_two_encodings(tmp_path / "songs")
    common = ["--separator", "thirds", "--analyzer", "grid", "--clips-per-song", "1", "--clip-length", "25"]
    database = ["--db", str(tmp_path / "db")]
    assert main(["db", "add", str(folder), *database, *common, "--json", "-O", "executor.jobs=0"]) == 0
    told = capsys.readouterr()
    data = json.loads(told.out)
    assert [Path(one["path"]).name for one in data["same_recordings"]] == ["x.mp3", "y.flac"]
    assert (data["songs"], len(data["notes"])) == (1, 2)
    assert all(note in told.err for note in data["notes"])
    assert main(["db", "list", "--same-recordings", *database, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["same_recordings"]
    assert [(Path(one["path"]).name, one["clips"]) for one in rows] == [("x.mp3", False), ("y.flac", False)]
    assert main(["db", "list", *database, "--json"]) == 0
    (clip,) = json.loads(capsys.readouterr().out)["clips"]
    assert main(["db", "show", clip["id"], *database, "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["clips"]
    assert [Path(path).name for path in shown["same_recordings"]] == ["x.mp3", "y.flac"]
    assert main(["db", "stats", *database]) == 0
    assert "1 songs (2 more are the same recordings)" in capsys.readouterr().out


def test_no_recording_is_in_two_splits(tmp_path: Path) -> None:
    splits = pytest.importorskip("mashkit_mashnet_train.examples")
    folder = dup.song_in_two_encodings(tmp_path / "songs")
    shutil.copy(dup.SONGS / "slow-river.ogg", folder)
    files = [folder / name for name in ("harbour-lights.ogg", "x.mp3", "slow-river.ogg")]
    add(tmp_path / "db", *files, same_recording="separate")
    as_version_2(tmp_path / "db")  # both copies have clips, as in a database of before
    add(tmp_path / "db", folder)
    with MashupDB(tmp_path / "db", write=False) as database:
        of: dict[str, set[str]] = {}
        for clip in database.table():
            of.setdefault(Path(clip.source).stem, set()).add(clip.song)
    assert of["harbour-lights"] == of["x"] != of["slow-river"]
    assert {splits.split_of(song) for song in of["harbour-lights"]} == {splits.split_of(song) for song in of["x"]}
