"""Write an HTML document with mashups, their sound, figures and scores: self-contained, without requests."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

from mashkit import pages
from mashkit.audio.files import resample, save
from mashkit.features.tuning import describe
from mashkit.mashup import Mashup
from mashkit.numbers import column_format
from mashkit.pages import MINUS, NONE, clock, text
from mashkit.pipeline import Ranked
from mashkit.report.figures import figures, layer_times
from mashkit.timing import metre
from mashkit.types import Analysis, Audio, Key, Layer, Role

PLAYER_RATE = 44_100
"""Sample rate of the embedded MP3s, Hz, because MP3 and every browser support it."""


def page(
    ranked: Sequence[Ranked],
    *,
    title: str,
    components: Mapping[str, Mapping[str, Any]] | None = None,
    failures: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    shown: Iterable[str] | None = None,
) -> str:
    """Render, encode and embed mashups, and return an HTML document with all facts about them.

    Parameters
    ----------
    ranked : sequence of Ranked
        The mashups in the order of the page. Unknown fields of their clips' analyses are shown as missing.
    title : str
        Heading of the document.
    components : mapping of str to mapping, optional
        Kind → :meth:`Component.describe` of each component used. The mashups themselves contain the descriptions of
        their stretcher and of the components that made their clips, a short record of their generator, and none of the
        scorer.
    failures : sequence of (str, str)
        Files that were not used, and the reasons.
    notes : sequence of str
        Additional remarks for the reader.
    shown : iterable of str, optional
        The results of :func:`card` for the mashups, if it was called before.

    Returns
    -------
    str
        Text to be written as UTF-8: about 4 MB per mashup of 40 s, nearly all of it sound.

    Raises
    ------
    MashkitError
        If a mashup cannot be rendered.
    """
    main = pages.filled(
        __package__,
        "page.html",
        mashups="\n".join((card(item, ranked) for item in ranked) if shown is None else shown)
        or '<p class="missing">No mashups.</p>',
        made=_made(ranked, components or {}),
        failures=_section("Not used", [f"<b>{text(name)}</b> — {text(why)}" for name, why in failures]),
        notes=_section("Notes", [text(note) for note in notes]),
    )
    scripts_off = "Scripts are off: you can listen, but the charts are not drawn."
    return pages.document(
        title,
        top=f'<noscript><p class="missing">{scripts_off}</p></noscript>\n{_contents(ranked)}',
        main=main,
        styles=[pages.resource(__package__, "page.css")],
        scripts=f"<script>\n{pages.resource(__package__, 'page.js')}\n</script>",
        sources="img-src data:; media-src data:",
    )


def card(item: Ranked, among: Sequence[Ranked]) -> str:
    """Render a mashup and return its part of the page.

    A caller that also saves the mashups calls this for each mashup in turn, so that each is rendered once.
    """
    return _card(item, _sizes(among))


def _section(heading: str, content: Sequence[str]) -> str:
    return f"<section>\n<h2>{heading}</h2>\n{pages.items(content)}\n</section>" if content else ""


# ---------------------------------------------------------------------------------------------------------- cards
def _contents(ranked: Sequence[Ranked]) -> str:
    form = column_format([item.score.value for item in ranked], 3)
    rows = [
        f'<li><a href="#mashup-{item.rank}">{_heading(item.mashup)}</a> '
        f'<span class="value">{pages.score(item.score.value, form)}</span></li>'
        for item in ranked
    ]
    return f'<nav aria-label="Mashups"><ol>{"".join(rows)}</ol></nav>' if len(rows) > 1 else ""


def _heading(mashup: Mashup) -> str:
    """Return the heading: the vocal's title and the titles of the backing."""
    titles = {role: mashup.clips[role].title for role in mashup.roles}
    backing = dict.fromkeys(title for role, title in titles.items() if role is not Role.VOCAL)
    over = " and ".join(pages.name(title) for title in backing)
    return f"{pages.name(titles[Role.VOCAL])} over {over}" if backing else f"{pages.name(titles[Role.VOCAL])} alone"


