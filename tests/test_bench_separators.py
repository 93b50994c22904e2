"""The separators' benchmark: distortions of known size, metrics equal to museval's and to formulas by hand."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import attrs
import museval
import numpy as np
import pytest
import stempeg

from mashkit.audiofile import save
from mashkit.bench.page import page
from mashkit.bench.separators import FOUR, SeparatorTask, _true_stems, bss_sdr, excerpt_of, leakage, sdr, si_sdr
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, InputLost
from mashkit.components import ComponentInfo
from mashkit.interfaces import Separator
from mashkit.testing import signals
from mashkit.types import Audio, Role, StemSet

TASK = SeparatorTask()


def truth(seconds: float = 2.0) -> StemSet:
    stems, _ = signals.band(tempo=120.0, bars=4)
    return excerpt_of(stems, seconds)


@attrs.define(kw_only=True, eq=False)
class Leaking(Separator):
    """Knows the true stems, and lets the others leak into each."""

    info: ClassVar[ComponentInfo] = ComponentInfo(
        name="leaking", target="nowhere:Leaking", summary="x", provides=FOUR, code_license="MIT"
    )
    true: StemSet
    leak: float = 0.1

    def _separate(self, mix: Audio) -> StemSet:
        return StemSet(
            {
                name: Audio(stem.samples + self.leak * (mix.samples - stem.samples), mix.sample_rate)
                for name, stem in self.true.stems.items()
            }
        )


@pytest.fixture
def song(tmp_path: Path) -> Input:
    folder = tmp_path / "multitracks" / "Song"
    folder.mkdir(parents=True)
    for name, stem in truth().stems.items():
        save(folder / f"{name}.wav", stem)
    inputs = TASK.inputs({"collections": ["multitracks"], "excerpt_s": 2.0}, tmp_path)
    (given,) = inputs
    return given


def test_a_leak_of_a_known_size_is_measured(song: Input) -> None:
    true = truth()
    loud = TASK.measure(Leaking(true=true), song)
    assert {f"{name}_bss" for name in FOUR} <= set(loud)
    by_hand = [side.role(Role.VOCAL).samples.astype(float) for side in (true, Leaking(true=true).separate(_mix(true)))]
    assert loud["vocal_sdr"] == pytest.approx(
        10 * np.log10(np.sum(by_hand[0] ** 2) / np.sum((by_hand[0] - by_hand[1]) ** 2))
    )
    assert loud["vocals_sdr"] == pytest.approx(loud["vocal_sdr"])


def _mix(stems: StemSet) -> Audio:
    return signals.mix(stems)


def test_bss_is_musevals_by_hand() -> None:
    random = np.random.default_rng(0)
    true = [random.normal(size=(1, 8000)) for _ in range(2)]
    true[1][:, :4000] = 0  # silent in one second of the two
    found = [true[0] + 0.1 * true[1], true[1] + 0.1 * random.normal(size=(1, 8000))]
    turned = [np.stack([one.T for one in side]) for side in (true, found)]
    by_hand, *_ = museval.metrics.bss_eval(*turned, window=4000, hop=4000)
    assert bss_sdr(true, found, 4000) == pytest.approx(np.nanmedian(by_hand, axis=1), abs=1e-9)


def test_scale_invariant_sdr_minds_no_gain() -> None:
    random = np.random.default_rng(0)
    true, noise = random.normal(size=(2, 2, 10_000))
    noise -= true * np.sum(true * noise) / np.sum(true**2)  # orthogonal: the ratio is then that of the powers
    found = 3 * (true + 0.1 * noise)
    expected = 10 * np.log10(np.sum(true**2) / np.sum((0.1 * noise) ** 2))
    assert si_sdr(true, found) == pytest.approx(expected, abs=1e-9)
    assert sdr(true, true + 0.1 * noise) == pytest.approx(expected, abs=1e-9)
    assert sdr(true, found) < 0
    assert sdr(true, true) == 120


def test_the_excerpt_is_where_all_roles_sound() -> None:
    silent, loud = np.zeros((2, 44_100 * 4), np.float32), np.full((2, 44_100 * 4), 0.5, np.float32)
    parts = {"vocals": (silent, loud, silent), "drums": (loud, loud, loud), "other": (silent, loud, loud)}
    stems = StemSet({name: Audio(np.concatenate(part, axis=1), 44_100) for name, part in parts.items()})
    found = excerpt_of(stems, 4.0)
    assert all(stem.samples.min() == 0.5 for stem in found.stems.values())
    assert excerpt_of(stems, 60.0) is stems


@pytest.mark.slow
def test_a_silent_stem_is_left_out_and_a_lost_file_is_nobodys_fault(tmp_path: Path) -> None:
    folder = tmp_path / "multitracks" / "Song"
    folder.mkdir(parents=True)
    true = truth()
    quiet = StemSet({**true.stems, "bass": Audio(0 * true.stems["bass"].samples, signals.SAMPLE_RATE)})
    for name, stem in quiet.stems.items():
        save(folder / f"{name}.wav", stem)
    (given,) = TASK.inputs({"collections": ["multitracks"], "excerpt_s": 2.0}, tmp_path)
    values = TASK.measure(Leaking(true=quiet), given)
    assert "bass_bss" not in values
    assert "harmonic_bss" in values
    (folder / "drums.wav").unlink()
    with pytest.raises(InputLost, match="drums"):
        TASK.measure(Leaking(true=quiet), given)


def test_stempegs_excerpt_is_a_song_with_true_stems(monkeypatch: pytest.MonkeyPatch) -> None:
    (given,) = TASK.inputs({"collections": ["stempeg"]}, None)
    if given.missing:
        pytest.skip(given.missing)
    assert given.name == "stempeg: The Easton Ellises - Falcon 69"
    true = _true_stems(given)
    assert set(true.stems) == set(FOUR)
    mixture, rate = stempeg.read_stems(str(given.files[0]), stem_id=0, dtype=np.float32, multiprocess=False)
    # What it comes with as the mix is mastered, but it is the same music.
    both = np.corrcoef(signals.mix(true).samples.ravel(), mixture.T.ravel())
    assert rate == signals.mix(true).sample_rate
    assert both[0, 1] > 0.95
    monkeypatch.setattr("shutil.which", lambda name: None)
    (given,) = TASK.inputs({"collections": ["stempeg"]}, None)
    assert "ffmpeg is not installed" in given.missing


def test_medians_over_songs_and_what_is_missing(tmp_path: Path) -> None:
    rows = [
        {"measure": "multitracks", "input_missing": False, "status": "ok", "peak_memory_mb": 10.0 * n,
         "values": {"vocal_bss": float(n), "minute_cpu_s": 1.0}}
        for n in (1, 2, 9)
    ]  # fmt: skip
    assert TASK.summarize(rows)["vocal_bss"] == 2
    assert TASK.summarize(rows)["memory_mb"] == 90
    assert TASK.summarize([*rows, {**rows[0], "status": "failed", "values": {}}])["vocal_bss"] is None
    low, high = TASK.intervals(rows)["vocal_bss"]
    assert 1 <= low <= 2 <= high <= 9
    assert "rendered_vocal_bss" not in TASK.intervals(rows)
    inputs = TASK.inputs({"songs": 2}, tmp_path)
    missing = [bool(one.missing) for one in inputs]
    assert (missing[:2], missing[-2:]) == ([False, False], [True, True])
    assert "musdb18hq/test" in inputs[-1].missing
    with pytest.raises(SuiteError, match="did you mean 'musdb18hq'"):
        TASK.inputs({"collections": ["musdb18"]}, None)


def test_the_page_marks_what_others_have_published() -> None:
    metrics = [attrs.asdict(metric) for metric in TASK.metrics]
    result = {
        "suite": {"name": "s", "task": "separators", "title": "S", "summary": "s", "timeout_s": 1, "seed": 1,
                  "sha256": "a" * 64}, "metrics": metrics, "competitors": [], "rows": [], "rules": "", "jobs": 1,
        "machine": {"processor": "P", "cores": 1, "memory_mb": 1}, "environment": {"python": "3", "packages": {}},
        "finished": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    text = page(result)
    assert "From the literature, not measured here" in text
    assert "Journal of Open Source Software" in text


def test_leakage_is_what_is_heard_where_the_truth_is_silent() -> None:
    rate = 1000
    mix = np.random.default_rng(0).standard_normal((2, 4 * rate))
    true = mix.copy()
    true[:, : 2 * rate] = 0
    found = true + 0.1 * mix  # a tenth of the mix: −20 dB
    assert leakage(true, found, mix, rate) == pytest.approx(-20, abs=0.01)
    assert leakage(mix, found, mix, rate) is None  # never silent
    silence = np.zeros_like(mix)
    assert leakage(silence, found, silence, rate) is None  # nor does a silent mix tell anything
