"""The madmom analyzer keeps its contract; its networks give madmom's numbers; its answers move as the music does."""

import hashlib
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import attrs
import mir_eval
import numpy as np
import pytest

from mashkit.audio.files import load
from mashkit.errors import OptionError
from mashkit.models import ModelError, status
from mashkit.registry import Registry
from mashkit.testing import AnalyzerContract, signals
from mashkit.timing.beats import beat_error
from mashkit.types import Analysis, Audio, Key, Times, chord_tones
from mashkit_madmom import CHORD_WEIGHTS, WEIGHTS, backend, networks
from mashkit_madmom.analyzer import MadmomAnalyzer
from mashkit_madmom.chords import LABELS, MadmomChords

DEMO_SONGS = Path(__file__).parents[3] / "examples" / "songs"


class TestMadmom(AnalyzerContract):
    component = "madmom"


class TestMadmomChords(AnalyzerContract):
    component = "madmom-chords"


@pytest.fixture(scope="module")
def analyzer() -> MadmomAnalyzer:
    return MadmomAnalyzer()


@pytest.fixture(scope="module")
def drums() -> tuple[Audio, Analysis]:
    """Drums at times that fall between the network's frames."""
    stems, truth = signals.band(tempo=123.7, bars=6, first_downbeat=0.2537)
    return stems.stems["drums"], truth


@pytest.fixture(scope="module")
def found(analyzer: MadmomAnalyzer, drums: tuple[Audio, Analysis]) -> Analysis:
    return analyzer.analyze(drums[0])


def times(found: Times | None) -> Times:
    assert found is not None
    return found


# -------------------------------------------------------------------------------------------------- the backend
def test_the_finder_is_gone_after_the_import() -> None:
    assert not [finder for finder in sys.meta_path if type(finder).__module__ == backend.__name__]
    installed = {(one.metadata["Name"] or "").lower() for one in importlib.metadata.distributions()}
    if "madmom" not in installed:
        with pytest.raises(importlib.metadata.PackageNotFoundError):
            importlib.metadata.distribution("madmom")


