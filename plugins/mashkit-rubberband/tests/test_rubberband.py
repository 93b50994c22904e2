"""The rubberband stretcher keeps its contract, its beat and its pitch, and loses nothing to the 16-bit files."""

import itertools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mashkit.errors import ComponentUnavailable, OptionError
from mashkit.registry import Registry
from mashkit.testing import StretcherContract, signals
from mashkit.testing.contracts.stretcher import map_errors
from mashkit.types import Audio
from mashkit.types.timemap import TimeMap
from mashkit_rubberband.stretcher import RubberbandStretcher, _hop, program_version

needs_program = pytest.mark.skipif(shutil.which("rubberband") is None, reason="no program 'rubberband' on PATH")


class TestRubberband(StretcherContract):
    component = "rubberband"
    drift_s = 0.004


@pytest.mark.slow
class TestRubberbandFaster(StretcherContract):
    component = "rubberband"
    options = {"fine": False}  # noqa: RUF012 — the contract reads it, nobody writes it
    xfail = {  # noqa: RUF012
        "test_a_quiet_channel_stays_quiet": "with centre_focus the faster engine stretches mid and side (README)"
    }


@pytest.mark.slow
class TestRubberbandForDrums(StretcherContract):
    component = "rubberband"
    options = {"fine": False, "crispness": 6, "centre_focus": False}  # noqa: RUF012 — the contract reads it, nobody writes it
    drift_s = 0.003


def slow(*cases: float) -> list[Any]:
    """Mark cases slow that repeat a quick one with other shifts, rates or levels."""
    return [pytest.param(each, marks=pytest.mark.slow) for each in cases]


@needs_program
@pytest.mark.parametrize(("speed", "semitones"), [(0.8, 0.0), (1.25, 0.0), (1.0, 3.0), (1.0, -3.0)])
def test_faster_engine_is_not_late_or_early_as_a_whole(speed: float, semitones: float) -> None:
    times = signals.click_times(10.0, 120.0)
    stretched = RubberbandStretcher(fine=False).stretch(
        signals.click_train(times, 10.0), speed=speed, semitones=semitones
    )
    # Uncorrected, the median is up to 6 ms.
    assert abs(np.median(signals.click_positions(stretched, times / speed) - times / speed)) < 0.0015


@needs_program
@pytest.mark.parametrize("options", [{}, {"fine": False}, {"fine": False, "crispness": 6}], ids=str)
@pytest.mark.parametrize("rate", [22_050, *slow(48_000)])
@pytest.mark.parametrize("semitones", [3.0, *slow(-3.0, 0.0)])
def test_a_drift_is_followed_at_other_rates(options: Mapping[str, Any], rate: int, semitones: float) -> None:
    errors = map_errors(RubberbandStretcher(**options), *signals.drift(30.0), semitones=semitones, sample_rate=rate)
    assert np.abs(errors).max() < 0.01


@needs_program
@pytest.mark.parametrize("options", [{}, {"fine": False}, {"fine": False, "crispness": 6}], ids=str)
@pytest.mark.parametrize("semitones", [3.0, *slow(-3.0, 0.0)])
def test_the_lead_is_compensated_along_a_map(options: Mapping[str, Any], semitones: float) -> None:
    # The faster engine is early at 0.8 and late at 1.25, and puts the keys of a map where they would be without the
    # shift: in the wrong second. The finer one would be 25 ms early all along with a first key at 0.
    time_map = TimeMap((0, 15, 30), (0, 18.75, 30.75))
    times = signals.click_times(30.0, 90.0)
    errors = map_errors(RubberbandStretcher(**options), times, time_map, semitones=semitones)
    for part in (errors[times < 14.5], errors[times > 15.5]):
        assert abs(np.median(part)) < 0.003


@needs_program
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_hop_is_the_programs(rate: int, tmp_path: Path) -> None:
    source = tmp_path / "noise.wav"
    soundfile.write(source, signals.noise(1.0, channels=1, sample_rate=rate).samples.T, rate)
    for crispness, ratio in itertools.product((0, 5, 6), (0.55, 0.8, 1.02, 1.25, 1.9)):
        command = [
            "rubberband",
            "-d",
            "1",
            "-c",
            str(crispness),
            "-t",
            str(ratio),
            str(source),
            str(tmp_path / "out.wav"),
        ]
        shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
        printed = re.search(r"input increment and mean output increment: \((\d+),", shown)
        assert printed is not None
        window = RubberbandStretcher(fine=False, crispness=crispness)._window(rate)
        assert int(printed.group(1)) == _hop(window, ratio)


@needs_program
@pytest.mark.parametrize("fine", [True, False])
def test_onset_in_the_first_frame_survives(fine: bool) -> None:
    found = RubberbandStretcher(fine=fine).stretch(signals.click_train([0.0, 1.0], 2.0), speed=0.9)
    assert signals.click_positions(found, [0.0, 1.0 / 0.9]) == pytest.approx([0.0, 1.0 / 0.9], abs=0.004)


@needs_program
@pytest.mark.parametrize("semitones", [3.0, *slow(-5.0)])
def test_there_and_back_in_pitch(semitones: float) -> None:
    tone, stretcher = signals.tone(330.0, 4.0), RubberbandStretcher()
    shifted = stretcher.stretch(tone, semitones=semitones)
    assert signals.cents_off(shifted, 330.0 * 2 ** (semitones / 12)) == pytest.approx(0, abs=1)
    assert signals.cents_off(stretcher.stretch(shifted, semitones=-semitones), 330.0) == pytest.approx(0, abs=1)


