"""The essentia analyzer keeps its contract; its answers are essentia's, and move as the music does."""

import json
import subprocess
import sys
from pathlib import Path

import mir_eval
import numpy as np
import pytest

from mashkit.audio.files import load
from mashkit.errors import OptionError
from mashkit.registry import Registry
from mashkit.testing import AnalyzerContract, signals
from mashkit.timing.beats import tempo_of_beats
from mashkit.types import Analysis, Audio, Key, Times
from mashkit_essentia import backend
from mashkit_essentia.analyzer import PROFILES, SAME_TEMPO, EssentiaAnalyzer

DEMO_SONGS = Path(__file__).parents[3] / "examples" / "songs"


class TestEssentia(AnalyzerContract):
    component = "essentia"


@pytest.mark.slow
class TestEssentiaDegara(AnalyzerContract):
    component = "essentia"
    options = {"method": "degara", "profile": "edma"}  # noqa: RUF012 — the contract reads it, nobody writes it


@pytest.fixture(scope="module")
def analyzer() -> EssentiaAnalyzer:
    return EssentiaAnalyzer()


@pytest.fixture(scope="module")
def band() -> tuple[Audio, Analysis]:
    stems, truth = signals.band(Key(4, "minor"), tempo=118.0, bars=10)
    return signals.mix(stems), truth


@pytest.fixture(scope="module")
def found(analyzer: EssentiaAnalyzer, band: tuple[Audio, Analysis]) -> Analysis:
    return analyzer.analyze(band[0])


def times(found: Times | None) -> Times:
    assert found is not None
    return found


# -------------------------------------------------------------------------------------------------- the backend
def test_nothing_is_written_to_the_terminal() -> None:
    # The first analyzer is dropped: algorithms dropped with it would make the second write a line for every frame.
    code = (
        "from mashkit_essentia.analyzer import EssentiaAnalyzer\n"
        "from mashkit.testing import signals\n"
        "clicks = signals.click_train(signals.click_times(6.0, 120.0), 6.0)\n"
        "EssentiaAnalyzer(method='degara').analyze(clicks)\n"
        "EssentiaAnalyzer(profile='edma').analyze(clicks)\n"
    )
    finished = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_the_log_is_as_it_was() -> None:
    log = backend.essentia.log
    for shown in (True, False):
        before, log.infoActive = log.infoActive, shown
        try:
            with backend.quiet():
                assert not log.infoActive
            assert log.infoActive is shown
        finally:
            log.infoActive = before


def test_listing_the_plugin_does_not_import_essentia() -> None:
    code = "import sys; from mashkit.registry import Registry; Registry(); print('essentia' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"


def test_what_was_analysed_before_leaves_no_trace(
    analyzer: EssentiaAnalyzer, band: tuple[Audio, Analysis], found: Analysis
) -> None:
    other = signals.click_train(signals.click_times(10.0, 87.0), 10.0)
    assert analyzer.analyze(other).tempo == pytest.approx(87.0, rel=0.01)
    assert analyzer.analyze(band[0]) == found


# ------------------------------------------------------------------------------------------------------- golden
def test_key_and_beats_are_what_essentia_says(band: tuple[Audio, Analysis], found: Analysis) -> None:
    mono = band[0].mono() / np.max(np.abs(band[0].mono()))
    with backend.quiet():
        tonic, mode, strength = backend.standard.KeyExtractor(profileType="bgate")(mono)
        bpm, ticks, confidence, _, _ = backend.standard.RhythmExtractor2013(method="multifeature")(mono)
    assert found.key == Key.parse(f"{tonic} {mode}")
    said = {name: value for name, value in found.confidence.items() if name != "tuning"}  # which mashkit measures
    assert said == pytest.approx({"key": strength, "beats": confidence / 5.32})
    assert times(found.beats) == pytest.approx(ticks)
    assert found.tempo == tempo_of_beats(ticks.astype(float))
    assert found.tempo == pytest.approx(bpm, rel=0.02)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("mode", ["major", "minor"])
def test_every_profile_works(profile: str, mode: str) -> None:
    analyzer = EssentiaAnalyzer(profile=profile, method="degara")
    key = Key(2, "major" if mode == "major" else "minor")
    analysis = analyzer.analyze(signals.chord_progression(key, seconds=4.0))
    assert analysis.key is not None


# ----------------------------------------------------------------------------------------- metamorphic relations
@pytest.mark.parametrize("gain", [2.0**-7, 8.0])
def test_gain_changes_nothing(
    analyzer: EssentiaAnalyzer, band: tuple[Audio, Analysis], found: Analysis, gain: float
) -> None:
    # By powers of two, which float32 scales without rounding: the answers are then equal to the bit.
    assert analyzer.analyze(Audio(band[0].samples * np.float32(gain), band[0].sample_rate)) == found


