"""The separators' benchmark: distortions of known size, metrics equal to museval's and to formulas by hand."""

from __future__ import annotations

import base64
import io
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import attrs
import museval
import numpy as np
import pytest
import soundfile
import stempeg

from installing import install
from mashkit.audio.files import save
from mashkit.bench.audition import sounds
from mashkit.bench.page import markdown, page
from mashkit.bench.page import publish as publish_result
from mashkit.bench.records import Entry, Row
from mashkit.bench.results import Result, read_result
from mashkit.bench.runner import ranked, run
from mashkit.bench.separator_metrics import MOST_DB, bss_sdr, leakage, sdr, si_sdr
from mashkit.bench.separators import (
    FOUR,
    SeparatorTask,
    distortions,
    excerpt_of,
    silent_start,
    true_stems,
    unexplained,
)
from mashkit.bench.suite import Competitor, Suite
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, InputLost, same_song
from mashkit.components import ComponentInfo
from mashkit.interfaces import Separator
from mashkit.testing import signals
from mashkit.types import Audio, Role, StemSet
from packed import unpacked
from rows import row_of

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


@pytest.mark.whole
@pytest.mark.slow
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


def test_a_silent_estimate_is_the_worst_and_changes_no_other() -> None:
    random = np.random.default_rng(4)
    true = [random.normal(size=(2, 12_000)) for _ in range(2)]
    found = [true[0] + 0.1 * true[1], np.zeros((2, 12_000))]
    assert si_sdr(true[1], found[1]) == -MOST_DB < si_sdr(true[1], random.normal(size=(2, 12_000)))
    with pytest.raises(ValueError, match="non-silent"):
        museval.metrics.bss_eval(np.stack([one.T for one in true]), np.stack([one.T for one in found]))
    first, silent = bss_sdr(true, found, 4000)
    assert silent == -MOST_DB
    assert first == bss_sdr(true, [found[0], true[0]], 4000)[0]


def test_roles_that_never_sound_together_have_no_bss_and_fail_nobody() -> None:
    random = np.random.default_rng(5)
    parts = {name: random.normal(scale=0.1, size=(2, 88_200)).astype(np.float32) for name in ("vocals", "drums")}
    parts["vocals"][:, :44_100], parts["drums"][:, 44_100:] = 0, 0
    true = [part.astype(float) for part in parts.values()]
    found = [true[0] + 0.1 * true[1], true[1] + 0.1 * true[0]]
    assert bss_sdr(true, found, 44_100) == [None, None]
    assert bss_sdr(true, [found[0], 0 * true[1]], 44_100) == [None, -MOST_DB]
    sides = [
        {name: Audio(one.astype(np.float32), 44_100) for name, one in zip(parts, side, strict=True)}
        for side in (true, found)
    ]
    assert distortions(*sides).keys() == {"vocals_sdr", "vocals_si", "drums_sdr", "drums_si"}


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


@pytest.mark.whole
def test_stempegs_excerpt_is_a_song_with_true_stems(monkeypatch: pytest.MonkeyPatch) -> None:
    (given,) = TASK.inputs({"collections": ["stempeg"]}, None)
    if given.missing:
        pytest.skip(given.missing)
    assert given.name == "stempeg: The Easton Ellises - Falcon 69"
    true = true_stems(given)
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
        row_of(
            measure="multitracks", peak_memory_mb=10.0 * n, values={"vocal_bss": float(n), "minute_cpu_s": 1.0}
        )
        for n in (1, 2, 9)
    ]  # fmt: skip
    assert TASK.summarize(rows)["vocal_bss"] == 2
    assert TASK.summarize(rows)["memory_mb"] == 90
    assert TASK.summarize([*rows, attrs.evolve(rows[0], status="failed", values={})])["vocal_bss"] is None
    low, high = TASK.intervals(rows)["vocal_bss"]
    assert low < 1  # three songs are no limits of others
    assert high > 9
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
    text = page(Result.from_dict(result))
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


@pytest.mark.whole
def test_leakage_is_measured_where_the_role_is_silent_longest(tmp_path: Path) -> None:
    true = truth(8.0)
    rate = signals.SAMPLE_RATE
    drums = true.stems["drums"].samples.copy()
    drums[:, : 5 * rate] = 0
    quiet = StemSet({**true.stems, "drums": Audio(drums, rate)})
    start = silent_start(quiet, Role.PERCUSSION, 2.0)
    assert start is not None
    assert start <= 3 * rate  # two of the five seconds
    assert silent_start(quiet, Role.HARMONIC, 2.0) is None
    short = StemSet({name: stem.excerpt(2, 1) for name, stem in quiet.stems.items()})
    assert silent_start(short, Role.PERCUSSION, 2.0) == 0  # all there is
    folder = tmp_path / "multitracks" / "Song"
    for name, stem in quiet.stems.items():
        save(folder / f"{name}.wav", stem)
    (given,) = TASK.inputs({"collections": ["multitracks"], "excerpt_s": 2.0}, tmp_path)
    assert excerpt_of(quiet, 2.0).stems["drums"].peak > 0  # in the excerpt for SDR there is no silence
    values = TASK.measure(Fixed(share=0.1), given)
    assert values["percussion_leak"] == pytest.approx(-20, abs=0.01)
    assert "harmonic_leak" not in values
    assert values["rest"] == pytest.approx(20 * np.log10(0.7), abs=0.01)


