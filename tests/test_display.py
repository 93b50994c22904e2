"""What values of mashkit show of themselves in a notebook: a player that plays, beats where they are, no markup."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import attrs
import numpy as np
import pytest
import soundfile

from light import Turntable
from mashkit import display, pages
from mashkit.mashup import Mashup
from mashkit.numbers import column_format
from mashkit.pipeline import Kit, Ranked
from mashkit.rendering.output import with_clicks
from mashkit.synthetic.source import SyntheticSource
from mashkit.types import Analysis, Audio, Clip, Key, Score


def sound_in(shown: str) -> tuple[np.ndarray, int]:
    (data,) = re.findall(r'<audio [^>]*src="data:audio/\w+;base64,([^"]+)"', shown)
    return soundfile.read(io.BytesIO(base64.b64decode(data)), always_2d=True)


def well_formed(shown: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{shown.replace('<audio controls', '<audio').replace('></audio>', '/>')}</div>")  # noqa: S314 — our own text


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (22_050, 1), (30_000, 1), (44_100, 5)])
def test_sound_is_played_as_it_is(rate: int, channels: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    audio = Audio(np.tile(tone, (channels, 1)).astype(np.float32), rate)
    shown = audio._repr_html_()
    well_formed(shown)
    heard, heard_rate = sound_in(shown)
    assert heard_rate == rate
    assert heard.shape[1] == min(channels, 2 if channels <= 2 else 1)
    assert abs(len(heard) / rate - 1) < 0.1
    spectrum = np.abs(np.fft.rfft(heard[: rate // 2, 0]))
    assert abs(np.argmax(spectrum) * 2 - 440) <= 4
    assert 0.4 < np.abs(heard).max() < 0.6


def test_no_sound_has_no_player() -> None:
    shown = Audio(np.zeros((1, 0), np.float32), 44_100)._repr_html_()
    assert "<audio" not in shown
    assert "0:00.0" in shown


def test_beats_stand_where_they_are() -> None:
    beats = np.array([0.5, 1.0, 1.5, 2.0])
    shown = Analysis(key=Key(9, "minor"), tempo=120.0, beats=beats, downbeats=beats[::2])._repr_html_()
    root = well_formed(shown)
    assert "A minor" in shown
    assert "120.00 BPM" in shown
    thin, thick = ([float(x) for x in re.findall(r"M([\d.]+) ", path.attrib["d"])] for path in root.iter("path"))
    assert np.allclose(np.diff(thin), np.diff(thin)[0], atol=0.02)
    assert thick == thin[::2]
    assert Analysis()._repr_html_().count("unknown") == 2
    assert "<svg" not in Analysis(beats=[])._repr_html_()


@pytest.fixture(scope="module")
def mashup() -> Mashup:
    source = SyntheticSource([(Key(0, "major"), 120.0), (Key(2, "major"), 126.0)], bars=16)
    kit = Kit(stretcher=Turntable())
    (made,) = kit.mashups(source, list(kit.generator.plan(source.clips, condition="matched", count=1, seed=0)))
    return made


def test_a_mashup_shows_layers_beats_and_pitch_classes(mashup: Mashup) -> None:
    shown = Ranked(mashup, Score(0.25, parts={"harmony": 0.75}), 1)._repr_html_()
    root = well_formed(shown)
    assert "<b>score</b> 0.250 · <b>harmony</b> 0.750" in shown
    heard, rate = sound_in(shown)
    assert abs(len(heard) / rate - mashup.plan.duration_s) < 0.2
    grid, vocal, harmonic = root.iter("svg")
    assert len(list(grid.iter("text"))) == 3
    assert grid.attrib["aria-label"] == "Beats and downbeats"
    assert {one.attrib["aria-label"] for one in (vocal, harmonic)} == {
        "Pitch classes of vocal", "Pitch classes of harmonic"
    }  # fmt: skip
    assert len(list(harmonic.iter("rect"))) > 12


@pytest.mark.parametrize("decimals", [3, 4])
@pytest.mark.parametrize("size", [1e-300, 3e-5, 0.0099, 0.01, 0.7, 999_999.0, 1e6, 1e300])
def test_scores_of_any_size_can_be_told_apart(size: float, decimals: int) -> None:
    form = column_format([size, -size / 3, 0.0], decimals)
    shown = [f"{value:{form}}" for value in (size, size / 2, size / 3)]
    assert len(set(shown)) == 3
    assert max(map(len, shown)) <= 12
    assert float(shown[0]) == pytest.approx(size, rel=0.05)


def test_a_very_small_score_is_no_zero(mashup: Mashup) -> None:
    assert (
        "<b>score</b> 2.000e-05 · <b>harmony</b> 0.750"
        in Ranked(mashup, Score(2e-5, parts={"harmony": 0.75}), 1)._repr_html_()
    )


def known_otherwise(mashup: Mashup, **known: object) -> Mashup:
    """Return the mashup, without its beat maps, of clips of which ``known`` is known instead."""
    source = mashup.renderer.source

    class Source:
        def clip(self, clip_id: str) -> Clip:
            clip = source.clip(clip_id)
            return attrs.evolve(clip, analysis=attrs.evolve(clip.analysis, **known), title="<b>&")

        stem, provenance = source.stem, source.provenance

    return Mashup(mashup.plan.at_one_speed("no beats"), type(mashup.renderer)(Source(), mashup.renderer.stretcher))


@pytest.mark.parametrize("downbeats", [None, []])
def test_a_mashup_without_downbeats_is_shown_and_clicked(mashup: Mashup, downbeats: list[float] | None) -> None:
    bare = known_otherwise(mashup, downbeats=downbeats)
    assert len(bare.known_downbeats()) == 0
    well_formed(bare._repr_html_())
    assert with_clicks(bare).frames == bare.mix.frames


def test_a_mashup_without_beats_is_shown_too(mashup: Mashup) -> None:
    shown = known_otherwise(mashup, beats=None, downbeats=None)._repr_html_()
    well_formed(shown)
    assert "<svg" not in shown
    assert "&lt;b&gt;&amp;" in shown


def test_a_minute_has_sixty_seconds() -> None:
    times = (0.04, 9.96, 59.94, 59.97, 75.3, 119.96, 3600.0)
    shown = ["0:00.0", "0:10.0", "0:59.9", "1:00.0", "1:15.3", "2:00.0", "60:00.0"]
    assert [pages.clock(time) for time in times] == shown


def test_text_cannot_be_markup() -> None:
    assert display.text('<a href="x">\udcff') == "&lt;a href=&quot;x&quot;&gt;?"
    assert "<i>" not in pages.table(["<i>"], pages.text_rows([["<i>", "<i>"]])) + display.facts({"<i>": "<i>"})
