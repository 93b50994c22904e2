"""The page: complete, self-contained, safe with any title, honest about what is unknown, and alive in a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest

from light import Turntable
from mashkit.audio.files import load
from mashkit.mashup import Mashup
from mashkit.pipeline import Ranked
from mashkit.rendering.renderer import Renderer
from mashkit.report import page
from mashkit.report.figures import PEAK_BINS, figures, peaks
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import signals
from mashkit.timing.beats import beat_error
from mashkit.types import Analysis, Audio, Condition, Key, Layer, MashupPlan, Role, Score, Times
from mashkit.types.timemap import TimeMap

BREAKOUT = "</script><img src=x onerror=alert(1)>"
TITLES = (BREAKOUT, "\"quotes\" & 'apostrophes' $title ${script}", "Ünï – 漢字 \u202e ‏עברית <!-- ]]>")
WHOLE_TONE = 2 ** (2 / 12)


class Source(SyntheticSource):
    """Synthetic clips under the names that :data:`TITLES` and the tests give them."""

    def __init__(self) -> None:
        super().__init__(
            [(Key(2, "major"), 120.0), (Key(0, "major"), 120.0 / WHOLE_TONE), (Key(9, "minor"), 90.0)], bars=3
        )
        self.clips = [
            attrs.evolve(
                clip, title=title, source=f"music/{title.replace('/', '-')}.wav", licence=f"licence of {title}"
            )
            for clip, title in zip(self.clips, TITLES, strict=True)
        ]

    def change(self, **analysis: Any) -> Source:
        """Replace fields of every clip's analysis."""
        self.clips = [attrs.evolve(clip, analysis=attrs.evolve(clip.analysis, **analysis)) for clip in self.clips]
        return self

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """A separator with weights, and a hostile option."""
        return [{"kind": "separator", "name": "splitter", "version": "3.2.1", "distribution": "mashkit-splitter",
                              "requires": {"torch": "2.13.0"}, "options": {"model": BREAKOUT},
                              "weights": {"net.pt": "0123456789abcdef" * 4}, "engine": "U-Net",
                              "code_license": "MIT", "weights_license": "CC-BY-NC-4.0"}]  # fmt: skip


def _mashup(source: Source, layers: Sequence[Layer], *, duration_s: float = 5.0) -> Mashup:
    plan = MashupPlan(
        condition=Condition.MATCHED,
        layers=layers,
        duration_s=duration_s,
        seed=7,
        generator={"name": "drawer", "version": "9.8.7"},
    )
    return Renderer(source, Turntable()).mashup(plan)


def _crossed(source: Source) -> Mashup:
    """The first clip's vocal over the second's chords, a whole tone up, and the third's drums."""
    return _mashup(
        source,
        [
            Layer(role=Role.VOCAL, clip_id=source.clips[0].id),
            Layer(
                role=Role.HARMONIC,
                clip_id=source.clips[1].id,
                speed=WHOLE_TONE,
                semitones=2,
                offset_s=-0.1,
                gain_db=-1.5,
            ),
            Layer(role=Role.PERCUSSION, clip_id=source.clips[2].id, speed=0.9),
        ],
    )


def _vocal_alone(source: Source) -> Mashup:
    return _mashup(source, [Layer(role=Role.VOCAL, clip_id=source.clips[1].id)], duration_s=4.0)


@attrs.define
class Document(HTMLParser):
    """The document's elements, and the text outside of style and scripts."""

    elements: list[tuple[str, dict[str, str | None]]] = attrs.field(factory=list)
    text: str = ""
    scripts: list[str] = attrs.field(factory=list)
    open: list[str] = attrs.field(factory=list)

    VOID: ClassVar[frozenset[str]] = frozenset({"meta", "input", "br"})

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    @classmethod
    def of(cls, text: str) -> Document:
        """Parse ``text``; every element must be closed by its own end tag."""
        document = cls()
        document.feed(text)
        document.close()
        assert document.open == []
        document.text = " ".join(document.text.split())
        return document

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts[-1] += data
        elif "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every such element."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def ranked() -> list[Ranked]:
    source = Source()
    return [
        Ranked(_crossed(source), Score(1.25, "ordinal", {"harmony": 0.75, "rhythm": -0.25, BREAKOUT: 0.5}), 1),
        Ranked(_vocal_alone(source), Score(0.5, "ordinal", {"harmony": 0.125}), 2),
    ]