@attrs.define(kw_only=True, eq=False)
class Fixed(Separator):
    """Gives each stem the same share of the mix."""

    info: ClassVar[ComponentInfo] = ComponentInfo(
        name="fixed", target="nowhere:Fixed", summary="x", provides={"vocals", "drums", "other"}, code_license="MIT"
    )
    share: float

    def _separate(self, mix: Audio) -> StemSet:
        return StemSet({n: Audio(np.float32(self.share) * mix.samples, mix.sample_rate) for n in self.info.provides})


def test_what_stems_do_not_explain_of_a_mix() -> None:
    mix = signals.noise(1.0)
    part = Audio(np.float32(0.5) * mix.samples, mix.sample_rate)
    assert unexplained(StemSet({"vocals": part, "other": part}), mix) == -120
    assert unexplained(StemSet({"vocals": part}), mix) == pytest.approx(-6.02, abs=0.01)


# ------------------------------------------------------------------------------------------- songs it was trained on
@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("MusicDelta - Hendrix", "Music Delta - Hendrix", True),
        ("Software-Entwicklungskit - Caesium", "caesium", True),
        ("Caesium", "Software-Entwicklungskit - Caesium", True),
        ("One - Song", "Other - Song", False),
        ("Caesium", "Cae", False),
        ("Band - Caesium live", "Caesium", False),
        ("東京 - 歌", "歌", True),
        # The same letters as other systems store them.
        (unicodedata.normalize("NFC", "Beyoncé - Déjà Vu"), unicodedata.normalize("NFD", "Beyoncé - Déjà Vu"), True),
        (unicodedata.normalize("NFD", "ÉTÉ"), unicodedata.normalize("NFC", "été"), True),
        ("?", "!!!", False),
        ("Ed - +", "Ed - ÷", False),
        ("!!! - Song", "??? - Song", False),
        ("Ed - ÷", "ed - ÷", True),
        ("÷", "Ed - ÷", True),
    ],
)
def test_songs_are_known_by_their_names(one: str, other: str, same: bool) -> None:
    assert same_song(one, other) is same


def test_pairs_are_compared_on_songs_both_are_judged_by() -> None:
    def rows(label: str, values: dict[str, float]) -> list[Row]:
        return [
            row_of(label=label, input=song, measure="multitracks", values={"vocal_bss": value})
            for song, value in values.items()
        ]

    (test,) = TASK.compare({"a": rows("a", {"x": 1, "y": 2, "z": 30}), "b": rows("b", {"w": -50, "x": 0, "y": 1})})
    assert (test.metric, test.one, test.other, test.difference) == ("vocal_bss", "a", "b", 1)
    assert TASK.compare({"a": rows("a", {"x": 1}), "b": rows("b", {"y": 1})}) == []


PLUGIN = """
import attrs
import numpy as np
from mashkit import Audio, ComponentInfo, Separator, StemSet, hookimpl

STEMS = ("vocals", "drums", "other")
INFOS = [ComponentInfo(name=name, target=f"acme_sep:{name.title()}", summary="x", provides=STEMS, code_license="MIT")
         for name in ("even", "taught")]

@hookimpl
def mashkit_register_separators():
    return INFOS

class Shares(Separator):
    def _separate(self, mix):
        return StemSet({
            name: Audio(np.float32(share) * mix.samples, mix.sample_rate) for name, share in zip(STEMS, self.shares)
        })

class Even(Shares):
    info = INFOS[0]
    shares = (0.25, 0.25, 0.5)

@attrs.define(kw_only=True, eq=False)
class Taught(Shares):
    info = INFOS[1]
    songs: list = attrs.field(factory=lambda: ["One"])
    shares = (0.4, 0.2, 0.4)
    def trained_on(self):
        return tuple(self.songs)
"""


@pytest.fixture(scope="module")
def two_songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    for number, name in enumerate(("Band - One", "Band - Two")):
        stems, _ = signals.band(tempo=120.0, bars=2, seed=number)
        for stem, audio in stems.stems.items():
            save(data / "multitracks" / name / f"{stem}.wav", audio.excerpt(2.0, 1.2))
    return data


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("acme")
    install(folder, "acme_sep", PLUGIN, name="acme")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    sys.modules.pop("acme_sep", None)