@needs_program
@pytest.mark.parametrize("gain", [8.0, *slow(2.0**-10, 2.0**40)])
def test_linear_in_powers_of_two_to_the_bit(gain: float) -> None:
    audio, stretcher = signals.chord_progression(seconds=2.0), RubberbandStretcher()
    scaled = stretcher.stretch(Audio(audio.samples * np.float32(gain), audio.sample_rate), speed=0.9, semitones=2)
    plain = stretcher.stretch(audio, speed=0.9, semitones=2)
    assert np.array_equal(scaled.samples, plain.samples * np.float32(gain))


@needs_program
@pytest.mark.parametrize("fine", [True, False])
def test_a_crest_that_grows_is_not_clipped(fine: bool) -> None:
    # Samples of ±1 at random become normally distributed ones: peaks four times as high, beyond all headroom.
    signs = np.sign(np.random.default_rng(0).standard_normal((1, 88_200))).astype(np.float32)
    stretched = RubberbandStretcher(fine=fine).stretch(Audio(signs, 44_100), speed=0.9)
    assert stretched.peak > 3.0
    assert np.count_nonzero(np.abs(stretched.samples) == stretched.peak) == 1
    assert stretched.samples.std() == pytest.approx(1.0, abs=0.2)  # the faster engine loses some noise


@needs_program
@pytest.mark.parametrize("amplitude", [0.03, 5.0])
def test_quantisation_noise_is_85_db_below_the_peak(amplitude: float) -> None:
    tone = signals.tone(440.0, 4.0, amplitude=amplitude)
    stretched = RubberbandStretcher(fine=False).stretch(tone, speed=0.9).samples[0, 44_100:-44_100]
    spectrum = np.fft.rfft(stretched * np.hanning(len(stretched)))
    above = np.fft.rfftfreq(len(stretched), 1 / 44_100) > 2000  # a tone has nothing there
    noise = np.sqrt(2 * np.sum(np.abs(spectrum[above]) ** 2) / len(stretched) / np.sum(np.hanning(len(stretched)) ** 2))
    assert 20 * np.log10(noise / amplitude) < -85


@needs_program
@pytest.mark.parametrize(("fine", "within"), [(True, 0.12), (False, 0.02)])
def test_the_focus_keeps_the_stereo_image(fine: bool, within: float) -> None:
    centre = signals.mix(signals.band(bars=2)[0]).mono()
    chords = signals.chord_progression(seconds=len(centre) / signals.SAMPLE_RATE).samples[0, : len(centre)]
    side = 0.1 * centre.std() / chords.std() * chords
    audio = Audio(np.stack([centre + side, centre - side]), signals.SAMPLE_RATE)
    focused, spread = (
        RubberbandStretcher(fine=fine, centre_focus=focus).stretch(audio, speed=0.9).samples for focus in (True, False)
    )
    share = np.std(focused[0] - focused[1]) / np.std(focused[0] + focused[1])
    assert share == pytest.approx(0.1, abs=within)
    assert np.std(spread[0] - spread[1]) / np.std(spread[0] + spread[1]) > 2 * share


@needs_program
def test_channels_are_independent() -> None:
    audio, stretcher = signals.mix(signals.band(bars=1)[0]), RubberbandStretcher()
    swapped = stretcher.stretch(Audio(audio.samples[::-1], audio.sample_rate), speed=1.1, semitones=-1)
    assert np.array_equal(swapped.samples[::-1], stretcher.stretch(audio, speed=1.1, semitones=-1).samples)


@needs_program
def test_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    RubberbandStretcher().stretch(signals.noise(0.2), speed=1.1)
    assert list(tmp_path.iterdir()) == []


@needs_program
@pytest.mark.parametrize(
    "options",
    [{"fine": False}, {"fine": False, "crispness": 0}, {"formant": True}, {"centre_focus": False}],
    ids=str,
)
def test_every_option_has_an_effect(options: Mapping[str, Any]) -> None:
    audio = signals.mix(signals.band(bars=1)[0])
    base = {"fine": False} if "crispness" in options else {}
    plain, changed = (
        RubberbandStretcher(**chosen).stretch(audio, speed=0.9, semitones=2.0) for chosen in (base, options)
    )
    assert not np.array_equal(plain.samples, changed.samples)


@needs_program
@pytest.mark.parametrize(
    "options",
    [{"fine": 1}, {"crispness": 3}, {"fine": False, "crispness": 7}, {"formant": "yes"}, {"centre_focus": "wide"}],
    ids=str,
)
def test_wrong_options_are_refused(options: Mapping[str, Any]) -> None:
    with pytest.raises(OptionError, match="rubberband"):
        Registry().create("stretcher", "rubberband", options)


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Make the first rubberband on PATH one that says it is ``version``."""
    program = folder / "rubberband"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@needs_program
def test_version_of_the_program_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = RubberbandStretcher()
    assert before.describe()["engine_version"] == f"Rubber Band {program_version()}"
    fingerprint = before.fingerprint()
    put_on_path(tmp_path, monkeypatch, "99.1.0")
    assert RubberbandStretcher().describe()["engine_version"] == "Rubber Band 99.1.0"
    assert RubberbandStretcher().fingerprint() != fingerprint


def test_old_programs_have_no_finer_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path, monkeypatch, "1.9.0")
    with pytest.raises(ComponentUnavailable, match="finer engine"):
        Registry().create("stretcher", "rubberband")
    assert RubberbandStretcher(fine=False).describe()["engine_version"] == "Rubber Band 1.9.0"


def test_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ComponentUnavailable, match="apt install rubberband-cli"):
        Registry().create("stretcher", "rubberband")