@pytest.fixture(scope="module")
def text(ranked: list[Ranked], players_rate: int) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[page.__module__], "PLAYER_RATE", players_rate)
        return page(
            ranked,
            title=f"Best of {BREAKOUT}",
            components={
                "scorer": {"name": f"judge {BREAKOUT}", "options": {"weight": 0.2}},
                "generator": {"name": "drawer", "version": "9.8.7", "code_license": "BSD-3-Clause"},
            },
            failures=[(f"{BREAKOUT}.mp3", f"is no music {BREAKOUT}")],
            notes=[f"note {BREAKOUT}", "caf\udce9.wav: a name that is no UTF-8"],
        )


@pytest.fixture(scope="module")
def document(text: str) -> Document:
    return Document.of(text)


# ------------------------------------------------------------------------------------------------- the document
def test_a_card_each_and_headings_in_order(document: Document) -> None:
    assert [attributes["id"] for attributes in document.all("article")] == ["mashup-1", "mashup-2"]
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1


def test_ids_are_unique_and_links_lead_somewhere(document: Document) -> None:
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {attributes["href"] for attributes in document.all("a")} == {"#mashup-1", "#mashup-2"}


def test_asks_for_nothing_outside_itself(text: str, document: Document) -> None:
    policies = [item["content"] for item in document.all("meta") if item.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [
        "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    ]
    for tag, attributes in document.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "poster", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:audio/mpeg;base64,")), (tag, name)
    assert not re.search(r"https?://|url\(|@import|\bfetch\(|\bimport\(", text)


def test_no_title_breaks_out(text: str, document: Document) -> None:
    assert document.all("img") == []
    assert not any(name.startswith("on") for _, attributes in document.elements for name in attributes)
    assert len(document.scripts) == 3  # a card's figures each, and the page's own
    assert "alert(1)" not in "".join(document.scripts)
    for title in TITLES:
        assert title in document.text
        assert f"licence of {title}" in document.text
        assert f"{title.replace('/', '-')}.wav" in document.text
    for said in ("Best of ", "judge ", "is no music ", "note ", "model "):
        assert said + BREAKOUT in document.text
    assert "caf?.wav" in document.text
    text.encode("utf-8")


def test_says_who_sings_over_whom_and_how(document: Document) -> None:
    said = document.text
    assert f"{TITLES[0]} over {TITLES[1]} and {TITLES[2]}" in said
    assert f"{TITLES[1]} alone" in said
    for fact in (
        "matched · 5.0 s · seed 7 · plan ",
        "1.250", "0.750", "−0.250",
        "key C major +2 → D major", "key D major, not shifted",
        "tempo 106.9 BPM × 1.122 → 120.0 BPM", "tempo 120.0 BPM, not stretched", "tempo 90.0 BPM × 0.900 → 81.0 BPM",
        "gain −1.5 dB", "gain 0.0 dB",
    ):  # fmt: skip
        assert fact in said, fact


def test_says_how_it_was_made(document: Document) -> None:
    for fact in ("splitter", "U-Net", "3.2.1", "torch 2.13.0", "net.pt sha256 0123456789ab…", "weights CC-BY-NC-4.0",
                 "turntable", "linear interpolation", "judge", "weight 0.2", "code BSD-3-Clause"):  # fmt: skip
        assert fact in document.text, fact
    assert document.text.count("turntable") == 1  # two mashups, one stretcher
    assert document.text.count("drawer") == 1  # described in full, and named by the plans


def test_without_mashups_it_says_so() -> None:
    assert "No mashups." in Document.of(page([], title="Nothing")).text


# ---------------------------------------------------------------------------------------------------- the sound
def test_players_hold_mix_and_stems(
    document: Document, ranked: list[Ranked], players_rate: int, tmp_path: Path
) -> None:
    players = document.all("audio")
    assert [item["data-track"] for item in players] == ["mix", "vocal", "harmonic", "percussion", "mix", "vocal"]
    mashup = ranked[0].mashup
    for item, original in zip(players, [mashup.mix, *mashup.stems.values()], strict=False):
        encoded = tmp_path / f"{item['data-track']}.mp3"
        encoded.write_bytes(base64.b64decode((item["src"] or "").partition(",")[2], validate=True))
        decoded = load(encoded)
        assert decoded.sample_rate == players_rate
        assert abs(decoded.duration - original.duration) < 0.1
        frames = min(decoded.frames, original.frames)
        same = np.corrcoef(decoded.mono()[:frames], original.mono()[:frames])[0, 1]
        assert same > 0.95, item["data-track"]  # MP3 takes hi-hats' noise for noise


# ---------------------------------------------------------------------------------------------------- the figures
def _int8(text: str) -> np.ndarray[Any, np.dtype[np.int8]]:
    return np.frombuffer(base64.b64decode(text), np.int8).reshape(-1, 2)


def test_figures_travel_as_json(document: Document, ranked: list[Ranked]) -> None:
    first, second = (json.loads(script) for script in document.scripts[:2])
    assert first == json.loads(json.dumps(figures(ranked[0].mashup)))
    assert [row["role"] for row in first["after"]] == ["vocal", "harmonic", "percussion"]
    assert all(_int8(row["peaks"]).shape == (PEAK_BINS, 2) for row in first["before"] + first["after"])
    assert second["chroma"] is None
    assert second["errors"] == []


def test_peaks_stand_where_the_sound_is() -> None:
    samples = np.zeros((2, 1000), np.float32)
    samples[0, 250], samples[1, 750] = 0.5, -0.25
    audio = Audio(samples, 1000)
    plain = peaks(audio, offset_s=0.0, duration_s=1.0, bins=100)
    assert plain[25].tolist() == [0, 127]
    assert plain[75].tolist() == [-64, 0]
    assert np.count_nonzero(plain) == 2
    later = peaks(audio, offset_s=0.3, duration_s=1.0, bins=100)
    assert later[55].tolist() == [0, 127]
    assert np.count_nonzero(later) == 1  # the second is past the end
    assert peaks(audio, offset_s=-0.5, duration_s=1.0, bins=100)[25].tolist() == [-127, 0]  # the largest that is left


@pytest.mark.parametrize("offset_s", [-2.0, 0.0, 2.0])
def test_peaks_of_what_does_not_sound_are_zero(offset_s: float) -> None:
    audio = signals.noise(1.0) if offset_s else signals.silence(1.0)
    assert not peaks(audio, offset_s=offset_s, duration_s=1.0, bins=64).any()


def test_peaks_of_fewer_samples_than_bins() -> None:
    assert peaks(signals.noise(0.001), offset_s=0.0, duration_s=0.001, bins=400).shape == (400, 2)


def test_before_is_the_plan_at_speed_one() -> None:
    drawn = figures(_crossed(Source()))
    before, after = drawn["before"][1], drawn["after"][1]
    # What sounds at 0 does so before and after: beats lie as far from it as the speed says.
    shared = min(len(before["beats"]), len(after["beats"]))  # a slower row shows fewer
    assert shared >= 8
    assert before["beats"][:shared] == pytest.approx(np.array(after["beats"][:shared]) * WHOLE_TONE, abs=5e-4)
    assert np.diff(before["beats"]) == pytest.approx(0.5 * WHOLE_TONE, abs=2e-4)
    assert np.diff(after["beats"]) == pytest.approx(0.5, abs=2e-4)
    assert drawn["before"][0] == drawn["after"][0]  # the vocal is never altered


def test_chroma_moves_with_the_shift() -> None:
    drawn = figures(_crossed(Source()))["chroma"]
    shape = (12, len(drawn["edges"]) - 1)
    vocal, before, after = (
        np.frombuffer(base64.b64decode(panel["values"]), np.uint8).reshape(shape) for panel in drawn["panels"]
    )
    similarity = [np.corrcoef(np.roll(before, shift, axis=0).ravel(), after.ravel())[0, 1] for shift in range(12)]
    assert int(np.argmax(similarity)) == 2
    assert vocal.max() == before.max() == after.max() == 255


def test_beat_errors_are_those_of_the_plan() -> None:
    source = Source()
    # The clip's own drums 15 ms late; the first vocal beat lies at 0, so the late layer's first beat is not cut off.
    beats = source.clips[0].analysis.beats
    assert beats is not None
    start = float(beats[0])
    layers = [
        Layer(role=Role.VOCAL, clip_id=source.clips[0].id, offset_s=-start),
        Layer(role=Role.HARMONIC, clip_id=source.clips[0].id, offset_s=-start - 0.005),
        Layer(role=Role.PERCUSSION, clip_id=source.clips[0].id, offset_s=-start + 0.015),
    ]
    harmonic, percussion = figures(_mashup(source, layers))["errors"]
    assert harmonic["ms"] == pytest.approx([-5.0] * 10, abs=0.01)
    assert percussion["ms"] == pytest.approx([15.0] * 10, abs=0.01)
    for found, size in ((harmonic, 5.0), (percussion, 15.0)):
        assert [found[name] for name in ("median", "within", "last_bar")] == pytest.approx([size] * 3, abs=0.01)


def _over_its_own_drums(change: Callable[[Times], Times]) -> Mashup:
    """A clip whose drums come from a copy of it with other beats."""
    source = Source()
    clip = source.clips[0]
    beats = clip.analysis.beats
    assert beats is not None
    analysis = attrs.evolve(clip.analysis, beats=change(beats), downbeats=None)
    source.clips[1] = attrs.evolve(source.clips[1], analysis=analysis)
    layers = [Layer(role=Role.VOCAL, clip_id=clip.id), Layer(role=Role.PERCUSSION, clip_id=source.clips[1].id)]
    return _mashup(source, layers)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda beats: beats[:5], [False] * 5 + [True] * 5),  # no beats in the second half
        (lambda beats: beats[5:], [True] * 5 + [False] * 5),  # nor in the first
        (lambda beats: np.delete(beats, [4, 5]), [False] * 4 + [True] * 2 + [False] * 4),  # nor in the middle
        (lambda beats: beats[::2], [False, True] * 5),  # half the tempo
        (lambda beats: beats + 100, [True] * 10),  # none at all
        (lambda beats: beats[3:4], [index != 3 for index in range(10)]),
    ],
)
def test_a_beat_without_a_partner_is_missing_and_in_no_figure(
    change: Callable[[Times], Times], missing: list[bool]
) -> None:
    mashup = _over_its_own_drums(change)
    (found,) = figures(mashup)["errors"]
    assert [error is None for error in found["ms"]] == missing
    assert found["missing"] == sum(missing)
    present = [error for error in found["ms"] if error is not None]
    assert present == pytest.approx([0.0] * len(present), abs=0.01)
    assert found["median"] == (None if all(missing) else pytest.approx(0.0, abs=0.01))
    said = Document.of(page([Ranked(mashup, Score(0.5), 1)], title="Missing")).text
    expected = (
        "no beat within half a beat of any" if all(missing) else f"{sum(missing)} of the vocal’s 10 beats have no"
    )
    assert expected in said
    assert "1000 ms" not in said