def test_the_import_warns_of_nothing() -> None:
    command = [sys.executable, "-W", "error", "-c", "import mashkit_madmom.analyzer"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_listing_the_plugin_does_not_import_madmom() -> None:
    code = "import sys; from mashkit.registry import Registry; Registry(); print('madmom' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"


def test_weights_are_the_files_in_use(analyzer: MadmomAnalyzer) -> None:
    weights = analyzer.weights()
    paths = {Path(path).name: Path(path) for path in (*backend.KEY_CNN, *backend.DOWNBEATS_BLSTM)}
    assert set(weights) == {"key_cnn.pkl", *(f"downbeats_blstm_{index}.pkl" for index in range(1, 9))}
    for name, digest in weights.items():
        assert hashlib.sha256(paths[name].read_bytes()).hexdigest() == digest


# ------------------------------------------------------------------------------- golden: madmom's own processors
def as_signal(audio: Audio) -> object:
    return backend.Signal(np.round(audio.mono() * 32_767).astype(np.int16), 44_100)


def test_beat_network_is_madmoms() -> None:
    signal = as_signal(signals.mix(signals.band(bars=1)[0]))
    assert networks.beat_network()(signal) == pytest.approx(backend.RNNDownBeatProcessor()(signal), abs=2e-5)


def test_key_network_and_answer_are_madmoms(analyzer: MadmomAnalyzer) -> None:
    audio = signals.chord_progression(Key(10, "minor"), seconds=2.87)
    loud = Audio(audio.samples / np.max(np.abs(audio.mono())), audio.sample_rate)
    golden = backend.CNNKeyRecognitionProcessor()(as_signal(loud))
    assert networks.key_network()(as_signal(loud)) == pytest.approx(golden, abs=1e-5)
    analysis = analyzer.analyze(audio)
    assert analysis.key == Key.parse(backend.KEY_LABELS[int(golden.argmax())])
    assert analysis.confidence["key"] == pytest.approx(golden.max(), abs=1e-4)


@pytest.mark.filterwarnings("ignore:Passing more than 2 positional")  # madmom's own
def test_chord_features_and_chords_are_madmoms(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = as_signal(signals.mix(signals.band(Key(7, "minor"), bars=3)[0]))
    golden = backend.CNNChordFeatureProcessor()(signal)
    chords = backend.CRFChordRecognitionProcessor()(golden)
    network = networks.ChordNetwork()
    assert network.features(signal) == pytest.approx(golden, abs=1e-5)
    numbers = network(signal)
    monkeypatch.setattr(networks, "CHORD_BLOCK", 17)  # 61 frames in several blocks
    assert network.features(signal) == pytest.approx(golden, abs=1e-5)
    for start, _, label in chords:
        assert chord_tones(LABELS[numbers[round(start * 10)]]) == chord_tones(label)


@pytest.mark.parametrize("cents", [-45.0, 40.0])
def test_chords_of_music_off_concert_pitch(cents: float) -> None:
    stems, truth = signals.band(Key(2, "major"), bars=4)
    mix = signals.retuned(signals.mix(stems), cents)
    found = MadmomChords().analyze(mix).chords
    assert found is not None
    assert truth.chords is not None
    middles = truth.chords.intervals.mean(axis=1) * mix.duration / signals.mix(stems).duration
    assert [chord_tones(label) for label in found.at(middles)] == [chord_tones(label) for label in truth.chords.labels]


def test_chords_change_when_they_do_in_a_long_song_off_concert_pitch() -> None:
    bars = signals.chord_progression(seconds=2.0)
    mix = Audio(np.tile(bars.samples, 16), bars.sample_rate)
    in_tune, flat = (MadmomChords().analyze(one).chords for one in (mix, signals.retuned(mix, -45.0)))
    assert in_tune is not None
    assert flat is not None
    slower = signals.retuned(mix, -45.0).duration / mix.duration
    middles = in_tune.intervals.mean(axis=1)
    assert len(middles) > 20
    assert flat.at(middles * slower) == in_tune.at(middles)
    # At the end of the song, too, a chord begins where it begins in tune.
    assert abs(flat.intervals[-1, 0] - in_tune.intervals[-1, 0] * slower) < 0.3


def test_chords_are_asked_for_by_name() -> None:
    mix = signals.mix(signals.band(bars=4)[0])
    analyzer = Registry().create("analyzer", "key:madmom,beats:madmom,chords:madmom-chords")
    found = analyzer.analyze(mix)
    assert found.chords == MadmomChords().analyze(mix).chords
    assert found.beats is not None
    assert MadmomAnalyzer().analyze(mix).chords is None


def test_the_shortest_mix_that_is_analysed(analyzer: MadmomAnalyzer) -> None:
    tone = signals.chord_progression(seconds=2.0)
    assert analyzer.analyze(tone).key is not None
    shorter = analyzer.analyze(tone.excerpt(0.0, 1.99))  # its tuning is measured by mashkit, of a second or more
    assert attrs.evolve(shorter, tuning=None, confidence={}) == Analysis()


def test_unrefined_beats_are_what_madmom_says() -> None:
    audio = signals.mix(signals.band(tempo=131.0, bars=2)[0])
    loud = Audio(audio.samples / np.max(np.abs(audio.mono())), audio.sample_rate)
    activation = backend.RNNDownBeatProcessor()(as_signal(loud))
    golden = backend.DBNDownBeatTrackingProcessor(beats_per_bar=[3, 4], fps=100)(activation)
    analysis = MadmomAnalyzer(refine=False).analyze(audio)
    assert times(analysis.beats) == pytest.approx(golden[:, 0])
    assert times(analysis.downbeats) == pytest.approx(golden[golden[:, 1] == 1, 0])


# ----------------------------------------------------------------------------------------- metamorphic relations
@pytest.mark.parametrize("gain_db", [-20.0, 12.0])
def test_gain_changes_nothing(
    analyzer: MadmomAnalyzer, drums: tuple[Audio, Analysis], found: Analysis, gain_db: float
) -> None:
    scaled = analyzer.analyze(Audio(drums[0].samples * np.float32(10 ** (gain_db / 20)), drums[0].sample_rate))
    assert scaled.key == found.key
    # The scaled samples are rounded differently to 16 bits: the curve the beats are read from moves by a hair.
    assert times(scaled.beats) == pytest.approx(times(found.beats), abs=5e-4)
    assert np.array_equal(np.isin(times(scaled.beats), times(scaled.downbeats)),
                          np.isin(times(found.beats), times(found.downbeats)))  # fmt: skip


# ------------------------------------------------------------------------------------------------- beats and bars
def test_beats_between_frames_are_found_there(drums: tuple[Audio, Analysis], found: Analysis) -> None:
    truth = times(drums[1].beats)
    spread, by_frame = (
        np.std(beat_error(times(analysis.beats), truth))
        for analysis in (found, MadmomAnalyzer(refine=False).analyze(drums[0]))
    )
    assert spread < 0.75 * by_frame


def test_tempo_is_not_rounded_to_frames(drums: tuple[Audio, Analysis], found: Analysis) -> None:
    assert found.tempo == pytest.approx(drums[1].tempo, rel=1e-3)  # a frame of a beat would be 2 %


def test_candidates_hold_the_tempo_and_descend(drums: tuple[Audio, Analysis], found: Analysis) -> None:
    strengths = [strength for _, strength in found.tempo_candidates]
    assert strengths == sorted(strengths, reverse=True)
    assert min(abs(bpm / 123.7 - 1) for bpm, _ in found.tempo_candidates) < 0.04


@pytest.mark.parametrize("length", [3, 4])
def test_bars_have_the_length_asked_for(drums: tuple[Audio, Analysis], length: int) -> None:
    analysis = MadmomAnalyzer(beats_per_bar=length).analyze(drums[0])
    positions = np.searchsorted(times(analysis.beats), times(analysis.downbeats))
    assert set(np.diff(positions)) == {length}


def test_downbeats_are_beats_and_confidences_probabilities(found: Analysis) -> None:
    assert np.isin(times(found.downbeats), times(found.beats)).all()
    assert set(found.confidence) == {"key", "beats", "downbeats", "metre"}
    assert all(0 <= value <= 1 for value in found.confidence.values())


def test_tempo_range_is_kept(drums: tuple[Audio, Analysis]) -> None:
    slow = MadmomAnalyzer(min_bpm=55, max_bpm=90).analyze(drums[0])
    assert slow.tempo is not None
    assert 50 < slow.tempo < 95
    assert slow.tempo_candidates
    assert all(54 < bpm < 91 for bpm, _ in slow.tempo_candidates)


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_what_sums_to_silence_is_heard_as_one_channel(analyzer: MadmomAnalyzer, rate: int) -> None:
    tone = signals.tone(220.0, 3.0, sample_rate=rate).samples
    assert analyzer.analyze(Audio(np.concatenate([tone, -tone]), rate)) == analyzer.analyze(Audio(tone, rate))


def test_noise_floor_has_no_answer(analyzer: MadmomAnalyzer) -> None:
    assert analyzer.analyze(Audio(signals.noise(3.0).samples * np.float32(1e-4), 44_100)) == Analysis()


@pytest.mark.parametrize(
    "options",
    [
        {"beats_per_bar": ()},
        {"beats_per_bar": (0, 4)},
        {"beats_per_bar": 1},
        {"beats_per_bar": True},
        {"beats_per_bar": (True, 4)},
        {"beats_per_bar": (3.5,)},
        {"min_bpm": 10},
        {"max_bpm": 500},
        {"min_bpm": 120, "max_bpm": 100},
        {"refine": "yes"},
        {"beat_per_bar": (4,)},
    ],
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Registry().create("analyzer", "madmom", options)


# ------------------------------------------------------------------------------------------------------ real music
@pytest.mark.slow
@pytest.mark.parametrize(
    "slug",
    ["glass-elevator", "harbour-lights", "mango-season", "pocket-change", "satellite-letters", "slow-river"],
)
def test_demo_song(analyzer: MadmomAnalyzer, slug: str) -> None:
    if not DEMO_SONGS.is_dir():
        pytest.skip("the demo songs are not beside this plugin")
    labels = json.loads((DEMO_SONGS / f"{slug}.json").read_text(encoding="utf-8"))
    analysis = analyzer.analyze(load(DEMO_SONGS / f"{slug}.ogg"))
    assert analysis.key == Key.parse(labels["key"])
    assert analysis.tempo == pytest.approx(labels["tempo"], rel=5e-4)
    beats, truth = times(analysis.beats), np.array(labels["beats"])
    assert mir_eval.beat.f_measure(truth, beats) > 0.97
    assert mir_eval.beat.f_measure(np.array(labels["downbeats"]), times(analysis.downbeats)) > 0.9
    error = beat_error(beats[(beats > 0.2) & (beats < truth[-1])], truth)
    assert np.percentile(np.abs(error), 95) < 0.012


@pytest.mark.songs
@pytest.mark.parametrize("name", ["Hendrix", "Reggae"])
def test_multitrack_with_labelled_beats(analyzer: MadmomAnalyzer, shared_data: Path, name: str) -> None:
    # The labels of these two lie on madmom's frames: they were corrected by hand from its beats. So this says that
    # we call it rightly, not how good it is.
    folder = shared_data / "multitracks" / f"MusicDelta - {name}"
    labels = np.loadtxt(folder / "mixture.beats")
    analysis = analyzer.analyze(load(folder / "mixture.flac"))
    assert mir_eval.beat.f_measure(labels[:, 0], times(analysis.beats)) > 0.98


@pytest.mark.songs
@pytest.mark.slow
@pytest.mark.parametrize("name", ["Caesium", "Francium", "Hydrogen", "Lithium", "Potassium"])
def test_multitrack_with_published_tempo(analyzer: MadmomAnalyzer, shared_data: Path, name: str) -> None:
    folder = shared_data / "multitracks" / f"Software-Entwicklungskit - {name}"
    published = json.loads((folder / "song.json").read_text(encoding="utf-8"))["bpm"]
    # One rate for all: the stems of one song come at 24 and 48 kHz.
    stems = [load(path, sample_rate=48_000).excerpt(40.0, 60.0) for path in sorted(folder.glob("*.opus"))]
    mix = Audio(np.sum([stem.samples for stem in stems], axis=0, dtype=np.float32), 48_000)
    tempo = analyzer.analyze(mix).tempo
    assert tempo is not None
    octaves = np.log2(tempo / published)
    assert abs(octaves - round(octaves)) < 0.003


# ------------------------------------------------------------------------------------------------------------ weights
def test_the_files_madmom_reads_are_those_that_are_listed() -> None:
    read = {str(Path(path).resolve()) for path in (*backend.KEY_CNN, *backend.DOWNBEATS_BLSTM)}
    assert {str(one.location().resolve()) for one in WEIGHTS if one.location()} == read
    assert {status(one) for one in WEIGHTS} == {"ok"}
    digests = {Path(one.path).name: one.sha256 for one in WEIGHTS}
    assert MadmomAnalyzer().weights() == digests


def test_the_chord_files_are_those_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    read = {str(Path(path).resolve()) for path in (*backend.CHORDS_CNN_FEAT, *backend.CHORDS_CFCRF)}
    assert {str(one.location().resolve()) for one in CHORD_WEIGHTS if one.location()} == read
    assert MadmomChords().weights() == {Path(one.path).name: one.sha256 for one in CHORD_WEIGHTS}
    monkeypatch.setattr(networks, "CHORD_WEIGHTS", tuple(attrs.evolve(one, sha256="0" * 64) for one in CHORD_WEIGHTS))
    with pytest.raises(ModelError, match="damaged"):
        networks.ChordNetwork()


@pytest.mark.parametrize("model", ["key", "beats"])
def test_a_network_that_is_another_is_not_unpickled(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(attrs.evolve(one, sha256="0" * 64) if one.model == model else one for one in WEIGHTS)
    monkeypatch.setattr(networks, "WEIGHTS", others)
    load = networks.key_network if model == "key" else networks.beat_network
    with pytest.raises(ModelError, match="damaged"):
        load()
