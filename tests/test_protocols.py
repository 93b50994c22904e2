"""Collections as they lie on disk become songs; what does not fit together is said, with file and line."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import mashkit as mk
from light import Grid, Thirds
from mashkit.audio.files import resample, save
from mashkit.catalog.adding import Added, Adder
from mashkit.catalog.clips import LEAST_AGREEMENT, agreement, require_fit
from mashkit.catalog.database import MashupDB
from mashkit.catalog.excerpts import Excerpt, ExcerptPolicy
from mashkit.catalog.ingest import LABELS, TRUE_STEMS
from mashkit.catalog.protocols import PROTOCOLS, create_protocol
from mashkit.catalog.protocols.harmonix import AFTER_MUSIC, Harmonix
from mashkit.catalog.protocols.labels import (
    Section,
    read_beats,
    read_sections,
    read_segments,
    read_song_notes,
    read_table,
)
from mashkit.catalog.protocols.sections import section_excerpts
from mashkit.catalog.songs import Song
from mashkit.catalog.synchrony import delay
from mashkit.cli import main
from mashkit.errors import AudioFileError, LabelError, MashkitError, UsageError
from mashkit.interfaces import Analyzer, Separator
from mashkit.testing import signals
from mashkit.types import Analysis, Audio, Key, Role

pytestmark = pytest.mark.whole  # databases of whole collections


@attrs.define(kw_only=True, eq=False)
class Deaf(Analyzer):
    """Finds one key and nothing else; counts its work."""

    info = mk.ComponentInfo(name="deaf", target="x:X", summary="s", provides=["key"], code_license="MIT")
    calls: list[int] = attrs.field(factory=list, init=False)

    def _analyze(self, mix: Audio) -> Analysis:
        self.calls.append(mix.frames)
        return Analysis(key=Key(5, "major"))


def added(
    root: Path, paths: Sequence[Path], name: str, *, separator: Separator | None = None,
    analyzer: Analyzer | None = None, **options: Any,
) -> list[Added]:  # fmt: skip
    """Add what a protocol finds to a database, and return what became of it."""
    protocol = create_protocol(name, **options)
    with MashupDB(root) as database:
        adder = Adder(
            database, separator or Thirds(), analyzer or Deaf(), policy=protocol.policy(ExcerptPolicy()),
            with_features=False,
        )  # fmt: skip
        return list(adder.add(protocol.songs(paths), protocol=name))


def reason(ended: Added) -> str:
    assert ended.error is not None
    return str(ended.error)


def stem(root: Path, one: Added, number: int, role: Role) -> Audio:
    with MashupDB(root, write=False) as database:
        return database.objects.audio(one.records[number].stems[role])


# --------------------------------------------------------------------------------------------------------- labels
@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("0.5\t1\n1.0\n", 2, "1 columns, not 2"),
        ("0.5\t1\t1\n", 1, "3 columns, not 2"),
        ("0.5 1\n\nnan 2\n", 3, "not a time in a song"),
        ("0.5 1\ninf 2\n", 2, "not a time in a song"),
        ("-0.5 1\n", 1, "not a time in a song"),
        ("0.5 1\nlater 2\n", 2, "'later' is not a time"),
        ("0.5 1\n0.5 2\n", 2, "does not come after"),
        ("1.5 1\n0.5 2\n", 2, "does not come after"),
        ("0.5 0\n", 1, "not a position in a bar"),
        ("0.5 1.5\n", 1, "not a position in a bar"),
        ("0.5 2\n1.0 3\n1.5 1\n", None, "1 bars begin"),
        ("", None, "is empty"),
        (None, None, "does not exist"),
        (b"\xff\xfe\x00", None, "UTF-8"),
    ],
)
def test_beats_that_are_none(tmp_path: Path, text: str | bytes | None, line: int | None, problem: str) -> None:
    path = tmp_path / "x.beats"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LabelError, match=problem) as caught:
        read_beats(path)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert str(path) in str(caught.value)
    assert line is None or f"line {line}" in str(caught.value)


def test_segments_and_sections_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    for text, line in (("0.0 intro\n4.0\n", 2), ("0.0 intro\n4.0 verse\n3.0 chorus\n", 3)):
        path.write_text(text)
        with pytest.raises(LabelError) as caught:
            read_segments(path)
        assert caught.value.line == line
    known = frozenset({"chorus"})
    for text, line in (
        ("1 30 chorus\n40 30 chorus\n", 2),
        ("1 30 verse\n", 1),
        ("1 30\n", 1),
        ("5 9 chorus\n4 9 chorus", 2),
    ):
        path.write_text(text)
        with pytest.raises(LabelError) as caught:
            read_sections(path, known=known)
        assert caught.value.line == line
    path.write_text("1\t30\tChorus\n")
    assert read_sections(path, known=known) == [Section(1.0, 30.0, "chorus")]


def test_tables_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    path.write_text("\ufeffFile,path\n0001_a,x.mp3\n", encoding="utf-8")
    assert read_table(path, ("File", "path")) == [(2, {"File": "0001_a", "path": "x.mp3"})]
    path.write_bytes('File,path\r\n0001_a,x\u2028y\x85.mp3\r\n"0002\n_b",z.mp3'.encode())
    assert [list(row.values()) for _, row in read_table(path, ("File", "path"))] == [
        ["0001_a", "x\u2028y\x85.mp3"], ["0002\n_b", "z.mp3"],
    ]  # fmt: skip
    for text, line in (("Name,path\n", 1), ("File,path\n0001_a,x.mp3\n0002_b\n", 3), ("File,path\n,x.mp3\n", 2)):
        path.write_text(text)
        with pytest.raises(LabelError) as caught:
            read_table(path, ("File", "path"))
        assert caught.value.line == line


@pytest.mark.parametrize("text", ["{", "[]", '{"bpm": "fast"}', '{"bpm": NaN}', '{"bpm": true}', '{"key": "H sharp"}'])
def test_notes_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "song.json").write_text(text)
    with pytest.raises(LabelError, match=r"song\.json"):
        read_song_notes(tmp_path)


# ------------------------------------------------------------------------------------------------------- sections
@given(
    st.floats(40, 220), st.sampled_from([3, 4, 6]), st.integers(2, 120), st.floats(0, 5),
    st.lists(st.tuples(st.floats(0, 200), st.floats(1, 90)), max_size=6),
)  # fmt: skip
def test_sections_become_whole_bars(
    tempo: float, beats: int, count: int, first: float, spans: list[tuple[float, float]]
) -> None:
    bars = first + np.arange(count) * beats * 60 / tempo
    sections = [Section(start, start + length, "verse") for start, length in spans]
    excerpts = section_excerpts(sections, bars)
    for one in excerpts:
        begin, end = (int(np.argmin(np.abs(bars - moment))) for moment in (one.start, one.start + one.duration))
        assert bars[begin] == one.start
        assert bars[end] == pytest.approx(one.start + one.duration)
        assert 25 <= one.duration <= 60 + 1e-9
        # Sixteen bars, unless one more would last over a minute, or there is no more.
        room = one.duration + beats * 60 / tempo <= 60 and (end + 1 < count or begin > 0)
        assert end - begin >= 16 or not room
    assert [one.start for one in excerpts] == sorted({one.start for one in excerpts})
    if bars[-1] - bars[0] >= 60:
        assert bool(excerpts) == any(section.start < bars[-1] for section in sections)


def test_a_section_that_is_long_enough_stays_as_it_is() -> None:
    bars = np.arange(0, 200, 2.0)
    (one,) = section_excerpts([Section(40.0, 76.0, "verse")], bars)
    assert (one.start, one.duration, one.label, one.on_downbeats) == (40.0, 36.0, "verse", False)
    (short,) = section_excerpts([Section(40.0, 56.0, "chorus")], bars)
    assert (short.start, short.duration) == (40.0, 32.0)
    (long,) = section_excerpts([Section(40.0, 150.0, "verse")], bars)
    assert (long.start, long.duration) == (40.0, 56.0)  # 28 bars: 30 fit
    (last,) = section_excerpts([Section(180.0, 196.0, "chorus")], bars, music_ends=196.0)
    assert (last.start, last.start + last.duration) == (164.0, 196.0)
    slow = 4.984059607663549 + 6.0 * np.arange(11)  # a minute, and 7e-15 s by rounding
    (minute,) = section_excerpts([Section(0.0, 1.0, "verse")], slow)
    assert minute.duration == pytest.approx(60.0)


@pytest.mark.parametrize(("moment", "start"), [(39.9, 40.0), (39.5, 40.0), (39.0, 38.0), (38.6, 38.0), (40.05, 40.0)])
def test_a_section_begins_with_its_bar(moment: float, start: float) -> None:
    (one,) = section_excerpts([Section(moment, moment + 40, "verse")], np.arange(0, 200, 2.0))
    assert one.start == start


# ---------------------------------------------------------------------------------------- labels against the sound
BEATS = 0.3 + 0.5 * np.arange(80)


@pytest.mark.parametrize(
    ("found", "fits"),
    [
        (BEATS, True),
        (BEATS + 0.03, True),
        (BEATS + 0.25, True),  # on the off-beat
        (BEATS[::2], True),
        (BEATS[1::2], True),
        (np.arange(0.3, 40, 0.25), True),
        (np.arange(0.3, 40, 0.75), True),  # two thirds of the tempo
        (np.arange(0.3, 40, 2 / 3), True),  # three quarters
        (BEATS + 0.125, False),
        (BEATS - 0.125, False),
        (BEATS + 0.1, False),
        (BEATS[::2] + 0.125, False),
        (np.arange(0.3, 40, 0.437), False),
        (np.arange(0.3, 40, 0.52), False),
    ],
)
def test_agreement(found: npt.NDArray[np.float64], fits: bool) -> None:
    assert (agreement(BEATS, found) >= LEAST_AGREEMENT) == fits
    # It does not matter where time begins.
    assert agreement(BEATS + 7, found + 7) == pytest.approx(agreement(BEATS, found))


HEARD = Analysis(
    key=Key(9, "minor"), tempo=120.0, beats=BEATS, downbeats=BEATS[::4],
    confidence={"key": 0.8, "beats": 0.9, "metre": 0.9},
)  # fmt: skip
SURELY = (Excerpt(0.0, 40.0), Excerpt(40.0, 40.0))


def _told(**labels: Any) -> list[str]:
    """Return what is said of labels of a song of which the analyzer finds the same in both excerpts."""
    known = Analysis(**labels)
    later = {
        name: None if (times := getattr(known, name)) is None else np.concatenate([times, times + 40])
        for name in ("beats", "downbeats")
    }
    song = Song(path=Path("song.flac"), title="song", known=attrs.evolve(known, **later))
    return require_fit(song, SURELY, [HEARD, HEARD])


def test_of_labels_that_are_right_nothing_is_said() -> None:
    assert _told(beats=BEATS, downbeats=BEATS[::4]) == []
    assert _told(key=Key(9, "minor"), tempo=120.0, beats=BEATS, downbeats=BEATS[::4]) == []
    assert _told(key=Key(0, "major"), tempo=120.0) == []  # the relative key has the same notes
    assert _told(beats=BEATS, downbeats=BEATS[::8]) == []  # bars of eight lie on bars of four


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"beats": BEATS, "downbeats": BEATS[1::4]}, "begin on beat 2 of the bars in the sound"),
        ({"beats": BEATS, "downbeats": BEATS[2::4]}, "begin on beat 3 of the bars in the sound"),
        ({"beats": BEATS, "downbeats": BEATS[::3]}, "the labelled bars have 3 beats, the bars in the sound 4"),
        ({"beats": BEATS[::2], "downbeats": BEATS[::8]}, "60.0 beats a minute, but the analyzer finds 120.0 and 120.0"),
        ({"key": Key(10, "minor")}, "its label is Bb minor, but the analyzer finds A minor throughout"),
        ({"key": Key(4, "minor"), "beats": BEATS, "downbeats": BEATS[::4]}, "its label is E minor"),
    ],
)
def test_labels_that_analyzers_know_less_of_than_people_are_told_in_a_note(labels: dict[str, Any], said: str) -> None:
    notes = _told(**labels)
    assert notes
    assert all(said in note and note.startswith("song.flac: ") for note in notes)


def test_an_analyzer_that_is_not_sure_says_nothing_of_keys_and_bars() -> None:
    known = Analysis(key=Key(10, "minor"), beats=BEATS, downbeats=BEATS[1::4])
    song = Song(path=Path("song.flac"), title="song", known=known)
    unsure = attrs.evolve(HEARD, confidence={"key": 0.3, "metre": 0.1})
    assert require_fit(song, SURELY[:1], [unsure]) == []
    assert require_fit(song, SURELY[:1], [attrs.evolve(HEARD, key=None, downbeats=None)]) == []


def test_delay_is_found_whatever_the_mix_does_to_a_stem() -> None:
    stems, _ = signals.band(bars=8, seed=5)
    mix = signals.mix(stems)
    vocal = stems.stems["vocals"]
    assert delay(vocal, mix) == pytest.approx(0.0, abs=1e-3)
    quiet = Audio(np.float32(0.05) * np.tanh(4 * vocal.samples), vocal.sample_rate)
    assert delay(quiet, mix) == pytest.approx(0.0, abs=1e-3)
    late = Audio(vocal.samples[:, round(0.35 * vocal.sample_rate) :], vocal.sample_rate)
    assert delay(late, mix) == pytest.approx(0.35, abs=1e-3)
    assert delay(signals.noise(16.0, seed=8), mix) is None
    assert delay(signals.silence(16.0), mix) is None


@pytest.mark.parametrize(("stem_s", "mix_s"), [(3.0, 3.0), (1.0, 9.0), (9.0, 1.0), (2.0, 20.0)])
def test_delay_of_what_is_shorter_than_the_longest_delay(stem_s: float, mix_s: float) -> None:
    sound = signals.noise(30.0, seed=3)

    def part(start: float, length: float) -> Audio:
        return sound.excerpt(start, length)

    assert delay(part(0.0, stem_s), part(0.0, mix_s)) == pytest.approx(0.0, abs=1e-3)
    later = max(0.0, mix_s - stem_s) + 0.5 * min(stem_s, mix_s)  # half of what is shorter is still in the other
    if later <= 10.0:
        whole = np.concatenate([signals.silence(later).samples, part(0.0, stem_s).samples], axis=1)
        late = Audio(whole[:, : round(mix_s * sound.sample_rate)], sound.sample_rate)
        assert delay(part(0.0, stem_s), late) == pytest.approx(later, abs=1e-3)
    earlier = 0.5 * min(stem_s, mix_s)
    assert delay(part(0.0, stem_s), part(earlier, mix_s)) == pytest.approx(-earlier, abs=1e-3)


@pytest.mark.plugins
def test_the_labelled_tempo_puts_beats_right(tmp_path: Path, collections_on_disk: Path) -> None:
    folder = _copied(collections_on_disk / "multitracks", tmp_path / "songs") / "Band - Tune"
    (folder / "mixture.beats").unlink()
    about = json.loads((folder / "song.json").read_text())
    for bpm, spacing in ((120, 0.5), (60, 1.0), (240, 0.25)):
        (folder / "song.json").write_text(json.dumps({**about, "bpm": bpm}))
        (one,) = added(tmp_path / "db", [folder], "multitrack", analyzer=mk.Kit(analyzer="librosa").analyzer)
        analysis = one.records[0].clip.analysis
        assert analysis.tempo == bpm
        assert analysis.beats is not None
        assert np.median(np.diff(analysis.beats)) == pytest.approx(spacing, rel=0.05)


# ------------------------------------------------------------------------------------------------ songs, previews
@pytest.mark.whole
def test_previews_are_whole(tmp_path: Path, collections_on_disk: Path) -> None:
    songs = tmp_path / "songs"
    save(songs / "long.flac", signals.tone(330, 71.0))
    save(songs / "short.flac", signals.tone(440, 26.0))
    save(songs / "tiny.flac", signals.tone(550, 20.0))
    shutil.copy(collections_on_disk / "previews" / "tune.flac", songs)
    ended = {one.path.stem: one for one in added(tmp_path / "db", [songs], "preview", analyzer=Grid())}
    spans = {name: [(record.clip.start, record.clip.duration) for record in one.records] for name, one in ended.items()}
    assert spans == {"tune": [(0.0, 30.0)], "short": [(0.0, 26.0)], "long": [(20.5, 30.0)], "tiny": []}
    assert "lasts 20.0 s" in reason(ended["tiny"])


def test_a_protocol_is_named_rightly() -> None:
    assert [protocol.name for protocol in PROTOCOLS.values()] == list(PROTOCOLS)
    assert create_protocol("harmonix", index="x.csv") == Harmonix(index="x.csv")
    with pytest.raises(UsageError, match="did you mean 'harmonix'"):
        create_protocol("harmonics")
    with pytest.raises(UsageError, match="did you mean 'index'"):
        create_protocol("harmonix", indx="x.csv")
    with pytest.raises(UsageError, match="no option"):
        create_protocol("songs", index="x.csv")
    for value in ("much", -1):
        with pytest.raises(UsageError, match=r"length_tolerance_s|'much'"):
            create_protocol("harmonix", length_tolerance_s=value)


# ------------------------------------------------------------------------------------------------------- harmonix
@pytest.fixture(scope="session")
def harmonix_set(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels of the Harmonix Set as published."""
    folder = tmp_path_factory.mktemp("harmonix")
    with tarfile.open(shared_data / "annotations" / "harmonix.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "dataset"


def _copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def recording(labels: Path, entry: str, duration: float, *, late: float = 0.0) -> Audio:
    """Return clicks where an entry has its beats, louder where it has its downbeats."""
    known = read_beats(labels / "beats_and_downbeats" / f"{entry}.txt", columns=3)
    assert known.beats is not None
    assert known.downbeats is not None
    beats = signals.click_train(known.beats + late, duration, channels=2, sample_rate=22_050)
    bars = signals.click_train(known.downbeats + late, duration, channels=2, sample_rate=22_050)
    return Audio(0.3 * beats.samples + 0.5 * bars.samples, 22_050)


@pytest.mark.whole
@pytest.mark.songs
def test_every_entry_of_the_harmonix_set(harmonix_set: Path) -> None:
    entries = read_table(harmonix_set / "metadata.csv", ("File", "Title", "Artist", "Duration"))
    assert len(entries) == 912
    sections, clips, songs = 0, 0, 0
    for _, row in entries:
        known = read_beats(harmonix_set / "beats_and_downbeats" / f"{row['File']}.txt", columns=3)
        segments = read_segments(harmonix_set / "segments" / f"{row['File']}.txt")
        assert known.downbeats is not None
        parts = [one for one in segments if one.label.rstrip("0123456789a") in ("verse", "chorus")]
        ends = segments[-1].start if segments[-1].label in AFTER_MUSIC else float("inf")
        excerpts = section_excerpts(parts, known.downbeats, music_ends=ends)
        sections, clips, songs = sections + len(parts), clips + len(excerpts), songs + bool(excerpts)
        for one in excerpts:
            assert one.start in known.downbeats
            assert np.abs(known.downbeats - (one.start + one.duration)).min() < 1e-6
            assert one.start + one.duration <= float(row["Duration"])
            bars = np.count_nonzero(
                (known.downbeats >= one.start) & (known.downbeats < one.start + one.duration - 1e-6)
            )
            assert bars >= 16 or one.duration > 50  # slow songs: sixteen bars would last over a minute
    # The eight songs without are those whose segments are called "section".
    assert (sections, clips, songs) == (5338, 5228, 904)


@pytest.mark.slow
@pytest.mark.plugins
@pytest.mark.songs
def test_clips_of_the_harmonix_set_are_where_its_labels_say(harmonix_set: Path, tmp_path: Path) -> None:
    songs, analyzer = tmp_path / "songs", mk.Kit(analyzer="librosa").analyzer
    rows = {row["File"]: row for _, row in read_table(harmonix_set / "metadata.csv", ("File", "Duration"))}
    good, late, other, cut = "0151_kingofdancehall", "0168_maneater", "0116_goodies", "0037_breakyourheart"
    for entry in (good, late, other, cut):
        duration = float(rows[entry]["Duration"])
        labelled = good if entry == other else entry
        audio = recording(harmonix_set, labelled, duration, late=0.15 if entry == late else 0.0)
        save(songs / f"{entry}.flac", audio.excerpt(0.0, duration - 30.0) if entry == cut else audio)
    ended = {
        one.path.stem: one
        for one in added(tmp_path / "db", [harmonix_set, songs], "harmonix", analyzer=analyzer, length_tolerance_s=40)
    }
    known = read_beats(harmonix_set / "beats_and_downbeats" / f"{good}.txt", columns=3)
    assert known.beats is not None
    assert known.downbeats is not None
    records = ended[good].records
    assert {record.clip.label for record in records} == {"verse", "chorus"}
    assert len(records) >= 3
    for number, record in enumerate(records):
        clip = record.clip
        assert clip.title == "Beenie Man - King of the Dancehall"
        assert np.abs(known.downbeats - clip.start).min() < 1e-5
        assert clip.analysis.tempo == pytest.approx(float(rows[good]["BPM"]), rel=0.01)
        assert clip.analysis.downbeats is not None
        assert clip.analysis.beats is not None
        assert clip.analysis.downbeats[0] == pytest.approx(0.0, abs=1e-5)
        inside = known.beats[(known.beats >= clip.start - 1e-3) & (known.beats < clip.start + clip.duration - 1e-3)]
        np.testing.assert_allclose(clip.analysis.beats, inside - clip.start, atol=1e-5)
        assert 25 <= clip.duration <= 60
        assert len(clip.analysis.downbeats) >= 16
        if number == 0:  # what sounds is where the analysis says
            sound = stem(tmp_path / "db", ended[good], 0, Role.VOCAL)
            heard = signals.click_positions(sound, clip.analysis.beats[1:-1], window=0.05)
            assert np.abs(heard - clip.analysis.beats[1:-1]).max() < 0.003
    for entry in (late, other):
        assert "differ from the beats in the sound" in reason(ended[entry]), entry
    assert "do not fit the audio" in reason(ended[cut])
    # The length alone tells, too.
    ended = {one.path.stem: one for one in added(tmp_path / "db2", [harmonix_set, songs / f"{cut}.flac"], "harmonix")}
    assert "the labelled recording" in reason(ended[cut])


def test_recordings_and_entries_find_each_other(collections_on_disk: Path, tmp_path: Path) -> None:
    root = collections_on_disk
    (song,) = Harmonix().songs([root / "harmonixset", root / "recordings"])
    assert isinstance(song, Song)
    assert song.title == "Band - Tune, Part 1"
    assert [(one.label, one.duration) for one in song.excerpts or ()] == [("verse", 32.0), ("chorus", 32.0)]
    assert song.source["entry"] == "0001_tune"
    assert song.source["labels_licence"] == "MIT"
    assert len(song.source["beats_sha256"]) == len(song.source["segments_sha256"]) == 64
    (indexed,) = Harmonix(index=str(root / "index.csv")).songs([root / "harmonixset"])
    assert isinstance(indexed, Song)
    assert indexed.path.resolve() == (root / "elsewhere" / "tune.flac").resolve()
    assert indexed.excerpts == song.excerpts
    (stranger,) = Harmonix().songs([root / "harmonixset" / "dataset", root / "elsewhere"])
    assert not isinstance(stranger, Song)
    assert "belongs to no entry" in str(stranger[1])
    both = Harmonix(index=str(root / "index.csv")).songs([root / "harmonixset", root / "recordings"])
    assert [isinstance(one, Song) for one in both] == [True, False]
    assert not isinstance(both[1], Song)
    assert "is a recording of" in str(both[1][1])
    index = tmp_path / "index.csv"
    index.write_text(
        f"File,path\n0009_nobody,x.flac\n0001_tune,{root / 'elsewhere' / 'tune.flac'}\n0002_other,y.flac\n"
    )
    unknown, known, lost = Harmonix(index=str(index)).songs([root / "harmonixset"])
    assert not isinstance(unknown, Song)
    assert isinstance(unknown[1], LabelError)
    assert unknown[1].line == 2
    assert isinstance(known, Song)
    assert not isinstance(lost, Song)
    assert "0002_other.txt" in str(lost[1])
    for paths in ([root / "recordings"], [root / "harmonixset", root / "harmonixset" / "dataset"]):
        with pytest.raises(UsageError, match="folders named hold"):
            Harmonix().songs(paths)


@pytest.mark.whole
def test_one_entry_with_bad_labels_harms_no_other(collections_on_disk: Path, tmp_path: Path) -> None:
    labels = _copied(collections_on_disk / "harmonixset", tmp_path / "set") / "dataset"
    for folder in ("beats_and_downbeats", "segments"):
        text = (labels / folder / "0001_tune.txt").read_text()
        (labels / folder / "0002_other.txt").write_text(text)
    text = (labels / "metadata.csv").read_text().replace(",200,90,", ",,90,")
    (labels / "metadata.csv").write_text(text)
    (labels / "segments" / "0002_other.txt").write_text("0.0 section\n30.0 end\n")
    songs = _copied(collections_on_disk / "recordings", tmp_path / "songs")
    save(songs / "0002_other.flac", signals.noise(40.0, seed=4))
    ended = added(tmp_path / "db", [labels, songs], "harmonix")
    assert [len(one.records) for one in ended] == [0, 2] or [len(one.records) for one in ended] == [2, 0]
    (bad,) = [one for one in ended if one.error is not None]
    assert "no verse or chorus" in reason(bad)
    (labels / "segments" / "0002_other.txt").write_text("0.0 verse\nsoon chorus\n")
    (bad,) = [one for one in added(tmp_path / "db", [labels, songs], "harmonix") if one.error is not None]
    assert "0002_other.txt, line 2" in reason(bad)


@pytest.mark.plugins
def test_the_key_is_the_analyzers_and_the_rest_the_labels(collections_on_disk: Path, tmp_path: Path) -> None:
    paths = [collections_on_disk / "harmonixset", collections_on_disk / "recordings"]
    (one,) = added(tmp_path, paths, "harmonix", analyzer=mk.Kit(analyzer="librosa").analyzer)
    for record in one.records:
        assert record.clip.analysis.key in (Key(9, "minor"), Key(0, "major"))
        assert record.clip.analysis.tempo == pytest.approx(120.0, abs=1e-3)
        assert record.clip.analysis.confidence["beats"] > 0.9
        assert record.clip.analysis.downbeats is not None
        np.testing.assert_allclose(np.diff(record.clip.analysis.downbeats), 2.0, atol=1e-5)


# ----------------------------------------------------------------------------------------------------- multitrack
def test_true_stems_stay_as_they_are(collections_on_disk: Path, tmp_path: Path) -> None:
    separator, analyzer = Thirds(), Deaf()
    folder = collections_on_disk / "multitracks"
    (one,) = added(tmp_path, [folder], "multitrack", separator=separator, analyzer=analyzer)
    assert (separator.calls, analyzer.calls) == ([], [])  # labels say key, tempo, beats and downbeats
    (record,) = one.records
    assert (record.separator, record.analyzer) == (TRUE_STEMS, LABELS)
    assert (record.clip.title, record.clip.licence) == ("Band - Tune", "CC0-1.0")
    assert (record.clip.analysis.key, record.clip.analysis.tempo) == (Key(9, "minor"), 120.0)
    first = round(record.clip.start * 44_100)
    assert record.clip.start == pytest.approx(0.25)
    files = {
        name: mk.load(folder / "Band - Tune" / f"{name}.flac").samples for name in ("vocals", "drums", "bass", "other")
    }
    for role, expected in {
        Role.VOCAL: files["vocals"],
        Role.PERCUSSION: files["drums"],
        Role.HARMONIC: files["bass"] + files["other"],
    }.items():
        sound = stem(tmp_path, one, 0, role)
        assert np.array_equal(sound.samples, expected[:, first : first + sound.frames]), role
    with MashupDB(tmp_path, write=False) as database:
        ((source, protocol),) = database.rows("SELECT source, protocol FROM songs")
    assert protocol == "multitrack"
    assert len(json.loads(source)["beats_sha256"]) == len(json.loads(source)["song_sha256"]) == 64


def test_without_a_mixture_the_stems_are_the_song(collections_on_disk: Path, tmp_path: Path) -> None:
    folder = _copied(collections_on_disk / "multitracks", tmp_path / "songs") / "Band - Tune"
    for name in ("mixture.flac", "mixture.beats", "song.json"):
        (folder / name).unlink()
    (one,) = added(tmp_path / "db", [folder], "multitrack", separator=(separator := Thirds()))
    assert separator.calls == []
    assert (one.records[0].clip.title, one.records[0].clip.licence) == ("Band - Tune", "unknown")
    assert one.records[0].clip.analysis.key == Key(5, "major")  # the analyzer's


def test_musdb_is_laid_out_so(collections_on_disk: Path, tmp_path: Path) -> None:
    song = collections_on_disk / "multitracks" / "Band - Tune"
    for part in ("train/A - One", "test/B - Two"):
        folder = tmp_path / "musdb18hq" / part
        for name in ("mixture", "vocals", "drums", "bass", "other"):
            save(folder / f"{name}.wav", mk.load(song / f"{name}.flac"))
    found = create_protocol("multitrack").songs([tmp_path / "musdb18hq"])
    assert [one.title for one in found if isinstance(one, Song)] == ["B - Two", "A - One"]
    assert all(isinstance(one, Song) and one.has_mix and len(one.stems) == 4 for one in found)


@pytest.mark.whole
def test_stems_that_do_not_make_a_song(collections_on_disk: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        return _copied(collections_on_disk / "multitracks" / "Band - Tune", tmp_path / "songs" / name)

    (broken("a no drums") / "drums.flac").unlink()
    shutil.copy(broken("b twice") / "bass.flac", tmp_path / "songs" / "b twice" / "bass.wav")
    shutil.copy(broken("c strange") / "bass.flac", tmp_path / "songs" / "c strange" / "synth.flac")
    (broken("d labels") / "mixture.beats").write_text("0.5 1\n0.4 2\n")
    late = broken("e late") / "vocals.flac"
    save(late, Audio(np.pad(mk.load(late).samples, ((0, 0), (13_230, 0))), 44_100))
    alien = broken("f alien") / "vocals.flac"
    save(alien, signals.noise(40.0, seed=9))
    short = broken("g short")
    for file in short.glob("*.flac"):
        save(file, mk.load(file).excerpt(0, 18))
    (short / "mixture.beats").unlink()
    far = broken("h far") / "mixture.beats"
    far.write_text(far.read_text() + "99.0\t1\n")
    with MashupDB(tmp_path / "db") as database:
        adder = Adder(database, Thirds(), Deaf())
        list(adder.add(create_protocol("multitrack").songs([tmp_path / "songs"]), protocol="multitrack"))
    reasons = {
        next(part for part in path.parts if part[1:2] == " "): str(error) for path, error in adder.report.failures
    }
    for name, text in {
        "a no drums": "has no drums",
        "b twice": "bass.flac and bass.wav",
        "c strange": "synth.flac: not the name of a stem",
        "d labels": "mixture.beats, line 2",
        "e late": "sounds 0.300 s earlier",
        "g short": "lasts 18.0 s",
        "h far": "go up to 99.0 s",
    }.items():
        assert text in reasons.pop(name)
    assert reasons == {}
    (note,) = [note for note in adder.report.notes if "not found" in note]
    assert "vocals not found" in note
    with pytest.raises(AudioFileError, match="no folder of stems"):
        create_protocol("multitrack").songs([collections_on_disk / "recordings"])


@pytest.mark.whole
@pytest.mark.songs
def test_real_multitracks(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "multitracks"
    found = create_protocol("multitrack").songs([root])
    assert len(found) == 7
    for song in found:
        assert isinstance(song, Song)
        assert song.licence in ("CC0-1.0", "CC BY-NC-SA 4.0")
        assert song.known is not None
        assert len(song.source["song_sha256"]) == 64
    caesium, part = root / "Software-Entwicklungskit - Caesium", tmp_path / "Caesium"
    for file in caesium.glob("*.opus"):  # its second minute: decoding all of it takes long
        samples, rate = soundfile.read(file, start=60 * 48_000, frames=32 * 48_000, dtype="float32", always_2d=True)
        save(part / f"{file.stem}.wav", Audio(samples.T, rate))
    shutil.copy(caesium / "song.json", part)
    paths = [*sorted(root.glob("MusicDelta*")), part]
    *short, one = added(tmp_path / "db", paths, "multitrack", separator=(separator := Thirds()))
    assert separator.calls == []
    assert ["a mashup needs" in reason(song) for song in short] == [True, True]
    clip = one.records[0].clip
    assert (clip.analysis.key, clip.analysis.tempo) == (Key(0, "major"), 130.0)
    vocals = resample(mk.load(part / "vocals.wav"), 44_100).excerpt(clip.start, clip.duration)
    kept = stem(tmp_path / "db", one, 0, Role.VOCAL)
    assert vocals.peak > 0.1
    np.testing.assert_allclose(kept.samples, vocals.samples, atol=2**-22)


# --------------------------------------------------------------------------------------------------------- ayumix
@pytest.mark.plugins
def test_a_studio_vocal_with_its_original(collections_on_disk: Path, tmp_path: Path) -> None:
    folder = collections_on_disk / "ayumix" / "Band - Tune"
    separator = Thirds()
    (one,) = added(
        tmp_path, [folder.parent], "ayumix", separator=separator, analyzer=mk.Kit(analyzer="librosa").analyzer
    )
    (record,) = one.records
    clip = record.clip
    assert (clip.label, clip.start, clip.duration) == ("chorus", 8.25, 28.0)
    assert clip.analysis.key in (Key(9, "minor"), Key(0, "major"))
    assert clip.analysis.tempo == pytest.approx(120.0, rel=0.03)
    first, last = round(8.25 * 44_100), round(36.25 * 44_100)
    vocal, original = (mk.load(folder / f"{name}.flac").samples[:, first:last] for name in ("vocal", "original"))
    assert np.array_equal(stem(tmp_path, one, 0, Role.VOCAL).samples, vocal)
    np.testing.assert_allclose(stem(tmp_path, one, 0, Role.HARMONIC).samples, original / 3, atol=2**-22)
    assert separator.calls == [last - first]
    assert clip.source == str(folder / "original.flac")


@pytest.mark.whole
def test_choruses_that_do_not_fit(collections_on_disk: Path, tmp_path: Path) -> None:
    def changed(name: str) -> Path:
        return _copied(collections_on_disk / "ayumix" / "Band - Tune", tmp_path / "songs" / name)

    (changed("a no labels") / "chorus.txt").unlink()
    (changed("b beyond") / "chorus.txt").write_text("20 50 chorus\n")
    (changed("c verse") / "chorus.txt").write_text("1 30 verse\n")
    (changed("d alone") / "original.flac").unlink()
    late = changed("e early") / "vocal.flac"
    save(late, Audio(mk.load(late).samples[:, 22_050:], 44_100))
    (changed("f short") / "chorus.txt").write_text("8.25 20 chorus\n30 38 chorus\n")
    with MashupDB(tmp_path / "db") as database:
        adder = Adder(database, Thirds(), Deaf())
        good = [one for one in adder.add(create_protocol("ayumix").songs([tmp_path / "songs"])) if one.error is None]
    reasons = {
        next(part for part in path.parts if part[1:2] == " "): str(error) for path, error in adder.report.failures
    }
    for name, text in {
        "a no labels": "chorus.txt: does not exist",
        "b beyond": "go up to 50.0 s",
        "c verse": "line 1: 'verse'",
        "d alone": "has no original",
        "e early": "sounds 0.500 s later",
    }.items():
        assert text in reasons.pop(name)
    assert reasons == {}
    (one,) = good
    spans = [(record.clip.start, record.clip.duration) for record in one.records]
    assert spans[0] == (8.25, 25.0)
    assert spans[1][0] + spans[1][1] == pytest.approx(mk.load(one.path).duration, abs=1e-3)


def test_with_beats_choruses_are_whole_bars(collections_on_disk: Path, tmp_path: Path) -> None:
    folder = _copied(collections_on_disk / "ayumix" / "Band - Tune", tmp_path / "songs")
    shutil.copy(collections_on_disk / "multitracks" / "Band - Tune" / "mixture.beats", folder / "original.beats")
    (folder / "chorus.txt").write_text("6.1 20 chorus\n")
    (one,) = added(tmp_path / "db", [folder], "ayumix")
    clip = one.records[0].clip
    assert (clip.start, clip.duration) == pytest.approx((6.25, 32.0))
    assert clip.analysis.tempo == pytest.approx(120.0, abs=1e-3)


# --------------------------------------------------------------------------------------------------- command line
@pytest.mark.whole
def test_the_command_line_names_a_protocol(
    collections_on_disk: Path, tmp_path: Path, light: None, capsys: pytest.CaptureFixture[str]
) -> None:
    root = collections_on_disk
    parts = ["--separator", "thirds", "--analyzer", "grid"]
    command = ["db", "add", str(root / "multitracks"), "--protocol", "multitrack", "--db", str(tmp_path), "--json"]
    assert main([*command, *parts, "--no-features", "-O", "executor.jobs=0"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["protocol"], data["songs"], data["clips"]) == ("multitrack", 1, 1)
    for arguments, text in (
        (["--protocol", "multitracks"], "did you mean 'multitrack'"),
        (["--protocol", "harmonix", "-O", "protocol.indx=x.csv"], "did you mean 'index'"),
        (["--protocol", "harmonix"], "harmonixset"),
    ):
        assert main(["db", "add", str(root / "recordings"), "--db", str(tmp_path / "no"), *parts, *arguments]) == 2
        assert text in capsys.readouterr().err
        assert not (tmp_path / "no").exists()


def test_errors_travel_between_processes() -> None:
    import pickle

    error: MashkitError = LabelError(Path("x.txt"), 3, "is wrong", "mend it")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 — our own
    assert (str(again), again.line) == ("x.txt, line 3: is wrong (mend it)", 3)