def test_beat_errors_say_what_one_speed_would_leave() -> None:
    source = Source()
    clip = source.clips[0]
    beats = clip.analysis.beats
    assert beats is not None
    # The drums slow down by a tenth half-way; the harmony keeps its speed.
    time_map = TimeMap((0, beats[5], clip.duration), (0, beats[5], beats[5] + (clip.duration - beats[5]) * 1.1))
    layers = [
        Layer(role=Role.VOCAL, clip_id=clip.id),
        Layer(role=Role.HARMONIC, clip_id=clip.id),
        Layer(role=Role.PERCUSSION, clip_id=clip.id, time_map=time_map),
    ]
    mashup = _mashup(source, layers)
    harmonic, percussion = figures(mashup)["errors"]
    assert harmonic["at_one_speed"] is None
    late = mashup.plan.layer(Role.PERCUSSION).at_one_speed().to_mashup(beats)
    apart = 1000 * np.abs(beat_error(beats[beats < 5], late))
    expected = np.median(apart[apart <= 250])  # half a beat at 120 BPM; the last beat has no partner
    assert percussion["at_one_speed"]["median"] == pytest.approx(expected, abs=0.01)
    said = Document.of(page([Ranked(mashup, Score(0.5), 1)], title="Along")).text
    assert "along its beats at × 0.909 to 1.000" in said
    assert "at one speed it would be" in said


