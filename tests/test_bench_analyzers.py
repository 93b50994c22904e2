"""The analyzers' benchmark: metrics are mir_eval's, known faults come out as known numbers, every layout is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import mir_eval
import numpy as np
import pytest
import soundfile

from mashkit.audio.files import resample, save
from mashkit.bench import analyzers, rendered
from mashkit.bench.analyzers import FIELDS, AnalyzerTask, compared, excerpt, tempo_is_right
from mashkit.bench.collections import look_for
from mashkit.bench.labelled import Labels, known_key
from mashkit.bench.registered import labelled, labels_of
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input
from mashkit.components import ComponentInfo
from mashkit.interfaces import Analyzer
from mashkit.interfaces.analyzer import ANALYSIS_FIELDS
from mashkit.testing import signals
from mashkit.types import Analysis, Audio, Chords, Key
from rows import row_of

TASK = AnalyzerTask()
DEMO = Path(__file__).parents[1] / "examples" / "songs"
TRUE = rendered.compose(1, 0).everything


@attrs.define(kw_only=True, eq=False)
class Knowing(Analyzer):
    """Knows the rendered song, and makes one mistake."""

    info: ClassVar[ComponentInfo] = ComponentInfo(
        name="knowing", target="nowhere:Knowing", summary="x", provides=ANALYSIS_FIELDS, code_license="MIT"
    )
    fault: Mapping[str, Any] = attrs.field(factory=dict)

    def _analyze(self, mix: Audio) -> Analysis:
        return attrs.evolve(TRUE, **self.fault)


def rendered_input() -> Input:
    return next(one for one in TASK.inputs({"collections": ["rendered"], "songs": 1, "seed": 1}, None))


def test_who_knows_is_right_and_who_errs_is_wrong_by_as_much() -> None:
    given = rendered_input()
    found = TASK.measure(Knowing(), given)
    assert {name: found[name] for name in FIELDS} == pytest.approx(dict.fromkeys(FIELDS, 1.0))
    late = TRUE.beats + 0.1  # type: ignore[operator]
    found = TASK.measure(Knowing(fault={"beats": late, "downbeats": late[::4]}), given)
    assert (found["beat_f"], found["downbeat_f"], found["key"]) == (0.0, 0.0, 1.0)
    half = TRUE.beats[::2]  # type: ignore[index]
    found = TASK.measure(Knowing(fault={"tempo": TRUE.tempo / 2, "beats": half, "downbeats": half[::2]}), given)  # type: ignore[operator]
    assert (found["tempo_1"], found["tempo_2"], found["cmlt"], found["amlt"]) == (0.0, 1.0, 0.0, 1.0)
    assert found["beat_f"] == pytest.approx(2 / 3, abs=0.02)
    fifth = Key((TRUE.key.tonic + 7) % 12, TRUE.key.mode)  # type: ignore[union-attr]
    assert TASK.measure(Knowing(fault={"key": fifth}), given)["key"] == 0.5
    assert TASK.measure(Knowing(fault={"key": None}), given)["key"] == 0.0


def test_wrong_chords_are_wrong_for_as_long_as_they_last() -> None:
    given = rendered_input()
    assert TRUE.chords is not None
    bars, labels = TRUE.chords.times, list(TRUE.chords.labels)
    other = {"maj": "min", "min": "maj"}
    counted = [label.partition(":")[2] in other for label in labels]
    first = counted.index(True)  # a diminished chord is neither, and majmin leaves it out
    root, _, quality = labels[first].partition(":")
    parallel = [*labels[:first], f"{root}:{other[quality]}", *labels[first + 1 :]]
    found = TASK.measure(Knowing(fault={"chords": Chords(bars, parallel)}), given)
    assert (found["majmin"], found["chord_root"]) == (pytest.approx(1 - 1 / sum(counted)), 1.0)
    none = TASK.measure(Knowing(fault={"chords": None}), given)
    assert (none["majmin"], none["chord_root"]) == (0.0, 0.0)


def test_wrong_notes_are_wrong_for_as_long_as_they_last() -> None:
    given = rendered_input()
    assert TRUE.melody is not None
    sung = np.flatnonzero(TRUE.melody.voiced)
    f0 = TRUE.melody.f0.copy()
    f0[sung[: len(sung) // 4]] *= 2 ** (2 / 12)
    found = TASK.measure(Knowing(fault={"melody": attrs.evolve(TRUE.melody, f0=f0)}), given)
    assert found["melody_pitch"] == pytest.approx(0.75, abs=0.01)
    assert found["melody"] == pytest.approx(1 - len(sung) / 4 / len(f0), abs=0.01)
    silent = TASK.measure(Knowing(fault={"melody": None}), given)
    assert silent["melody"] == pytest.approx(1 - len(sung) / len(f0), abs=0.01)  # right where nobody sings
    assert silent["melody_pitch"] == 0.0


def test_a_melody_is_looked_for_in_the_voice() -> None:
    heard = []

    class Listening(Knowing):
        def _analyze(self, mix: Audio) -> Analysis:
            heard.append(mix)
            return super()._analyze(mix)

    TASK.measure(Listening(), rendered_input())
    stems = rendered.render(rendered.compose(1, 0))
    left = rendered.voice_left(stems, -20.0)
    for sound, due in zip(heard, (signals.mix(stems), left), strict=True):
        # Analyzers hear everything at a usual level.
        np.testing.assert_allclose(*(one.samples / np.std(one.samples) for one in (sound, due)), atol=1e-4)
    voice = stems.stems["vocals"].samples
    level = 10 * np.log10(np.mean((left.samples - voice) ** 2) / np.mean(voice**2))
    assert level == pytest.approx(-20, abs=0.1)


def test_the_notes_are_those_that_sound() -> None:
    # Another pitch tracker than any that is measured: the autocorrelation of the voice alone.
    voice = rendered.render(rendered.compose(1, 0)).stems["vocals"]
    assert TRUE.melody is not None
    mono, rate = voice.mono(), voice.sample_rate
    for index in np.flatnonzero(TRUE.melody.voiced)[10::200]:
        hertz = TRUE.melody.f0[index]
        start = round(TRUE.melody.times[index] * rate)
        part = mono[start : start + 2048]
        if TRUE.melody.f0[min(index + 5, len(TRUE.melody.f0) - 1)] != hertz:
            continue  # the next note begins within the part
        correlation = np.correlate(part, part, "full")[2047:]
        lags = slice(round(rate / hertz / 1.06), round(rate / hertz * 1.06) + 1)
        best = lags.start + int(correlation[lags].argmax())
        assert lags.start < best < lags.stop - 1  # a peak, and not the edge of what was searched
        assert abs(12 * np.log2(rate / best / hertz)) < 0.5


@pytest.mark.parametrize(
    ("beats", "measured"),
    [
        ((1.0, 2.0, 3.0), set()),  # all in the five seconds that are left out
        ((4.0, 5.5), {"beat_f", "downbeat_f"}),  # continuity is of intervals, and there is none
        ((4.0, 5.5, 7.0), {"beat_f", "downbeat_f", "cmlt", "amlt"}),
        ((), set()),
    ],
)
def test_where_no_label_is_left_nobody_is_wrong(beats: tuple[float, ...], measured: set[str]) -> None:
    true = Analysis(beats=beats, downbeats=beats)
    assert compared(true, true) == dict.fromkeys(measured, 1.0)
    assert compared(Analysis(), true) == dict.fromkeys(measured, 0.0)


def test_chords_and_voices_that_are_not_there_are_not_measured() -> None:
    augmented = Analysis(chords=Chords([0.0, 2.0], ["C:aug"]))
    assert compared(augmented, augmented) == {"chord_root": 1.0}
    unknown = Analysis(chords=Chords([0.0, 2.0], ["X"]))
    assert compared(unknown, unknown) == {}
    assert TRUE.melody is not None
    silent = Analysis(melody=attrs.evolve(TRUE.melody, f0=0 * TRUE.melody.f0))
    assert compared(silent, silent) == {"melody": 1.0}


def test_metrics_are_mir_evals_by_hand() -> None:
    random = np.random.default_rng(0)
    beats = np.sort(np.round(TRUE.beats + random.normal(scale=0.05, size=len(TRUE.beats)), 6))  # type: ignore[arg-type]
    beats = np.unique(np.maximum(beats, 0))
    found = Analysis(key=Key(3, "minor"), tempo=100.0, beats=beats, downbeats=beats[1::4])
    values = compared(found, TRUE)
    sides = [mir_eval.beat.trim_beats(one.beats) for one in (TRUE, found)]
    assert values["beat_f"] == pytest.approx(mir_eval.beat.f_measure(*sides), abs=1e-9)
    assert (values["cmlt"], values["amlt"]) == pytest.approx(mir_eval.beat.continuity(*sides)[1::2], abs=1e-9)
    sides = [mir_eval.beat.trim_beats(one.downbeats) for one in (TRUE, found)]
    assert values["downbeat_f"] == pytest.approx(mir_eval.beat.f_measure(*sides), abs=1e-9)
    for key in (Key(0, "major"), Key(9, "minor"), Key(7, "major"), Key(0, "minor"), Key(6, "major")):
        by_hand = mir_eval.key.weighted_score("C major", str(key))
        assert compared(Analysis(key=key), Analysis(key=Key(0, "major")))["key"] == by_hand


def test_tempo_accuracy_is_within_four_per_cent() -> None:
    assert tempo_is_right(124.8, 120, (1.0,))
    assert not tempo_is_right(124.9, 120, (1.0,))
    values = [compared(Analysis(tempo=tempo), Analysis(tempo=120.0)) for tempo in (40, 60, 240, 360, 90)]
    assert [one["tempo_1"] for one in values] == [0] * 5
    assert [one["tempo_2"] for one in values] == [1, 1, 1, 1, 0]
    assert compared(Analysis(), Analysis(tempo=120.0)) == {"tempo_1": 0.0, "tempo_2": 0.0}


def test_a_karaoke_grid_is_counted_apart(tmp_path: Path) -> None:
    folder = tmp_path / "songs" / "Song"
    folder.mkdir(parents=True)
    save(folder / "song.wav", rendered_mix())
    (folder / "song.txt").write_text(f"#BPM:{16 * TRUE.tempo:.2f}\n")  # type: ignore[operator]
    (given,) = TASK.inputs({"collections": ["ultrastar"]}, tmp_path)
    values = TASK.measure(Knowing(), given)
    assert set(values) == {"grid", "minute_cpu_s"}  # four times the tempo
    assert values["grid"] == 1
    row = row_of(measure="ultrastar", values=values, peak_memory_mb=1.0)
    metrics = TASK.summarize([row, attrs.evolve(row, values={**values, "grid": 0.0})])
    assert metrics["grid"] == 50
    assert metrics["tempo_1"] is metrics["tempo_2"] is None
    assert TASK.intervals([row]) == {}  # one piece is one observation
    low, high = TASK.intervals([row, attrs.evolve(row, values={**values, "grid": 0.0})])["grid"]
    assert 0 <= low < 50 < high <= 100


def test_what_is_not_provided_is_not_measured() -> None:
    some = attrs.evolve(Knowing.info, provides={"key"})

    class KeyOnly(Knowing):
        info = some

        def _analyze(self, mix: Audio) -> Analysis:
            return Analysis(key=TRUE.key)

    values = TASK.measure(KeyOnly(), rendered_input())
    assert set(values) == {"key", "minute_cpu_s"}
    row = row_of(measure="rendered", values=values, peak_memory_mb=1.0)
    metrics = TASK.summarize([row])
    assert metrics["rendered_key"] == 100
    assert metrics["rendered_beat_f"] is metrics["key"] is None
    assert TASK.summarize([row, attrs.evolve(row, status="failed", values={})])["rendered_key"] is None


def test_an_excerpt_moves_its_labels() -> None:
    mix = signals.click_train(TRUE.beats, 35.0)  # type: ignore[arg-type]
    part, labels = excerpt(mix, TRUE, 12.0)
    assert part.duration == pytest.approx(12.0)
    found = signals.click_positions(part, labels.beats[1:-1])  # type: ignore[index]
    assert np.abs(found - labels.beats[1:-1]).max() < 0.02  # type: ignore[index]
    assert labels.chords is not None
    assert TRUE.chords is not None
    assert labels.chords.times[-1] == pytest.approx(12.0)
    assert set(labels.chords.labels) <= set(TRUE.chords.labels)
    assert excerpt(mix, TRUE, 60.0) == (mix, TRUE)


# ------------------------------------------------------------------------------------------------------------ layouts
def test_every_layout_is_read(tmp_path: Path) -> None:
    sound = signals.noise(1.0)
    files = {
        "giantsteps-key-dataset/annotations/key/1.LOFI.key": "D minor",
        "giantsteps-key-dataset/annotations/key/absent.key": "D minor",
        "giantsteps-tempo-dataset/annotations_v2/tempo/2.LOFI.bpm": "140",
        "giantsteps-tempo-dataset/annotations_v2/tempo/none.bpm": "0",
        "BallroomAnnotations/Waltz-1.beats": "0.5 1\n1.0 2\n1.5 3\n2.0 1\n",
        "multitracks/A/song.json": json.dumps({"bpm": 124, "key": "G minor"}),
        "multitracks/B/mixture.beats": "0.010\t1\n0.570\t2\n",
        "songs/C/song.txt": "#TITLE:C\n#BPM:266,6\n#GAP:10\n: 0 1 2 la\n",
        "gtzan_key/gtzan_key/genres/blues/blues.00003.lerch.txt": "14\n",
        "gtzan_key/gtzan_key/genres/blues/blues.00004.lerch.txt": "-1\n",
        "gtzan_key/gtzan_key/genres/rock/rock.00005.lerch.txt": "2\n",
        "gtzan_tempo_beat/tempo/gtzan_blues_00003.bpm": "91.5\n",
        "gtzan_tempo_beat/beats/gtzan_blues_00003.beats": "0.25 3\n0.91 4\n1.57 1\n",
        "gtzan_tempo_beat/beats/gtzan_rock_00005.beats": "0.25\n0.91\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in (
        "giantsteps-key-dataset/audio/1.LOFI.mp3", "giantsteps-tempo-dataset/audio/2.LOFI.mp3",
        "giantsteps-tempo-dataset/audio/none.mp3", "BallroomData/Waltz/Waltz-1.wav", "songs/C/audio.ogg",
        *(f"gtzan_genre/genres/{name.partition('.')[0]}/{name}.wav" for name in ("blues.00003", "blues.00004",
                                                                               "rock.00005", "rock.00006")),
        *(f"multitracks/{song}/{stem}.flac" for song in "AB" for stem in ("vocals", "drums", "other")),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / name, sound)
    found = {name: list(labels_of(card, tmp_path)) for name, card in labelled().items() if name != "demo"}
    assert {name: len(some) for name, some in found.items()} == {
        "multitracks": 2, "ultrastar": 1, "giantsteps-key": 1, "giantsteps-tempo": 1, "ballroom": 1, "gtzan": 2,
    }  # fmt: skip
    assert found["giantsteps-key"][0].key == "D minor"
    assert found["giantsteps-tempo"][0].tempo == 140
    assert found["ballroom"][0].downbeats == (0.5, 2.0)
    assert (found["multitracks"][0].tempo, found["multitracks"][0].beats) == (124, None)
    assert found["multitracks"][1].beats == (0.010, 0.570)
    assert (found["ultrastar"][0].grid, found["ultrastar"][0].tempo) == (pytest.approx(66.65), None)
    blues, rock = found["gtzan"]  # blues.00004 modulates, and nothing is said of rock.00006
    assert (blues.key, blues.tempo, blues.beats, blues.downbeats) == ("B minor", 91.5, (0.25, 0.91, 1.57), (1.57,))
    assert (rock.key, rock.tempo, rock.beats, rock.downbeats) == ("B major", None, (0.25, 0.91), None)
    inputs = TASK.inputs({"collections": ["multitracks"]}, tmp_path)
    assert [one.missing for one in inputs] == ["", ""]
    assert all(not list(labels_of(card, None)) for name, card in labelled().items() if name != "demo")
    assert known_key("D minor | F major") is None
    counted = {one.card.name: one.songs for one in look_for(tmp_path)}
    assert (counted["gtzan"], counted["giantsteps-key"], counted["ballroom"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "text", "collection", "label"),
    [
        ("songs/C/song.txt", "#BPM:\n", "ultrastar", "C/song.txt"),
        ("songs/C/song.txt", "#TITLE:C\n", "ultrastar", "C/song.txt"),
        ("multitracks/C/song.json", "[1]", "multitracks", "C/song.json"),
        ("multitracks/C/mixture.beats", "a b\n", "multitracks", "C/mixture.beats"),
        ("giantsteps-tempo-dataset/annotations_v2/tempo/C.bpm", "", "giantsteps-tempo", "tempo/C.bpm"),
        ("BallroomAnnotations/C.beats", "0.5 one\n", "ballroom", "BallroomAnnotations/C.beats"),
        ("gtzan_tempo_beat/tempo/gtzan_pop_C.bpm", "fast", "gtzan", "tempo/gtzan_pop_C.bpm"),
        ("giantsteps-key-dataset/annotations/key/C.key", b"\xff\xfe", "giantsteps-key", "key/C.key"),
        # What can be read, but cannot be true.
        ("songs/C/song.txt", "#BPM:0\n", "ultrastar", "C/song.txt"),
        ("songs/C/song.txt", "#BPM:nan\n", "ultrastar", "C/song.txt"),
        ("multitracks/C/song.json", '{"bpm": "120"}', "multitracks", "C/song.json"),
        ("multitracks/C/song.json", '{"bpm": true}', "multitracks", "C/song.json"),
        ("multitracks/C/song.json", '{"bpm": -120}', "multitracks", "C/song.json"),
        ("multitracks/C/song.json", '{"key": 5}', "multitracks", "C/song.json"),
        ("multitracks/C/song.json", '{"key": 0}', "multitracks", "C/song.json"),
        ("multitracks/C/mixture.beats", "0.5 1\n1.5 3\n1.0 2\n", "multitracks", "C/mixture.beats"),
        ("giantsteps-tempo-dataset/annotations_v2/tempo/C.bpm", "-90", "giantsteps-tempo", "tempo/C.bpm"),
        ("BallroomAnnotations/C.beats", "0.5 1\n0.5 2\n", "ballroom", "BallroomAnnotations/C.beats"),
        ("gtzan_tempo_beat/tempo/gtzan_pop_C.bpm", "inf", "gtzan", "tempo/gtzan_pop_C.bpm"),
    ],
)
def test_a_file_of_labels_that_cannot_be_read_costs_its_piece_alone(
    name: str, text: str | bytes, collection: str, label: str, tmp_path: Path
) -> None:
    right = {
        "songs/D/song.txt": "#BPM:120\n", "multitracks/D/song.json": '{"bpm": 124}',
        "BallroomAnnotations/D.beats": "1 1", "giantsteps-tempo-dataset/annotations_v2/tempo/D.bpm": "140",
        "gtzan_tempo_beat/tempo/gtzan_pop_D.bpm": "90", "giantsteps-key-dataset/annotations/key/D.key": "D minor",
    }  # fmt: skip
    for file, content in {**right, name: text}.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    for song in "CD":
        for file in (
            f"songs/{song}/audio.ogg", f"giantsteps-key-dataset/audio/{song}.mp3", f"BallroomData/Waltz/{song}.wav",
            f"giantsteps-tempo-dataset/audio/{song}.mp3", f"gtzan_genre/genres/pop/pop.{song}.wav",
            *(f"multitracks/{song}/{stem}.flac" for stem in ("vocals", "drums", "other")),
        ):  # fmt: skip
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            save(tmp_path / file, signals.noise(0.1))
    inputs = {one.songs[0].rpartition(".")[2]: one for one in TASK.inputs({"collections": [collection]}, tmp_path)}
    assert inputs["C"].missing.startswith(f"the labels in {label} cannot be read: ")
    assert inputs["C"].missing.endswith("; correct or remove the file")
    assert str(tmp_path) not in inputs["C"].missing
    assert inputs["D"].missing == ""
    assert {one.card.name: one.songs for one in look_for(tmp_path)}[collection] == (
        2 if collection == "multitracks" else 1
    )


def test_a_tempo_of_0_is_none(tmp_path: Path) -> None:
    for name, text in (("A", '{"bpm": 0, "key": "C major"}'), ("B", '{"bpm": null}')):
        for stem in ("vocals", "drums", "other"):
            (tmp_path / "multitracks" / name).mkdir(parents=True, exist_ok=True)
            save(tmp_path / "multitracks" / name / f"{stem}.flac", signals.noise(0.1))
        (tmp_path / "multitracks" / name / "song.json").write_text(text)
    first, second = TASK.inputs({"collections": ["multitracks"]}, tmp_path)
    assert (first.missing, first.parameters["tempo"], first.parameters["key"]) == ("", None, "C major")
    assert (second.missing, second.parameters["tempo"]) == ("", None)


@pytest.mark.parametrize(
    "wrong", [{"tempo": 0.0}, {"grid": math.inf}, {"beats": (2.0, 1.0)}, {"chords": ((0.0, "?"),)}]
)
def test_labels_that_cannot_be_true_cost_their_piece_alone(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [Labels(collection="demo", name="one", files=(), tempo=120.0)]
    pieces.append(Labels(collection="demo", name="two", files=(), **wrong))
    monkeypatch.setattr(analyzers, "labels_of", lambda card, data: pieces)
    first, second = TASK.inputs({"collections": ["demo"]}, None)
    assert first.missing == ""
    assert second.missing
    assert second.parameters["tempo"] is None


def test_the_demo_songs_are_labelled() -> None:
    found = list(labels_of(labelled()["demo"], None))
    assert len(found) == 6
    assert all(one.key and one.tempo and one.downbeats and one.chords for one in found)
    inputs = TASK.inputs({"collections": ["demo"]}, None)
    slow = next(one for one in inputs if one.name == "demo: slow-river").parameters["chords"]
    assert [label for _, label in slow[:5]] == ["Bb:maj", "Bb:maj", "F:maj", "G:min7", "Eb:maj"]
    assert slow[-1][0] == pytest.approx(json.loads((DEMO / "slow-river.json").read_text())["chords"][-1][1])


def test_gtzans_layout_is_measured(tmp_path: Path) -> None:
    # As its publishers pack it: AU files of 22,050 Hz, mono.
    mix = resample(rendered_mix(), 22_050)
    (tmp_path / "gtzan_genre" / "genres" / "pop").mkdir(parents=True)
    soundfile.write(tmp_path / "gtzan_genre" / "genres" / "pop" / "pop.00000.au", mix.mono(), 22_050)
    key = tmp_path / "gtzan_key" / "gtzan_key" / "genres" / "pop" / "pop.00000.lerch.txt"
    key.parent.mkdir(parents=True)
    assert TRUE.key is not None
    key.write_text(f"{(TRUE.key.tonic - 9) % 12 + 12 * (TRUE.key.mode == 'minor')}\n")
    (given,) = TASK.inputs({"collections": ["gtzan"]}, tmp_path)
    assert TASK.measure(Knowing(), given)["key"] == 1


def rendered_mix() -> Audio:
    return signals.mix(rendered.render(rendered.compose(1, 0)))


@pytest.mark.parametrize("name", labelled())
def test_what_is_not_here_is_missing_and_says_where_it_is(name: str, tmp_path: Path) -> None:
    if name == "demo":  # a clone has them beside the package
        return
    (missing,) = TASK.inputs({"collections": [name]}, tmp_path)
    assert missing.missing == f"no {name} in --data: {labelled()[name].where}"
    assert "DATA/" in missing.missing


def test_unknown_music_gets_a_suggestion() -> None:
    with pytest.raises(SuiteError, match="did you mean 'ballroom'"):
        TASK.inputs({"collections": ["balroom"]}, None)
