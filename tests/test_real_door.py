"""Real files and folders: what is read is read whole, what is not is named, and any name will do."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mashkit
from mashkit.atomicfile import write_json
from mashkit.audio.files import load, probe, resample, save
from mashkit.catalog.database import MashupDB
from mashkit.catalog.ingest import SongFacts
from mashkit.catalog.protocols import create_protocol
from mashkit.catalog.scanning import FILE_RULES, FOLDER_RULES
from mashkit.catalog.songs import Song, describe_song, find_songs, title_of
from mashkit.cli import main
from mashkit.errors import AudioError, AudioFileError, MashkitError, UsageError
from mashkit.paths import path_of, path_text
from mashkit.products import MARK
from mashkit.testing import signals
from mashkit.types import Audio
from real_inputs import door as inputs

HERE = Path(__file__).parent


# ------------------------------------------------------------------------------------------------- whole, or refused
@pytest.mark.parametrize("maker", inputs.WHOLE, ids=lambda maker: maker.__name__)
def test_what_lies_in_pieces_is_read_whole(maker: Any, tmp_path: Path) -> None:
    path = maker(tmp_path, 6.0)
    audio = load(path)
    # An mp3's encoder adds up to some frames at both ends where it leaves no note of how many.
    slack = 0.2 if path.suffix in (".mp3", ".mp2") else 0.0
    assert audio.duration == pytest.approx(6.0, abs=max(slack, 1e-9))
    assert probe(path).frames == pytest.approx(audio.frames, abs=slack * audio.sample_rate)
    assert probe(path).sample_rate == audio.sample_rate
    halfway = audio.frames // 2
    assert all(np.abs(half).max() > 0.05 for half in (audio.samples[:, :halfway], audio.samples[:, halfway:]))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="libsndfile writes no MPEG layer II")
def test_two_streams_of_layer_two_are_read_whole(tmp_path: Path) -> None:
    path = inputs.joined_mp2(tmp_path, 6.0)
    assert load(path).duration == pytest.approx(6.0, abs=0.1)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AudioFileError, match="last frame is incomplete"):
        load(path)


@pytest.mark.parametrize(
    ("maker", "kind", "name"),
    [
        ("joined_mp3", "MP3", "joined.mp3"),
        ("chained_vorbis", "OGG/VORBIS", "chained.ogg"),
        ("joined_flac", "FLAC/PCM_16", "joined.flac"),
        ("joined_wav", "WAV/PCM_16", "joined.wav"),
        ("chained_flac", "FLAC/PCM_16", "chained.oga"),
    ],
)
def test_pieces_sound_as_they_do_alone(maker: str, kind: str, name: str, tmp_path: Path) -> None:
    whole = load(getattr(inputs, maker)(tmp_path, 6.0))
    pieces = []
    for number, data in enumerate(inputs.halves(name, kind, 6.0)):
        (tmp_path / f"{number}{Path(name).suffix}").write_bytes(data)
        pieces.append(load(tmp_path / f"{number}{Path(name).suffix}").samples)
    np.testing.assert_array_equal(whole.samples, np.concatenate(pieces, axis=1))


@pytest.mark.parametrize("kind", ["MP3", "FLAC/PCM_16", "OGG/VORBIS", "WAV/PCM_16"])
@pytest.mark.parametrize(
    "before", [inputs.ID3V2, inputs.ID3V2 * 2, bytes(100), inputs.ID3V2 + bytes(100), inputs.APE + bytes(5000)]
)
def test_tags_and_zeros_before_a_sound_change_nothing_of_it(before: bytes, kind: str, tmp_path: Path) -> None:
    data = inputs.encoded(inputs.song("before", 1.0), kind)
    (tmp_path / "alone").write_bytes(data)
    (tmp_path / "behind").write_bytes(before + data + inputs.ID3V1)
    assert np.array_equal(load(tmp_path / "behind").samples, load(tmp_path / "alone").samples)
    assert probe(tmp_path / "behind") == probe(tmp_path / "alone")


@pytest.mark.parametrize("maker", inputs.REFUSED, ids=lambda maker: maker.__name__)
def test_what_is_not_whole_is_refused(maker: Any, tmp_path: Path) -> None:
    path = maker(tmp_path)
    with pytest.raises(AudioFileError, match=inputs.REFUSED[maker]) as raised:
        load(path)
    assert raised.value.problem.startswith(str(path))
    assert raised.value.fix


@pytest.mark.parametrize(
    "kind",
    ["WAV/PCM_16", "WAV/PCM_24", "RF64/FLOAT", "AIFF/PCM_16", "CAF/ALAC_16", "W64/PCM_16", "AU/ULAW", "FLAC/PCM_16",
     "OGG/VORBIS", "OGG/OPUS", "MP3"],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.1, 0.35, 0.62, 0.8, 0.97])
def test_no_part_passes_for_the_whole(kind: str, share: float, tmp_path: Path) -> None:
    data = inputs.encoded(inputs.song("parts", 5.0, 48_000), kind, 48_000)
    (tmp_path / "part").write_bytes(data[: int(share * len(data))])
    with pytest.raises(AudioFileError):
        load(tmp_path / "part")


def test_a_chunk_of_notes_behind_the_sound_is_no_sound(tmp_path: Path) -> None:
    data = inputs.encoded(inputs.song("notes", 2.0), "WAV/PCM_16")
    notes = b"LIST" + (100).to_bytes(4, "little") + bytes(100) + b"junk" + (3).to_bytes(4, "little") + b"abc"
    (tmp_path / "notes.wav").write_bytes(data + notes)
    assert load(tmp_path / "notes.wav").frames == 88_200
    (tmp_path / "empty.wav").write_bytes(data[:40] + bytes(4) + notes)
    with pytest.raises(AudioFileError, match="no sound at all"):
        load(tmp_path / "empty.wav")


# ----------------------------------------------------------------------------------------- nothing but AudioFileError
KINDS = [
    f"{kind}/{soundfile.default_subtype(kind)}" for kind in soundfile.available_formats() if kind not in ("RAW", "SD2")
] + ["WAV/FLOAT", "WAV/MS_ADPCM", "CAF/ALAC_16", "OGG/OPUS", "AIFF/IMA_ADPCM", "FLAC/PCM_24"]


@pytest.fixture(scope="module")
def seeds() -> list[bytes]:
    """A small file of every format libsndfile writes, and some that are odd already."""
    found = []
    for kind in KINDS:
        for channels in (2, 1):
            try:
                found.append(inputs.encoded(inputs.song("seed", 0.3, 48_000)[:, :channels], kind, 48_000))
                break
            except (soundfile.LibsndfileError, ValueError):
                continue
    assert len(found) > 25
    mp3, ogg = (inputs.halves("seeds", kind, 0.5) for kind in ("MP3", "OGG/VORBIS"))
    return [*found, b"".join(mp3), b"".join(ogg), inputs.ID3V2 + mp3[0] + inputs.LYRICS + inputs.APE + inputs.ID3V1]


changes = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 300) | st.integers(0, 10**6), st.binary(min_size=1, max_size=8)),
        st.tuples(
            st.just("set"),
            st.integers(0, 120),
            st.sampled_from([b"\xff" * 4, bytes(4), b"\xff" * 8, bytes(8), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]),
        ),
        st.tuples(st.just("cut"), st.integers(0, 10**6), st.just(b"")),
        st.tuples(st.just("drop"), st.integers(0, 10**6), st.binary(min_size=0, max_size=60)),
        st.tuples(st.just("splice"), st.integers(0, 10**6), st.integers(0, 10**3)),
    ),
    min_size=1,
    max_size=4,
)


def _changed(data: bytes, seeds: list[bytes], whole: list[tuple[str, int, Any]]) -> bytes:
    for change, at, value in whole:
        at %= max(1, len(data))
        if change == "set":
            data = data[:at] + value + data[at + len(value) :]
        elif change == "cut":
            data = data[:at]
        elif change == "drop":
            data = data[:at] + data[at + len(value) + 1 :]
        else:
            other = seeds[value % len(seeds)]
            data = data[:at] + other[value % len(other) :]
    return data


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(number=st.integers(0, 10**3), whole=changes)
def test_whatever_a_file_holds_is_sound_or_an_audio_file_error(
    number: int, whole: list[tuple[str, int, Any]], seeds: list[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(_changed(seeds[number % len(seeds)], seeds, whole))
    for read in (load, probe):
        try:
            read(path)
        except AudioFileError as error:
            assert error.problem.startswith(str(path))  # noqa: PT017 — both outcomes are right


@pytest.mark.parametrize("path", [None, 3, 3.5, b"song.wav", ["song.wav"], {"path": 1}])
def test_what_names_no_file_is_the_callers_mistake(path: Any) -> None:
    for use in (load, probe, lambda one: save(one, signals.noise(0.1))):
        with pytest.raises(UsageError, match="give a Path or a str"):
            use(path)


@pytest.mark.parametrize("audio", [None, 3, np.zeros((2, 100), np.float32), "song.wav", [[0.0, 0.1]]])
def test_what_is_no_audio_is_the_callers_mistake(audio: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Audio"):
        save(tmp_path / "song.wav", audio)
    with pytest.raises(UsageError, match="Audio"):
        resample(audio, 48_000)
    kit = mashkit.Kit(separator="librosa", analyzer="librosa")
    for use in (kit.separator.separate, kit.analyzer.analyze, kit.stretcher.stretch):
        with pytest.raises(UsageError, match="Audio"):
            use(audio)


@pytest.mark.parametrize("rate", ["44100", 44_100.5, -1, True, [1]])
def test_a_rate_that_is_none_is_the_callers_mistake(rate: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "song.wav", signals.noise(0.1))
    with pytest.raises(UsageError, match="sample rate"):
        load(path, sample_rate=rate)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((44_100, 2)),
        np.zeros((44_100, 1)),
        np.zeros((300, 6)),
        [[0.0, 0.0], [0.0]],
        None,
        "sound",
        [0.0, 0.1],
        np.zeros(44_100),
    ],
)
def test_samples_of_another_shape_are_refused(samples: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(AudioError):
            Audio(samples, 44_100)


def test_frames_by_channels_is_told_how_to_turn_it() -> None:
    with pytest.raises(AudioError, match=r"samples\.T"):
        Audio(np.zeros((44_100, 2)), 44_100)
    assert Audio(np.zeros((2, 1)), 44_100).channels == 2
    assert Audio(np.zeros((1, 0)), 44_100).frames == 0


def test_a_name_with_a_zero_in_it() -> None:
    with pytest.raises(AudioFileError, match="no such file"):
        load("a\0b.wav")


def test_what_a_loader_does_wrong_is_said_of_it(tmp_path: Path) -> None:
    path = save(tmp_path / "song.wav", signals.noise(0.1))

    def broken_loader(path: Path) -> Any:
        raise ZeroDivisionError(str(path))

    with pytest.raises(AudioFileError, match=r"broken_loader.* raised ZeroDivisionError"):
        load(path, loader=broken_loader)
    with pytest.raises(AudioFileError, match=r"returned ndarray, not mashkit\.Audio"):
        load(path, loader=lambda path: np.zeros((2, 10)))  # type: ignore[arg-type,return-value]
    with pytest.raises(AudioFileError, match="has 6 channels"):
        load(path, loader=lambda path: Audio(np.zeros((6, 100), np.float32), 44_100))


def test_sound_that_resampling_leaves_nothing_of_is_no_sound(tmp_path: Path) -> None:
    path = save(tmp_path / "song.wav", Audio(np.full((1, 2), np.float32(0.1)), 48_000))
    assert load(path).frames == 2
    with pytest.raises(AudioFileError, match="no sound at all"):
        load(path, sample_rate=8_000)


def test_a_probe_refuses_what_cannot_be_joined(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="2 sounds, one after the other"):
        probe(inputs.chain_of_two_rates(tmp_path), loadable=True)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_what_the_system_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    path = save(tmp_path / "song.wav", signals.noise(0.1))

    def refuse(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(Path, "open", refuse)
    for read in (load, probe):
        with pytest.raises(AudioFileError, match=f"song.wav: cannot be read: {error.strerror}"):
            read(path)


# ------------------------------------------------------------------------------------------------------------- names
names = st.binary(min_size=1, max_size=30).map(lambda name: name.replace(b"\0", b"x").replace(b"/", b"y"))


@given(
    name=names
    | st.text(min_size=1, max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.sampled_from(inputs.NAMES)
)
def test_a_path_as_text_can_be_stored_printed_and_read_back(name: bytes) -> None:
    path = Path("/music") / os.fsdecode(name.replace(b"\0", b"x"))
    text = path_text(path)
    assert text.encode("utf-8").decode("utf-8") == text
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in text)
    assert path_of(text) == path
    assert path_text(path_of(text)) == text


def test_ordinary_paths_stay_as_they_are() -> None:
    for name in ("/music/Björk – Jóga.flac", "C:\\music\\song.flac", "שיר 🎵👩‍🎤.mp3", "a b'c.wav"):
        assert path_text(name) == name


def test_odd_names_are_read_found_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = inputs.oddly_named(tmp_path, 1.0)
    assert sorted(find_songs([tmp_path])) == sorted(paths)
    for path in paths:
        assert load(path).duration == pytest.approx(1.0)
        error = AudioFileError(path, "is odd")
        assert "\x1b" not in str(error)
        assert "\n" not in str(error)
        str(error).encode()
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 — ours
        assert (again.path, str(again)) == (path, str(error))
        title_of(path).encode()
    write_json(tmp_path / "names.json", {"names": [str(path) for path in paths]})
    assert "caf\\xe9.flac" in json.loads((tmp_path / "names.json").read_text(encoding="utf-8"))["names"][0]
    for path in paths:
        path.write_bytes(path.read_bytes()[:2000])
    assert main(["analyze", str(tmp_path), "--analyzer", "librosa", "--json"]) == 1
    told = capsys.readouterr()
    assert len(json.loads(told.out)["failures"]) == len(paths)
    told.out.encode()
    assert "\x1b" not in told.err + told.out


def test_sound_is_written_under_any_name(tmp_path: Path) -> None:
    for number, name in enumerate(inputs.NAMES[:-1]):
        folder = tmp_path / os.fsdecode(name)
        audio = signals.noise(0.1, seed=number)
        again = load(save(folder / "stem.wav", audio))
        np.testing.assert_array_equal(again.samples, audio.samples)


def test_a_song_in_several_pieces_under_one_header_is_refused(tmp_path: Path) -> None:
    data = inputs.encoded(inputs.song("pieces", 1.0), "WAV/PCM_16")
    (tmp_path / "pieces.wav").write_bytes(data + data[36:])
    with pytest.raises(AudioFileError, match="in several pieces"):
        load(tmp_path / "pieces.wav")


def test_the_database_finds_odd_names_again(tmp_path: Path) -> None:
    with MashupDB(tmp_path / "db") as database:
        for number, path in enumerate(inputs.oddly_named(tmp_path, 1.0)):
            song = attrs_song(path)
            facts = SongFacts(f"{number:064d}", 44_100, 2, 44_100, 1.0, (f"a note on {path_text(path)}",))
            with database.transaction() as cursor:
                database.store_facts(cursor, song, facts, "songs", f"digest {number}")
            stored = database.song(facts.sha256)
            assert stored is not None
            assert stored.song.path == path
            assert stored.song.stems["vocals"] == path
            assert stored.song.path.exists()
            database.fail(path, AudioFileError(path, "is odd"))
        assert {path for path, _ in database.failures()} == set(inputs.oddly_named(tmp_path, 1.0))


def attrs_song(path: Path) -> Song:
    described = describe_song(path)
    return Song(path=described.path, title=described.title, stems={"vocals": path})


# ----------------------------------------------------------------------------------------------------------- folders
def test_what_systems_leave_behind_is_passed_over_and_told(tmp_path: Path) -> None:
    songs = inputs.folder_with_leftovers(tmp_path, 0.1)
    found = find_songs([tmp_path])
    assert found == songs
    (note,) = found.notes
    assert note == (
        f"{tmp_path}: passed over 3 hidden folders (.cache, .stversions, .Trash-1000), 6 system folders "
        "(#recycle, $RECYCLE.BIN, @eaDir, …), 2 links to folders seen already (a link, round), "
        "1 hidden file (._song.flac), 1 link to a file seen already (z.flac), 1 other file (.mid)"
    )


def test_a_folder_of_music_alone_needs_no_note(tmp_path: Path) -> None:
    for name in ("song.flac", "cover.jpg", "song.json", "playlist.m3u", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    assert find_songs([tmp_path]).notes == ()


def test_links_out_of_a_folder_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "song.flac").write_bytes(b"x")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path)
    (tmp_path / "music").mkdir()
    for name in ("one", "two"):
        (tmp_path / "music" / name).symlink_to(tmp_path / "elsewhere")
    found = find_songs(tmp_path / "music")
    assert found == [tmp_path / "music" / "one" / "deep" / "song.flac"]
    assert "2 links to folders seen already" in found.notes[0] or "1 link to a folder seen already" in found.notes[0]
    # Named twice, it is looked into once.
    assert find_songs([tmp_path / "music", tmp_path / "music" / "one"]) == found


def test_every_suffix_is_used_or_said_to_be_unreadable(tmp_path: Path) -> None:
    for suffix in ("aifc", "caf", "w64", "mp2", "rf64", "bwf", "au", "webm", "wv", "m4b", "mka", "ape", "tta", "dsf"):
        (tmp_path / f"song.{suffix}").write_bytes(b"no music at all")
    found = find_songs([tmp_path])
    assert len(found) == 14
    for path in found:
        with pytest.raises(AudioFileError):
            load(path)
    with pytest.raises(AudioFileError, match="convert it"):
        load(tmp_path / "song.wv")


def test_what_cannot_be_opened_is_named_and_harms_nothing_else(tmp_path: Path) -> None:
    good = tmp_path / "good.flac"
    good.write_bytes(inputs.encoded(inputs.song("good", 0.1), "FLAC/PCM_16"))
    bad = [
        make(tmp_path) for make in (inputs.a_pipe, inputs.a_socket, inputs.a_link_to_nothing, inputs.a_link_to_itself)
    ]
    songs = create_protocol("songs").songs([tmp_path])
    assert [one.path for one in songs if isinstance(one, Song)] == [good]
    failed = {one[0]: one[1] for one in songs if not isinstance(one, Song)}
    assert sorted(failed) == sorted(bad)
    assert all(isinstance(error, AudioFileError) for error in failed.values())


@pytest.mark.parametrize("protocol", ["songs", "multitrack", "ayumix"])
def test_a_folder_that_cannot_be_read_is_named(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    for name in ("vocals.flac", "original.flac"):
        (tmp_path / name).write_bytes(b"x")
    scandir, listdir = os.scandir, os.listdir

    def refuse(real: Any) -> Any:
        def one(path: Any = ".") -> Any:
            if Path(path) == locked:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        return one

    monkeypatch.setattr(os, "scandir", refuse(scandir))  # root, who runs tests in containers, may read everything
    monkeypatch.setattr(os, "listdir", refuse(listdir))
    songs = create_protocol(protocol).songs([tmp_path])
    errors = [one[1] for one in songs if not isinstance(one, Song) and one[0] == locked]
    assert len(errors) == 1
    assert "cannot be read: Permission denied" in str(errors[0])


def test_a_path_that_cannot_be_examined_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = save(tmp_path / "song.flac", signals.tone(440, 0.1))
    (tmp_path / "license.txt").write_text("CC0-1.0")
    too_long = tmp_path / f"{'a' * 300}.flac"
    songs = create_protocol("songs").songs([song, too_long])
    assert [one.licence if isinstance(one, Song) else one[0] for one in songs] == ["CC0-1.0", too_long]
    stat, read_text = Path.stat, Path.read_text

    def refuse(real: Any, names: str) -> Any:
        def one(path: Path, **options: Any) -> Any:
            if names in path.name.lower():
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, **options)

        return one

    monkeypatch.setattr(Path, "stat", refuse(stat, "licen"))  # root, who runs tests in containers, may read everything
    monkeypatch.setattr(Path, "read_text", refuse(read_text, "licen"))
    (found,) = create_protocol("songs").songs([song])
    assert isinstance(found, Song)
    assert found.licence == "unknown"


def test_rules_are_named_and_each_meets_something(tmp_path: Path) -> None:
    samples = {
        "hidden folder": ".x", "system folder": "@eaDir", "folder of a database's stems": "db/objects",
        "hidden file": ".x.flac", "file that mashkit made": "vocal.flac",
    }  # fmt: skip
    MashupDB(tmp_path / "db").close()
    (tmp_path / "db" / "objects").mkdir()
    save(tmp_path / "vocal.flac", signals.tone(440, 0.1), comment=MARK)
    for rule in (*FOLDER_RULES, *FILE_RULES):
        assert rule.meets(tmp_path / samples[rule.one])
        assert not rule.meets(tmp_path / "music")


def test_the_stems_of_a_database_are_no_songs_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = save(tmp_path / "music" / "song.flac", signals.tone(440, 0.1))
    objects = save(tmp_path / "music" / "objects" / "22" / "stem.flac", signals.tone(440, 0.1)).parents[1]
    assert len(find_songs(tmp_path)) == 2  # any folder may be called so
    MashupDB(tmp_path / "music").close()
    for folder in (tmp_path, tmp_path / "music"):
        found = find_songs([folder])
        assert found == [song]
        assert found.notes == (f"{folder}: passed over 1 folder of a database's stems (objects)",)
    monkeypatch.chdir(objects)
    for named in (objects, "."):
        with pytest.raises(AudioFileError, match=r"a database's stems \(objects\)"):
            find_songs(named)


@pytest.mark.parametrize("paths", [None, 3, [3], [None]])
def test_songs_named_by_what_is_no_path(paths: Any) -> None:
    with pytest.raises(UsageError):
        find_songs(paths)
    with pytest.raises(MashkitError):
        find_songs("/no/such/folder/of/songs" if paths is None else paths)[0].stat() if paths else find_songs([])


def test_notes_reach_people_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "music" / "@eaDir").mkdir(parents=True)
    (tmp_path / "music" / "song.flac").write_bytes(inputs.encoded(inputs.song("notes", 1.0), "FLAC/PCM_16"))
    status = main(["analyze", str(tmp_path / "music"), "--analyzer", "librosa", "--json"])
    told = capsys.readouterr()
    assert status == 0, told.err
    note = f"{tmp_path / 'music'}: passed over 1 system folder (@eaDir)"
    assert note in told.err
    assert json.loads(told.out)["notes"] == [note]


def test_a_link_to_itself_ends_no_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs.a_link_to_itself(tmp_path)
    for command in (["mash", str(tmp_path), "-o", str(tmp_path / "out")], ["analyze", str(tmp_path)]):
        assert main([*command, "--cache", str(tmp_path / "cache")] if command[0] == "mash" else command) == 1
        said = capsys.readouterr().err
        assert "round.ogg" in said
        assert "fault of mashkit" not in said