def test_notes_of_a_plan_are_shown() -> None:
    mashup = _crossed(Source())
    noted = mashup.renderer.mashup(attrs.evolve(mashup.plan, notes=["drums <at> one speed"]))
    assert "drums <at> one speed" in Document.of(page([Ranked(noted, Score(0.5), 1)], title="Notes")).text


def test_very_small_scores_are_no_zeros() -> None:
    mashup = _vocal_alone(Source())
    scores = (Score(2e-5, parts={"harmony": 0.5}), Score(-3e-6, parts={"harmony": 0.25}))
    made = page([Ranked(mashup, score, rank) for rank, score in enumerate(scores, 1)], title="Small")
    shown = Document.of(made).text
    assert shown.count("2.000e−05") == shown.count("−3.000e−06") == 2  # in the list and on the card
    assert "0.500" in shown


# --------------------------------------------------------------------------------------------------- the unknown
def test_unknown_analysis_is_said_to_be_unknown() -> None:
    source = Source().change(key=None, tempo=None, beats=None, downbeats=None)
    said = Document.of(page([Ranked(_crossed(source), Score(0.5), 1)], title="Unknown")).text
    for fact in ("no key, not shifted", "no key +2 semitones", "no tempo × 1.122", "No beats known of the vocal clip.",
                 "No beats known of the percussion clip.", "No beats to compare", "no chroma to show"):  # fmt: skip
        assert fact in said, fact
    assert "None" not in said


