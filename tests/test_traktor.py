"""A Traktor collection: beats and bars from its grid markers, keys from its numbers, files on any system's volumes."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest

import mashkit as mk
from mashkit.catalog.excerpts import ExcerptPolicy
from mashkit.catalog.ingest import excerpts_of, soundprint_song
from mashkit.catalog.protocols import create_protocol
from mashkit.errors import AudioFileError, LabelError, UsageError
from mashkit.synthetic import signals
from mashkit.types import Key

MARKER = '<CUE_V2 NAME="AutoGrid" TYPE="4" START="1250.0" LEN="0.0" HOTCUE="0"></CUE_V2>'


def collection(folder: Path, *entries: str) -> Path:
    path = folder / "collection.nml"
    listed = (
        '<PLAYLISTS><NODE><PLAYLIST><ENTRY><PRIMARYKEY TYPE="TRACK" KEY="x"/></ENTRY></PLAYLIST></NODE></PLAYLISTS>'
    )
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<NML VERSION="19"><COLLECTION ENTRIES="{len(entries)}">'
        f"{''.join(entries)}</COLLECTION>{listed}</NML>",
        encoding="utf-8",
    )
    return path


def entry(
    song: Path,
    cues: str = MARKER,
    key: str = '<MUSICAL_KEY VALUE="21"/>',
    volume: str = "Macintosh HD",
    folder: str = "",
) -> str:
    folder = folder or "".join(f"{part}/:" for part in str(song.parent).split("/"))
    return (
        f'<ENTRY TITLE="Tune &amp; More" ARTIST="Band"><LOCATION DIR={quoteattr(folder)} FILE={quoteattr(song.name)} '
        f'VOLUME="{volume}"/><INFO KEY="2d" PLAYTIME_FLOAT="20.0"/><TEMPO BPM="120.0"/>{key}{cues}</ENTRY>'
    )


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "my musik é" / "tune 1.wav"
    mk.save(path, signals.tone(220.0, 20.0))
    return path


def test_beats_bars_and_keys_are_read(song: Path, tmp_path: Path) -> None:
    (found,) = create_protocol("traktor").songs([collection(tmp_path, entry(song))])
    assert isinstance(found, mk.Song)
    assert (found.title, found.path) == ("Band - Tune & More", song)
    known = found.known
    assert known is not None
    assert (known.key, known.tempo) == (Key(9, "minor"), 120.0)
    assert np.allclose(known.beats, np.arange(0.25, 20, 0.5))  # before the marker, too
    assert np.allclose(known.downbeats, np.arange(1.25, 20, 2.0))
    assert found.source["collection"] == "traktor"


@pytest.mark.parametrize("length", ['PLAYTIME="21"', 'PLAYTIME="19"', 'PLAYTIME_FLOAT="20.0"', 'PLAYTIME="300"'])
def test_beats_end_with_the_recording_whatever_length_is_stated(song: Path, tmp_path: Path, length: str) -> None:
    stated = entry(song).replace('PLAYTIME_FLOAT="20.0"', length)
    (found,) = create_protocol("traktor").songs([collection(tmp_path, stated)])
    assert isinstance(found, mk.Song)
    assert found.known is not None
    assert found.known.beats is not None
    assert float(found.known.beats[-1]) == (18.75 if "19" in length else 19.75)


def test_a_written_marker_beyond_the_end_is_a_label_that_does_not_fit(song: Path, tmp_path: Path) -> None:
    beyond = '<CUE_V2 TYPE="4" START="30250"/>'
    (found,) = create_protocol("traktor").songs([collection(tmp_path, entry(song, MARKER + beyond))])
    assert isinstance(found, mk.Song)
    with pytest.raises(AudioFileError, match=r"its labels go up to 30\.2 s"):
        excerpts_of(found, soundprint_song(found).facts, ExcerptPolicy())


def test_a_marker_may_have_its_own_tempo_and_other_cues_are_none(song: Path, tmp_path: Path) -> None:
    other = '<CUE_V2 TYPE="0" START="3000"><GRID BPM="50"/></CUE_V2>'
    second = '<CUE_V2 TYPE="4" START="10250"><GRID BPM="100"/></CUE_V2>'
    (found,) = create_protocol("traktor").songs([collection(tmp_path, entry(song, MARKER + other + second))])
    assert isinstance(found, mk.Song)
    assert found.known is not None
    assert np.allclose(found.known.beats, [*np.arange(0.25, 10, 0.5), *np.arange(10.25, 20, 0.6)])


@pytest.mark.parametrize(
    ("key", "expected"),
    [('<MUSICAL_KEY VALUE="0"/>', "C major"), ('<MUSICAL_KEY VALUE="12"/>', "C minor"), ("", "G major"),
     ('<MUSICAL_KEY VALUE="24"/>', "G major")],
)  # fmt: skip
def test_keys_as_numbers_or_as_written(song: Path, tmp_path: Path, key: str, expected: str) -> None:
    (found,) = create_protocol("traktor").songs([collection(tmp_path, entry(song, key=key))])
    assert isinstance(found, mk.Song)
    assert found.known is not None
    assert found.known.key == Key.parse(expected)


def test_songs_on_a_drive_of_windows_are_found_elsewhere(song: Path, tmp_path: Path) -> None:
    moved = collection(tmp_path, entry(song, volume="C:", folder="/:Music/:"))
    ((_, error),) = create_protocol("traktor").songs([moved])
    assert isinstance(error, AudioFileError)
    assert "C:/Music/tune 1.wav" in str(error)
    (found,) = create_protocol("traktor", music=str(song.parent)).songs([moved])
    assert isinstance(found, mk.Song)
    assert found.path == song


def test_without_a_marker_the_analyzer_finds_the_beats(song: Path, tmp_path: Path) -> None:
    (found,) = create_protocol("traktor").songs([collection(tmp_path, entry(song, cues=""))])
    assert isinstance(found, mk.Song)
    assert found.known is not None
    assert found.known.beats is None


@pytest.mark.parametrize(
    ("cues", "said"),
    [('<CUE_V2 TYPE="4" START="x"/>', "START is 'x'"), ('<CUE_V2 TYPE="4" START="-1"/>', "from -0.001 s"),
     (MARKER + '<CUE_V2 TYPE="4" START="9"/>', "order of time")],
)  # fmt: skip
def test_a_wrong_grid_costs_its_song_alone(song: Path, tmp_path: Path, cues: str, said: str) -> None:
    other = song.with_name("other.wav")
    other.write_bytes(song.read_bytes())
    one, two = create_protocol("traktor").songs([collection(tmp_path, entry(song, cues), entry(other))])
    assert isinstance(one, tuple)
    assert said in str(one[1])
    assert isinstance(two, mk.Song)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "collection.xml").write_text("<NML/>")
    with pytest.raises(UsageError, match=r"is not a \.nml file"):
        create_protocol("traktor").songs([tmp_path / "collection.xml"])
    with pytest.raises(LabelError, match="no track"):
        create_protocol("traktor").songs([collection(tmp_path)])