def _card(item: Ranked, sizes: Mapping[str, float]) -> str:
    mashup, plan = item.mashup, item.mashup.plan
    drawn = figures(mashup)
    facts = [str(plan.condition), f"{plan.duration_s:.1f} s", f"seed {plan.seed}", f"plan {plan.id}"]
    if mashup.gain_db < 0:
        facts.append(f"lowered by {-mashup.gain_db:.1f} dB to keep its peaks")
    if mashup.limited_db > 0:
        facts.append(f"peaks limited by up to {mashup.limited_db:.1f} dB")
    facts += plan.notes
    tracks = {"mix": mashup.mix, **{str(role): stem for role, stem in mashup.stems.items()}}
    return pages.filled(
        __package__,
        "card.html",
        rank=str(item.rank),
        heading=_heading(mashup),
        facts=" · ".join(text(fact) for fact in facts),
        score=_score(item, sizes),
        layers="".join(_layer(mashup, role) for role in mashup.roles),
        duration=f"{plan.duration_s:.3f}",
        choices="".join(_choice(item.rank, name, checked=name == "mix") for name in tracks),
        players="".join(_players(tracks)),
        unknown_beats=_unknown_beats(mashup),
        after=_chart("after", "Waveforms and beats of the stems as they sound"),
        before=_chart("before", "Waveforms and beats of the stems before stretching"),
        beat_errors=_beat_errors(drawn["errors"]),
        errors=_chart("errors", "Beat errors over time, milliseconds") if drawn["errors"] else "",
        pitches=_pitches(mashup, known=drawn["chroma"] is not None),
        chroma=_chart("chroma", "Chroma of vocal and harmonic layer by the beat") if drawn["chroma"] else "",
        figures=pages.script_json(drawn),
    )


def _sizes(ranked: Sequence[Ranked]) -> dict[str, float]:
    """Return, for the score and each of its parts, the largest size on the page."""
    values: dict[str, list[float]] = {}
    for item in ranked:
        for name, value in {"score": item.score.value, **item.score.parts}.items():
            values.setdefault(name, []).append(abs(value))
    return {name: max(sizes) for name, sizes in values.items()}


def _score(item: Ranked, sizes: Mapping[str, float]) -> str:
    """Return the rows of score and parts; a full bar stands for 1, or for the largest size on the page above 1."""
    rows = []
    for name, value in {"score": item.score.value, **item.score.parts}.items():
        sign = " negative" if value < 0 else ""
        share = abs(value) / max(1.0, sizes[name])
        rows.append(
            f'<div><dt>{text(name)}</dt><dd><span class="bar{sign}" style="--share:{share:.4f}"></span>'
            f"{pages.score(value, column_format([sizes[name]], 3))}</dd></div>"
        )
    return "".join(rows)


def _layer(mashup: Mashup, role: Role) -> str:
    layer, clip = mashup.plan.layer(role), mashup.clips[role]
    facts = {
        "file": f"{pages.name(PurePath(clip.source).name)} at {clock(clip.start)}",
        "key": text(_key_change(clip.analysis.key, layer.semitones, mashup.transposition(role))),
        "Camelot, Open Key": text(_wheels(clip.analysis.key, mashup.transposition(role))),
        "tuning": text(describe(clip.analysis.tuning).replace("-", MINUS)),
        "tempo": text(_tempo_change(clip.analysis.tempo, layer)),
        "metre": text(_metre(clip.analysis)),
        "gain": f"{pages.number(layer.gain_db, 1)} dB",
        "licence": text(clip.licence),
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{fact}</dd></div>" for name, fact in facts.items())
    return (
        f'<section class="layer {layer.role}"><h3><span class="role">{layer.role}</span> {pages.name(clip.title)}</h3>'
        f"<dl>{rows}</dl></section>"
    )


def _key_change(key: Key | None, semitones: float, transposition: float) -> str:
    """Return a layer's key before and after its shift; relative to the vocal's tuning the shift is a transposition."""
    before = str(key) if key else "no key"
    if semitones == 0:
        return f"{before}, not shifted"
    # A key has a name only after a shift by whole semitones.
    after = f" → {key.transposed(int(transposition))}" if key and transposition.is_integer() else " semitones"
    return f"{before} {_shift(semitones)}{after}"


def _wheels(key: Key | None, transposition: float) -> str:
    """Return a layer's places on DJs' two wheels before and after its shift; "–" without a key."""
    if key is None:
        return NONE
    keys = [key, key.transposed(int(transposition))] if transposition and transposition.is_integer() else [key]
    return " → ".join(f"{one.camelot}, {one.open_key}" for one in keys)


def _metre(analysis: Analysis) -> str:
    if analysis.beats_per_bar is None:
        return "no bars"
    doubtful = "" if metre.doubt(analysis) is None else ", doubtful"
    return f"{analysis.beats_per_bar} beats a bar{doubtful}"


def _shift(semitones: float) -> str:
    return f"{round(semitones, 2):+g}".replace("-", MINUS) if semitones else "0"


def _tempo_change(tempo: float | None, layer: Layer) -> str:
    before = f"{tempo:.1f} BPM" if tempo else "no tempo"
    if layer.speed == 1 and layer.time_map is None:
        return f"{before}, not stretched"
    after = f" → {tempo * layer.speed:.1f} BPM" if tempo else ""
    if layer.time_map is None:
        return f"{before} × {layer.speed:.3f}{after}"
    speeds = layer.time_map.speeds
    return f"{before} × {layer.speed:.3f}{after}, along its beats at × {speeds.min():.3f} to {speeds.max():.3f}"


def _choice(rank: int, name: str, *, checked: bool) -> str:
    state = " checked" if checked else ""
    return f'<label><input type="radio" name="track-{rank}" value="{name}"{state}><span>{name}</span></label>'


def _players(tracks: Mapping[str, Audio]) -> Iterable[str]:
    # Threads are used, because encoding takes most of a page's time and libsndfile does not hold Python's lock.
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_player, tracks.keys(), tracks.values()))


