"""The stretcher benchmark measures what is really wrong with a stretcher: known faults come out as known numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar, cast

import attrs
import numpy as np
import pytest

from mashkit.audio.files import save
from mashkit.bench import sounds
from mashkit.bench.sounds import Case
from mashkit.bench.stretchers import StretcherTask, excerpt
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, NotProvided
from mashkit.components import ComponentInfo
from mashkit.interfaces import Stretcher
from mashkit.registry import Registry
from mashkit.testing import signals
from mashkit.types import Audio

TASK = StretcherTask()
SETTINGS = {"speeds": [0.9], "shifts": [3], "excerpt_s": 2, "seed": 1}
INFO = ComponentInfo(
    name="faulty",
    target="nowhere:Faulty",
    summary="a good one with a fault",
    provides={"speed", "semitones"},
    code_license="MIT",
)


@attrs.define(kw_only=True, eq=False)
class Faulty(Stretcher):
    """A good stretcher with faults of a known size."""

    info: ClassVar[ComponentInfo] = INFO
    late_ms: float = 0.0
    cents: float = 0.0
    leak: float = 0.0
    smear_ms: float = 0.0
    frames_off: int = 0
    inner: Stretcher = attrs.field(factory=lambda: cast("Stretcher", Registry().create("stretcher", "signalsmith")))

    def _stretch(self, audio: Audio, *, speed: float, semitones: float, frames: int) -> Audio:
        samples = self.inner.stretch(audio, speed=speed, semitones=semitones + self.cents / 100).samples
        late = round(self.late_ms / 1000 * audio.sample_rate)
        samples = np.pad(samples, ((0, 0), (late, 0)))[:, : frames + self.frames_off]
        if self.leak:
            samples = samples + self.leak * samples[::-1]
        if self.smear_ms:
            before = round(self.smear_ms / 1000 * audio.sample_rate)
            samples = samples + 0.5 * np.pad(samples, ((0, 0), (0, before)))[:, before:]
        return Audio(samples, audio.sample_rate)


def given(measure: str, *, speed: float = 1.0, semitones: float = 0.0, **more: object) -> Input:
    return Input(name=measure, measure=measure, parameters={"speed": speed, "semitones": semitones, **more})


@pytest.fixture(scope="module")
def good() -> Faulty:
    return Faulty()


@pytest.mark.plugins
def test_a_late_stretcher_is_measured_late(good: Faulty) -> None:
    clicks = given("clicks", speed=0.9)
    fine, late = TASK.measure(good, clicks), TASK.measure(Faulty(late_ms=7.0), clicks)
    assert abs(fine["mean_late_ms"]) < 0.5
    assert late["mean_late_ms"] - fine["mean_late_ms"] == pytest.approx(7.0, abs=0.1)
    assert late["median_ms"] == pytest.approx(7.0, abs=0.5)


@pytest.mark.plugins
def test_a_detuned_stretcher_is_measured_detuned() -> None:
    # A phase vocoder: of all stretchers the one that does not move a pure tone by a cent.
    exact = cast("Stretcher", Registry().create("stretcher", "librosa"))
    pitch = given("pitch", speed=0.9)
    fine = TASK.measure(Faulty(inner=exact), pitch)
    sharp = TASK.measure(Faulty(inner=exact, cents=20.0), pitch)
    assert fine["max_cents"] < 0.5
    for name in fine:
        assert sharp[name] == pytest.approx(20.0, abs=0.5)


@pytest.mark.plugins
def test_a_leak_between_the_channels_is_found(good: Faulty) -> None:
    panned = given("stereo panned", speed=0.9, seed=1)
    assert TASK.measure(good, panned)["leak_db"] == sounds.QUIETEST_DB
    assert TASK.measure(Faulty(leak=0.1), panned)["leak_db"] == pytest.approx(-20.0, abs=0.1)


@pytest.mark.plugins
def test_a_collapsing_image_is_found(good: Faulty) -> None:
    wide = given("stereo wide", speed=0.9, seed=1)
    assert TASK.measure(good, wide)["correlation_error"] < 0.02
    # l + k·r and r + k·l, l and r correlated by 0.5 and equally loud: (0.5 + 2k + 0.5 k²) / (1 + k + k²).
    due = (0.5 + 0.4 + 0.02) / (1 + 0.2 + 0.04) - 0.5
    assert TASK.measure(Faulty(leak=0.2), wide)["correlation_error"] == pytest.approx(due, abs=0.02)


@pytest.mark.plugins
@pytest.mark.parametrize("sound", sorted(sounds.HITS))
def test_an_echo_before_the_attack_is_found(good: Faulty, sound: str) -> None:
    attacks = given(f"attacks of {sound}", semitones=3.0, sound=sound)
    echo = Faulty(smear_ms=15.0)
    assert TASK.measure(echo, attacks)["pre_echo_db"] > TASK.measure(good, attacks)["pre_echo_db"] + 5


@pytest.mark.plugins
def test_lateness_is_not_smearing(good: Faulty) -> None:
    attacks = given("attacks of kicks", speed=1.1, sound="kicks")
    fine, late = TASK.measure(good, attacks), TASK.measure(Faulty(late_ms=7.0), attacks)
    assert late["late_ms"] - fine["late_ms"] == pytest.approx(7.0, abs=0.1)
    assert late["pre_echo_db"] == pytest.approx(fine["pre_echo_db"], abs=1.0)
    assert late["attack_ms"] == pytest.approx(fine["attack_ms"], abs=0.2)


@pytest.mark.plugins
def test_wrong_lengths_are_counted(good: Faulty) -> None:
    lengths = Input(name="lengths", measure="lengths", parameters={"speeds": [0.9, 1.1], "shifts": [3.0]})
    assert TASK.measure(good, lengths) == {"inexact": 0.0, "cases": 16.0}
    assert TASK.measure(Faulty(frames_off=-1), lengths)["inexact"] == 16.0


@pytest.mark.plugins
@pytest.mark.parametrize("sound", sorted(sounds.TRUTHS))
def test_the_further_from_the_truth_the_greater_the_distance(good: Faulty, sound: str) -> None:
    truth = given(f"{sound} against truth", speed=0.9, sound=sound, seed=1)
    fine, off, further = (
        TASK.measure(one, truth)["distance_db"] for one in (good, Faulty(cents=10.0), Faulty(cents=40.0))
    )
    assert fine < off < further


@pytest.mark.plugins
def test_time_maps_are_asked_of_those_that_follow_them(good: Faulty) -> None:
    on_a_map = given("clicks on a map")
    with pytest.raises(NotProvided, match="follows no time map"):
        TASK.measure(good, on_a_map)
    assert TASK.measure(good.inner, on_a_map)["max_ms"] < 10


@pytest.mark.plugins
def test_cost_counts_cpu_seconds(good: Faulty) -> None:
    cost = TASK.measure(good, given("cost", speed=0.93, semitones=-2.0, seed=1))
    assert cost["seconds"] == 30.25
    assert cost["realtime"] > 1


@pytest.mark.plugins
def test_there_and_back(good: Faulty, tmp_path: Path) -> None:
    stems, _ = signals.band(bars=4)
    path = save(tmp_path / "multitracks" / "Acme" / "drums.flac", stems.stems["drums"])
    settings = {**SETTINGS, "songs": ["Acme", "Nobody"], "stems": ["drums"]}
    inputs = [one for one in TASK.inputs(settings, tmp_path) if one.measure == "there and back"]
    assert [one.missing == "" for one in inputs] == [True, True, False, False]
    assert "no drums stem of Nobody" in inputs[2].missing
    assert str(tmp_path) not in inputs[2].missing  # because results are passed on
    assert inputs[0].files == (path,)
    there = TASK.measure(good, inputs[0])
    assert 0.9 < there["onset_correlation"] <= 1
    assert 0 < there["distance_db"] < TASK.measure(Faulty(smear_ms=15.0), inputs[0])["distance_db"]


def test_without_recordings_their_inputs_are_missing_and_the_rest_is_there() -> None:
    inputs = TASK.inputs({**SETTINGS, "songs": ["Acme"], "stems": ["drums"]}, None)
    assert {one.measure for one in inputs if one.missing} == {"there and back"}
    assert all("collection 'multitracks' is not here: no --data (" in one.missing for one in inputs if one.missing)
    assert len({one.name for one in inputs}) == len(inputs)


def test_songs_are_named_by_a_list_or_by_text_with_commas() -> None:
    def named(songs: object) -> set[str]:
        inputs = TASK.inputs({**SETTINGS, "songs": songs, "stems": "drums"}, None)
        return {one.name.partition(":")[0] for one in inputs if one.measure == "there and back"}

    assert named("anna") == {"anna, drums"}
    assert named("anna, otto") == named(["anna", "otto"]) == {"anna, drums", "otto, drums"}


def test_settings_that_make_no_sense_are_named() -> None:
    with pytest.raises(SuiteError, match="is not a list of numbers"):
        TASK.inputs({**SETTINGS, "speeds": []}, None)
    for name, wrong in [
        *(("speeds", [one]) for one in (0.0, -1.0, math.inf, math.nan, True, "0.9", 10**400)),
        *(("shifts", [one]) for one in (math.inf, False, "1")),
        ("speeds", "0.9"), ("excerpt_s", 0), ("excerpt_s", math.inf), ("return_speed", 0), ("return_speed", "inf"),
        ("songs", [1]),
    ]:  # fmt: skip
        with pytest.raises(SuiteError, match="a value that does not fit"):
            TASK.inputs({**SETTINGS, name: wrong}, None)
    with pytest.raises(SuiteError, match="no 'shifts'"):
        TASK.inputs({"speeds": [0.9]}, None)
    with pytest.raises(SuiteError, match="did you mean 'stems'"):
        TASK.inputs({**SETTINGS, "stem": ["drums"]}, None)


def test_a_changed_recording_is_another_input(tmp_path: Path) -> None:
    path = save(tmp_path / "one.flac", signals.tone(440, 1))
    whole = Input(name="x", measure="there and back", files=(path,))
    before = whole.digest()
    assert before == attrs.evolve(whole).digest()
    save(path, signals.tone(441, 1))
    assert whole.digest() != before


# ------------------------------------------------------------------------------------------------------ the measures
def test_the_loudest_part_is_found(tmp_path: Path) -> None:
    quiet, loud = signals.tone(440, 7).samples * np.float32(0.1), signals.tone(880, 3).samples
    path = save(tmp_path / "x.flac", Audio(np.concatenate([quiet, loud, quiet], axis=1), signals.SAMPLE_RATE))
    assert sounds.frequency_of(excerpt(path, 3.0)) == pytest.approx(880, abs=0.01)
    assert excerpt(path, 60.0).duration == pytest.approx(17.0)


@pytest.mark.parametrize("frequency", [92.5, 440.0, 3567.6])
def test_frequency_to_a_hundredth_of_a_cent(frequency: float) -> None:
    heard = sounds.frequency_of(signals.tone(frequency, 4.0))
    assert abs(1200 * np.log2(heard / frequency)) < 0.01


def test_a_quiet_tone_is_found_near_its_place() -> None:
    loud, quiet = signals.tone(880, 2.0).samples, signals.tone(441, 2.0).samples * np.float32(0.001)
    both = Audio(loud + quiet, signals.SAMPLE_RATE)
    assert sounds.frequency_of(both) == pytest.approx(880, abs=0.01)
    assert sounds.frequency_of(both, near=440) == pytest.approx(441, abs=0.05)


def test_pre_echo_of_a_known_size() -> None:
    samples = np.zeros((1, 44_100), np.float32)
    samples[:, 22_050:22_950] = 0.5
    samples[:, 21_600:22_050] = 0.05  # half as long, a tenth as high: −23 dB
    (ratio,) = sounds.pre_echo_db(Audio(samples, 44_100), np.array([0.5]))
    assert ratio == pytest.approx(10 * np.log10(0.01 * 450 / 882), abs=0.05)


def test_attack_of_a_known_length() -> None:
    time = np.arange(44_100) / 44_100
    ramp = np.clip((time - 0.5) / 0.020, 0, 1)  # 20 ms: from 10 to 90 % in 16
    audio = Audio((0.5 * ramp * np.sin(2 * np.pi * 3000 * time))[None], 44_100)
    (length,) = sounds.attack_times(audio, np.array([0.51]))
    assert length == pytest.approx(0.016, abs=0.001)


def test_distance_knows_no_gain() -> None:
    chords = sounds.chords(sounds.AS_IS, 1)
    assert sounds.log_spectral_distance(chords, chords) == 0
    louder = Audio(chords.samples * np.float32(2), chords.sample_rate)
    assert sounds.log_spectral_distance(chords, louder) < 0.01


def test_distance_of_a_known_size() -> None:
    noise = signals.noise(4.0, channels=1).samples[0]
    spectrum = np.fft.rfft(noise)
    spectrum[: len(spectrum) // 4] *= 2  # 6 dB up to 5.5 kHz: what is left when the gain is evened out
    other = Audio(np.fft.irfft(spectrum)[None], signals.SAMPLE_RATE)
    low, high = 1024 * 0.5, (16_000 - 5512) / 44_100 * 4096  # bins below and above the step
    power = (4 * (5512 - 50) + 16_000 - 5512) / (16_000 - 50)
    up, down = 20 * np.log10(2) - 10 * np.log10(power), -10 * np.log10(power)
    due = np.sqrt((low * up**2 + high * down**2) / (low + high))
    measured = sounds.log_spectral_distance(Audio(noise[None], signals.SAMPLE_RATE), other)
    assert measured == pytest.approx(due, rel=0.05)


def test_sounds_are_those_of_their_case() -> None:
    for make in sounds.TRUTHS.values():
        plain, other = make(sounds.AS_IS, 1), make(Case(1.25, 12.0), 1)
        assert other.duration == pytest.approx(plain.duration / 1.25, abs=0.001)
    plain, up = (sounds.chords(Case(1.0, shift), 1).excerpt(0.2, 1.6) for shift in (0.0, 12.0))
    assert sounds.frequency_of(up) == pytest.approx(2 * sounds.frequency_of(plain), rel=1e-4)
    assert np.corrcoef(*sounds.wide(1).samples)[0, 1] == pytest.approx(0.5, abs=0.01)


def test_a_case_reads_well() -> None:
    assert [str(Case(0.9, 0.0)), str(Case(1.0, -3.0)), str(Case(0.93, 2.0))] == [
        "speed 0.9", "−3 semitones", "speed 0.93 +2 semitones"
    ]  # fmt: skip
