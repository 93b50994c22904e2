"""A rekordbox collection: beats where its grids have them, keys in any notation, harmful files refused."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
import pytest

import mashkit as mk
from mashkit.catalog.protocols import create_protocol
from mashkit.catalog.scanning import Found
from mashkit.errors import AudioFileError, LabelError, UsageError
from mashkit.synthetic import signals
from mashkit.types import Key

TWO_TEMPI = (
    '<TEMPO Inizio="0.500" Bpm="120.00" Metro="4/4" Battito="3"/>'
    '<TEMPO Inizio="10.510" Bpm="100.00" Metro="4/4" Battito="1"/>'
)


def collection(folder: Path, *tracks: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> Path:
    path = folder / "collection.xml"
    body = f'<DJ_PLAYLISTS Version="1.0.0"><COLLECTION Entries="{len(tracks)}">{"".join(tracks)}</COLLECTION>'
    path.write_text(f"{head}\n{body}</DJ_PLAYLISTS>", encoding="utf-8")
    return path


def track(location: str, tempi: str = TWO_TEMPI, tonality: str = "8A", length: str = "20") -> str:
    return (
        f'<TRACK TrackID="1" Name="Tune &amp; More" Artist="Band" TotalTime="{length}" AverageBpm="120.00" '
        f'Tonality="{tonality}" Location="{location}">{tempi}</TRACK>'
    )


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "my musik é" / "tune 1.wav"
    mk.save(path, signals.tone(220.0, 20.0))
    return path


def url(path: Path) -> str:
    return f"file://localhost{quote(str(path))}"


def test_beats_bars_and_keys_are_read(song: Path, tmp_path: Path) -> None:
    (found,) = create_protocol("rekordbox").songs([collection(tmp_path, track(url(song)))])
    assert isinstance(found, mk.Song)
    assert (found.title, found.path) == ("Band - Tune & More", song)
    known = found.known
    assert known is not None
    assert known.key == Key(9, "minor")
    assert known.tempo == 120.0
    first, second = np.arange(20) * 0.5 + 0.5, np.arange(10.51, 20, 0.6)
    assert np.allclose(known.beats, [*first, *second])  # the beat at 10.5 s is the second grid's first
    assert np.allclose(known.downbeats, [*first[2::4], *second[::4]])
    assert found.source["collection"] == "rekordbox"


@pytest.mark.parametrize(
    ("tonality", "key"), [("Am", "A minor"), ("1m", "A minor"), ("F#", "F# major"), ("", None), ("nice one", None)]
)
def test_keys_in_any_notation(song: Path, tmp_path: Path, tonality: str, key: str | None) -> None:
    (found,) = create_protocol("rekordbox").songs([collection(tmp_path, track(url(song), tonality=tonality))])
    assert isinstance(found, mk.Song)
    assert found.known is not None
    assert found.known.key == (None if key is None else Key.parse(key))


def test_a_track_without_a_grid_is_left_to_the_analyzer(song: Path, tmp_path: Path) -> None:
    (found,) = create_protocol("rekordbox").songs([collection(tmp_path, track(url(song), tempi="", tonality=""))])
    assert isinstance(found, mk.Song)
    assert found.known is None


def test_songs_elsewhere_and_songs_nowhere(song: Path, tmp_path: Path) -> None:
    moved = track("file://localhost/C:/Music/tune%201.wav")
    (_, error), other = create_protocol("rekordbox").songs([collection(tmp_path, moved, track(url(song)))])
    assert isinstance(error, AudioFileError)
    assert "protocol.music" in str(error)
    assert isinstance(other, mk.Song)
    (found,) = create_protocol("rekordbox", music=str(song.parent)).songs([collection(tmp_path, moved)])
    assert isinstance(found, mk.Song)
    assert found.path == song
    with pytest.raises(UsageError, match="is not a folder"):
        create_protocol("rekordbox", music=str(tmp_path / "nowhere")).songs([collection(tmp_path, moved)])


def found_in(music: Path, *stated: str) -> list[Path | str]:
    """Return the file of each track of a collection from another computer, or the error of its failure."""
    tracks = [track(f"file://localhost/D:/Music/{quote(path)}") for path in stated]
    songs = create_protocol("rekordbox", music=str(music)).songs([collection(music.parent, *tracks)])
    return [one.path.relative_to(music) if isinstance(one, mk.Song) else str(one[1]) for one in songs]


@pytest.mark.parametrize(
    "stated", ["A/01 Intro.wav", "a/01 INTRO.WAV", "X/Café.wav", unicodedata.normalize("NFD", "X/Café.wav")]
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_song_elsewhere_is_found_by_name_and_folder(
    song: Path, tmp_path: Path, stated: str, form: Literal["NFC", "NFD"]
) -> None:
    music = tmp_path / "music"
    folders = [music / "A", music / "B", tmp_path / "linked"]
    names = ["01 Intro.wav", "01 Intro.wav", unicodedata.normalize(form, "Café.wav")]
    for folder, name in zip(folders, names, strict=True):
        folder.mkdir(parents=True)
        (folder / name).hardlink_to(song)
    (music / "link").symlink_to(tmp_path / "linked")
    (found,) = found_in(music, stated)
    assert isinstance(found, Path)
    assert unicodedata.normalize("NFC", found.name).lower() == unicodedata.normalize("NFC", stated)[2:].lower()
    assert found.parts[0] == {"a": "A", "x": "link"}[stated[0].lower()]


@pytest.mark.parametrize("location", ["file://[x/a.wav", f"file://localhost/{'a' * 300}.wav", "file://localhost/%00"])
def test_a_location_that_is_no_path_costs_its_track_alone(song: Path, tmp_path: Path, location: str) -> None:
    (_, error), other = create_protocol("rekordbox").songs([collection(tmp_path, track(location), track(url(song)))])
    assert "does not exist" in str(error)
    assert isinstance(other, mk.Song)


def test_streamed_tracks_are_counted_in_a_note(song: Path, tmp_path: Path) -> None:
    streamed = [track(location) for location in ("file://localhostsoundcloud:tracks:1", "")]
    found = create_protocol("rekordbox").songs([collection(tmp_path, *streamed, track(url(song)))])
    assert isinstance(found, Found)
    assert [one.path for one in found if isinstance(one, mk.Song)] == [song]
    assert found.notes == (f"{tmp_path / 'collection.xml'}: 2 streamed tracks passed over",)
    with pytest.raises(LabelError, match="no track with a file"):
        create_protocol("rekordbox").songs([collection(tmp_path, *streamed)])


def test_each_track_has_a_file_of_its_own_or_is_a_failure(song: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    for folder in ("A", "B"):
        (music / folder).mkdir(parents=True)
        (music / folder / "01 Intro.wav").hardlink_to(song)
    (music / "B" / "02.wav").hardlink_to(song)
    found = found_in(music, "X/01 Intro.wav", "A/01 Intro.wav", "B/01 Intro.wav", "X/02.wav", "B/02.wav", "B/02.wav")
    files = [one for one in found if isinstance(one, Path)]
    assert files == [Path("A/01 Intro.wav"), Path("B/01 Intro.wav"), Path("B/02.wav")]
    assert "01 Intro.wav: may be any of 2 files" in str(found[0])
    assert [isinstance(one, Path) for one in found] == [False, True, True, False, True, False]
    assert all("the file of another track, in line 2" in str(found[number]) for number in (3, 5))


@pytest.mark.parametrize(
    ("tempi", "said"),
    [('<TEMPO Inizio="x" Bpm="120"/>', "Inizio is 'x'"), ('<TEMPO Inizio="0" Bpm="0"/>', "0 BPM"),
     ('<TEMPO Inizio="0" Bpm="120" Metro="4/4" Battito="5"/>', "beat 5"),
     ('<TEMPO Inizio="5" Bpm="120"/><TEMPO Inizio="2" Bpm="120"/>', "order of time")],
)  # fmt: skip
def test_a_wrong_grid_costs_its_song_alone(song: Path, tmp_path: Path, tempi: str, said: str) -> None:
    other = song.with_name("other.wav")
    other.write_bytes(song.read_bytes())
    one, two = create_protocol("rekordbox").songs([collection(tmp_path, track(url(song), tempi), track(url(other)))])
    assert isinstance(one, tuple)
    assert said in str(one[1])
    assert "collection.xml, line 2" in str(one[1])
    assert isinstance(two, mk.Song)


def test_what_could_do_harm_or_is_none_is_refused(song: Path, tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]>'
    with pytest.raises(LabelError, match="document type"):
        create_protocol("rekordbox").songs([collection(tmp_path, track(url(song)), head=bomb)])
    with pytest.raises(LabelError, match="no track"):
        create_protocol("rekordbox").songs([collection(tmp_path)])
    (tmp_path / "no.xml").write_text("<DJ_PLAYLISTS><COLLECTION>")
    with pytest.raises(LabelError, match="is not XML"):
        create_protocol("rekordbox").songs([tmp_path / "no.xml"])
    with pytest.raises(LabelError, match="cannot be read"):
        create_protocol("rekordbox").songs([tmp_path / "nothing.xml"])
    with pytest.raises(UsageError, match=r"is not a \.xml file"):
        create_protocol("rekordbox").songs([tmp_path])