def _player(name: str, audio: Audio) -> str:
    with tempfile.TemporaryDirectory() as folder:
        encoded = save(Path(folder) / f"{name}.mp3", resample(audio, PLAYER_RATE)).read_bytes()
    source = f"data:audio/mpeg;base64,{base64.b64encode(encoded).decode('ascii')}"
    return f'<label>{name} <audio controls preload="none" data-track="{name}" src="{source}"></audio></label>'


def _unknown_beats(mashup: Mashup) -> str:
    unknown = [layer.role for layer in mashup.plan.layers if len(layer_times(mashup, layer, "beats")) == 0]
    return "".join(f' <span class="missing">No beats known of the {role} clip.</span>' for role in unknown)


def _chart(name: str, label: str) -> str:
    # This chart has no playhead, because the times of unstretched clips are not the mashup's.
    playhead = "" if name == "before" else '<div class="playhead"></div>'
    return f'<div class="timed"><canvas data-chart="{name}" role="img" aria-label="{label}"></canvas>{playhead}</div>'


def _beat_errors(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return '<span class="missing">No beats to compare: not known of the vocal clip, or of any other.</span>'
    lines = [f'<li class="{one["role"]}"><span class="role">{one["role"]}</span> {_errors(one)}</li>' for one in found]
    explained = (
        "How late (+) or early (−) each layer’s nearest beat is, ms, as the plan places the analysed beats. "
        "A beat of the vocal that has none within half a beat is left out."
    )
    return f'{explained}<ul class="errors">{"".join(lines)}</ul>'


def _errors(layer: Mapping[str, Any]) -> str:
    """Return the statistics of one layer's beat errors as a sentence."""
    total, missing = len(layer["ms"]), layer["missing"]
    if missing == total:
        return f"no beat within half a beat of any of the vocal’s {total}"
    said = f"median {layer['median']:.0f} ms, 95 % within {layer['within']:.0f} ms"
    if layer["last_bar"] is not None:
        said += f", last bar {layer['last_bar']:.0f} ms"
    if missing:
        said += f"; {missing} of the vocal’s {total} beats have no partner"
    steady = layer["at_one_speed"]
    if steady is not None and steady["median"] is not None:
        said += f"; at one speed it would be {steady['median']:.0f} and {steady['within']:.0f} ms"
    return said


def _pitches(mashup: Mashup, *, known: bool) -> str:
    if not known:
        missing = "beats known of the vocal clip" if Role.HARMONIC in mashup.roles else "harmonic layer"
        return f'<span class="missing">No {missing}: no chroma to show.</span>'
    shift = _shift(mashup.plan.layer(Role.HARMONIC).semitones)
    return (
        "How strongly each pitch class sounds, by the vocal’s beats; the harmonic layer before and after its shift of "
        f"{shift} semitones."
    )


# ---------------------------------------------------------------------------------------------------- how it was made
def _made(ranked: Sequence[Ranked], components: Mapping[str, Mapping[str, Any]]) -> str:
    used: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for kind, described in _components(ranked, components):
        # A plan's record of its generator has these fields; a full description, if given, comes first and is kept.
        recorded = [kind, *(described.get(field) for field in ("name", "distribution", "version", "options"))]
        used.setdefault(json.dumps(recorded, sort_keys=True, default=str), (kind, described))
    rows = [_component(kind, described) for kind, described in used.values()]
    heads = ("", "component", "versions", "options", "licences")
    return f"<p>mashkit {text(version('mashkit'))}</p>{pages.table(heads, rows, said=0)}"


def _components(
    ranked: Sequence[Ranked], components: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from components.items()
    for item in ranked:
        yield from ((described["kind"], described) for described in item.mashup.provenance())
        if item.mashup.plan.generator:
            yield "generator", item.mashup.plan.generator.plain()
        yield "stretcher", item.mashup.renderer.stretcher.described()


def _component(kind: str, described: Mapping[str, Any]) -> str:
    """Return a row of the table; missing fields stay empty (for example, a plan records no licences)."""
    versions = {described.get("distribution") or "": described.get("version"), **described.get("requires", {})}
    licences = {"code": described.get("code_license"), "weights": described.get("weights_license")}
    weights = {name: f"sha256 {digest[:12]}…" for name, digest in described.get("weights", {}).items()}
    called = "<br>".join(text(part) for part in (described.get("name"), described.get("engine")) if part)
    cells = [
        called,
        pages.pairs(versions),
        pages.pairs(described.get("options", {})),
        pages.pairs({**licences, **weights}),
    ]
    return pages.row(text(kind), *map(pages.cell, cells))