@pytest.fixture(scope="module")
def result(acme: None, two_songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    suite = Suite(
        name="acme", task="separators", title="Acme", summary="all of Acme's",
        competitors=[
            Competitor(component="even"),
            Competitor(component="taught"),
        ],
        settings={"collections": ["multitracks"], "excerpt_s": 2.0},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("result")
    made = run(suite, folder, data=two_songs)
    known_before: list[bool] = []
    again = run(suite, folder, data=two_songs, on_row=lambda row, known, done, total: known_before.append(known))
    assert all(known_before)
    assert again.rows == made.rows  # rows that were there already are marked as well
    return made


@pytest.mark.whole
def test_nobody_is_judged_by_songs_it_was_trained_on(result: Result) -> None:
    rows = {(row.label, row.input): row for row in result.rows}
    one, two = "multitracks: Band - One", "multitracks: Band - Two"
    assert rows["taught", one].trained_on == ("Band - One",)
    assert rows["taught", one].status == "ok"  # it is measured, and shown
    assert not rows["taught", two].trained_on
    by_label = {entry.label: entry for entry in result.competitors}
    # All numbers, of the other competitor too, are those of the song that nobody was trained on.
    assert rows["even", one].values["vocal_bss"] != rows["even", two].values["vocal_bss"]
    for label, entry in by_label.items():
        assert entry.metrics["vocal_bss"] == rows[label, two].values["vocal_bss"]
    alone = [rows[label, two] for label in ("even", "taught")]
    again, tests = ranked(TASK, result.competitors, alone)
    assert [attrs.evolve(one, load_s=by_label[one.label].load_s) for one in again] == list(result.competitors)
    assert tests == list(result.comparisons)
    assert result.counted == {row.label: [row] for row in sorted(alone, key=lambda row: by_label[row.label].rank)}
    pairs = [pair for pair in result.comparisons if pair.metric == "vocal_bss"]
    assert [{pair.one, pair.other} for pair in pairs] == [{"even", "taught"}]


@pytest.mark.whole
def test_one_that_was_trained_on_everything_is_not_ranked(result: Result) -> None:
    entries = [Entry(label=label, component=label) for label in ("even", "taught")]
    rows = [attrs.evolve(row, trained_on=["x"]) if row.label == "taught" else row for row in result.rows]
    ranks = {one.label: one for one in ranked(TASK, entries, rows)[0]}
    assert not ranks["taught"].metrics
    assert "trained on every song" in ranks["taught"].reason
    assert ranks["even"].rank == 1


@pytest.mark.whole
def test_the_page_shows_every_song_and_which_do_not_count(result: Result, tmp_path: Path) -> None:
    said = (
        "taught was trained on Band - One: what it does with these is shown, and it is not judged by them. "
        "Numbers, rank and score are of the 1 of 2 inputs that nobody was trained on."
    )
    rows = {(row.label, row.input): row.values for row in result.rows}
    shown = f"({rows['taught', 'multitracks: Band - One']['vocal_bss']:.1f})".replace("-", "−")
    for text in (markdown(result), page(result)):
        assert said in text
        assert "Percussion, song by song" in text
        assert shown in text
    assert "ok, trained on" in unpacked(page(result))["status"]["texts"]
    paths = publish_result(result, tmp_path)
    assert read_result(paths[0]).rows == result.rows


@pytest.mark.whole
def test_truth_and_estimates_can_be_heard(result: Result, two_songs: Path) -> None:
    told: list[tuple[int, int]] = []
    made = sounds(result, two_songs, lambda name, done, total: told.append((done, total)))
    # Of each song the mix, and of each role the truth and what two competitors made of it.
    assert len(made) == 2 * (1 + 3 * 3)
    assert told[-1] == (len(made), len(made))
    picks = TASK.auditions({label: [row for row in result.rows if row.label == label] for label in ("even", "taught")})[
        "multitracks: Band - One"
    ]
    assert [pick.group for pick in picks] == ["mix", *["vocal"] * 3, *["harmonic"] * 3, *["percussion"] * 3]
    assert "trained on this song" in picks[3].said
    energy = {}
    for pick in picks:
        head, _, data = made[pick.sound].partition(",")
        assert head == "data:audio/mpeg;base64"
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
        assert len(samples) / rate == pytest.approx(1.2, abs=0.1)
        energy[pick.group, pick.label] = float(np.sum(samples**2))
    # The shares of power by which the two separate: 0.25² and 0.4² of the mix's.
    assert energy["vocal", "even"] / energy["mix", ""] == pytest.approx(0.0625, rel=0.1)
    assert energy["vocal", "taught"] / energy["mix", ""] == pytest.approx(0.16, rel=0.1)
    text = page(result, made)
    assert text.count("<audio") == len(made)
    assert "What they made of it" in text
    assert "<audio" not in page(result)


@pytest.mark.whole
def test_one_that_is_not_here_any_more_has_no_sound(result: Result, two_songs: Path) -> None:
    gone = [attrs.evolve(one, component="gone") if one.label == "even" else one for one in result.competitors]
    made = sounds(attrs.evolve(result, competitors=gone), two_songs)
    assert len(made) == 2 * (1 + 3 * 2)
    assert not any('"even"' in name for name in made)