def test_beats_without_downbeats_or_of_one_clip_only() -> None:
    source = Source().change(downbeats=None)
    assert [found["last_bar"] for found in figures(_crossed(source))["errors"]] == [None, None]
    source.clips[1:] = [attrs.evolve(clip, analysis=Analysis(beats=[])) for clip in source.clips[1:]]
    drawn = figures(_crossed(source))
    assert drawn["errors"] == []
    assert drawn["chroma"] is not None


# --------------------------------------------------------------------------------------------------- in a browser
def _in_chromium(text: str, folder: Path) -> tuple[Document, str]:
    """Return the document after its script has run, and what the browser logged."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH")
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={folder / 'profile'}",
         "--enable-logging=stderr", "--v=0", "--window-size=390,844", "--dump-dom", file.as_uri()],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    log = done.stderr.decode("utf-8", "replace")
    return Document.of(done.stdout.decode("utf-8")), "\n".join(line for line in log.splitlines() if "CONSOLE" in line)


def test_script_draws_everything_without_error(text: str, tmp_path: Path) -> None:
    document, console = _in_chromium(text, tmp_path)
    canvases = document.all("canvas")
    assert [item["data-chart"] for item in canvases] == ["after", "before", "errors", "chroma", "after", "before"]
    assert all("data-drawn" in item for item in canvases)
    assert all("hidden" not in item for _, item in document.elements if item.get("class") == "transport")
    assert all("hidden" in item for _, item in document.elements if item.get("class") == "players")
    assert not any(item.get("class") == "error" for item in document.all("p"))
    assert document.all("img") == []
    assert console == ""


def test_an_error_of_the_script_is_shown(text: str, tmp_path: Path) -> None:
    document, console = _in_chromium(text.replace('{"duration"', '{"duration', 1), tmp_path)
    assert any(item.get("class") == "error" for item in document.all("p"))
    assert "Something on this page does not work" in document.text
    assert "SyntaxError" in console