# ---------------------------------------------------------------------------------------------- tempo and silence
def test_candidates_hold_the_tempo_and_descend(band: tuple[Audio, Analysis], found: Analysis) -> None:
    strengths = [strength for _, strength in found.tempo_candidates]
    assert strengths == sorted(strengths, reverse=True)
    assert sum(strengths) == pytest.approx(1.0)
    assert min(abs(bpm / 118.0 - 1) for bpm, _ in found.tempo_candidates) < 0.04


def test_degara_gives_no_confidence_of_its_beats(band: tuple[Audio, Analysis]) -> None:
    assert set(EssentiaAnalyzer(method="degara").analyze(band[0]).confidence) - {"tuning"} == {"key"}


def test_tempo_range_is_kept(band: tuple[Audio, Analysis]) -> None:
    slow = EssentiaAnalyzer(min_bpm=40, max_bpm=80, method="degara").analyze(band[0])
    assert slow.tempo is not None
    assert slow.tempo < 85


@pytest.mark.parametrize(("slowest", "fastest"), [(40, 60), (40, 80), (90, 150), (170, 200)])
def test_candidates_besides_the_tempo_lie_in_its_range(
    band: tuple[Audio, Analysis], slowest: int, fastest: int
) -> None:
    found = EssentiaAnalyzer(min_bpm=slowest, max_bpm=fastest).analyze(band[0])
    assert found.tempo is not None
    others = [bpm for bpm, _ in found.tempo_candidates if abs(bpm / found.tempo - 1) > SAME_TEMPO]
    assert all(slowest - 1 < bpm < fastest + 1 for bpm in others), found.tempo_candidates
    assert sum(strength for _, strength in found.tempo_candidates) == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_what_sums_to_silence_is_heard_as_one_channel(analyzer: EssentiaAnalyzer, rate: int) -> None:
    tone = signals.tone(220.0, 3.0, sample_rate=rate).samples
    assert analyzer.analyze(Audio(np.concatenate([tone, -tone]), rate)) == analyzer.analyze(Audio(tone, rate))


def test_noise_floor_has_no_answer(analyzer: EssentiaAnalyzer) -> None:
    assert analyzer.analyze(Audio(signals.noise(3.0).samples * np.float32(1e-4), 44_100)) == Analysis()


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "weichai"},
        {"method": "none"},
        {"min_bpm": 30},
        {"max_bpm": 300},
        {"min_bpm": 120, "max_bpm": 100},
        {"min_bpm": 120, "max_bpm": 139},
        {"min_bpm": 60.5},
        {"metod": "degara"},
    ],
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Registry().create("analyzer", "essentia", options)


# ------------------------------------------------------------------------------------------------------ real music
@pytest.mark.parametrize(
    "slug",
    [
        "glass-elevator",
        *(
            pytest.param(slug, marks=pytest.mark.slow)
            for slug in ("harbour-lights", "mango-season", "pocket-change", "satellite-letters", "slow-river")
        ),
    ],
)
def test_demo_song(analyzer: EssentiaAnalyzer, slug: str) -> None:
    if not DEMO_SONGS.is_dir():
        pytest.skip("the demo songs are not beside this plugin")
    labels = json.loads((DEMO_SONGS / f"{slug}.json").read_text(encoding="utf-8"))
    analysis = analyzer.analyze(load(DEMO_SONGS / f"{slug}.ogg"))
    assert analysis.key == Key.parse(labels["key"])
    assert analysis.tempo == pytest.approx(labels["tempo"], rel=1e-3)
    truth = np.array(labels["beats"])
    # Of glass-elevator it finds the off-beats; that is what "allowed metrical levels" allows.
    assert mir_eval.beat.continuity(truth, times(analysis.beats))[3] > 0.85


@pytest.mark.songs
@pytest.mark.parametrize("name", ["Hendrix", "Reggae"])
def test_multitrack_with_labelled_beats(analyzer: EssentiaAnalyzer, shared_data: Path, name: str) -> None:
    folder = shared_data / "multitracks" / f"MusicDelta - {name}"
    labels = np.loadtxt(folder / "mixture.beats")
    analysis = analyzer.analyze(load(folder / "mixture.flac"))
    assert mir_eval.beat.f_measure(labels[:, 0], times(analysis.beats)) > 0.9


@pytest.mark.songs
@pytest.mark.slow
@pytest.mark.parametrize("name", ["Caesium", "Francium", "Hydrogen", "Lithium", "Potassium"])
def test_multitrack_with_published_tempo(analyzer: EssentiaAnalyzer, shared_data: Path, name: str) -> None:
    folder = shared_data / "multitracks" / f"Software-Entwicklungskit - {name}"
    published = json.loads((folder / "song.json").read_text(encoding="utf-8"))["bpm"]
    # One rate for all: the stems of one song come at 24 and 48 kHz.
    stems = [load(path, sample_rate=48_000).excerpt(40.0, 60.0) for path in sorted(folder.glob("*.opus"))]
    mix = Audio(np.sum([stem.samples for stem in stems], axis=0, dtype=np.float32), 48_000)
    tempo = analyzer.analyze(mix).tempo
    assert tempo is not None
    octaves = np.log2(tempo / published)
    assert abs(octaves - round(octaves)) < 0.015
