"""Small listening tests of synthetic sound, for tests of what is done with them."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mashkit.audio.files import load, save
from mashkit.listen import designs, freezing
from mashkit.listen.designs import Candidate
from mashkit.listen.freezing import Frame
from mashkit.listen.records import QUESTIONS, PageKind
from mashkit.listen.study import Protocol, Rules, Study
from mashkit.synthetic import signals
from mashkit.types import Audio, Key

HOSTILE = ('<img src=x onerror="document.title=1">', "'; DROP TABLE answers; --", "../../etc/passwd", "=cmd()")
"""Names that do harm where a program takes them for something else than a name."""
SYSTEMS = ("secretive-system-one", "secretive-system-two")
"""Names of systems that occur nowhere else, so that a test finds them in whatever a rater gets."""


def draws(seed: int | str) -> random.Random:
    """Return a source of draws that can be repeated."""
    return random.Random(seed)  # noqa: S311 — no secret depends on it


def sounds(folder: Path, count: int, *, bars: int = 4) -> list[Path]:
    """Write mixes of synthetic bands, each about 2 s a bar."""
    made = []
    for index in range(count):
        stems, _ = signals.band(Key(index % 12, "major"), tempo=120.0, bars=bars, seed=index, sample_rate=22_050)
        mix = signals.mix(stems)
        loud = Audio(mix.samples * (0.3 + 0.1 * index), mix.sample_rate)
        made.append(save(folder / f"sound-{index}.wav", loud))
    return made


def table(folder: Path, pages: int, *, bars: int = 4, names: Sequence[str] = SYSTEMS, training: int = 1) -> Path:
    """Write the table of a study of one's own: pages of two systems, and one with a control and its original."""
    files = sounds(folder, 4, bars=bars)
    rows: list[dict[str, Any]] = []
    for page in range(pages):
        for place, system in enumerate(names[:2]):
            rows.append({"page": f"p{page}", "file": files[place].name, "system": system, "vocal": f"v{page}"})
    for page in range(training):
        for file, system in zip(files[2:], ("original", "unmatched"), strict=True):
            rows.append(
                {"page": f"t{page}", "file": file.name, "system": system, "vocal": f"t{page}", "kind": "training"}
            )
    for file, system in zip(files[2:], ("original", "unmatched"), strict=True):
        rows.append({"page": "n", "file": file.name, "system": system, "vocal": "n"})
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["page", "file", "system", "vocal", "kind"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def custom(
    folder: Path,
    *,
    pages: int = 4,
    asks: PageKind = PageKind.RATING,
    frame: Mapping[str, Any] | None = None,
    protocol: Mapping[str, Any] | None = None,
    **made: Any,
) -> Study:
    """Freeze a study of one's own in ``folder``/study and return it."""
    chosen = Protocol(**{"pages_per_rater": pages, "must_play_s": 1.0, **(protocol or {})})
    rules = Rules(fewest_pages=pages, fewest_seconds=None)
    around = Frame(**{"title": "A test", "seed": 3, "protocol": chosen, "rules": rules, **(frame or {})})
    return freezing.freeze_table(table(folder, pages, **made), around, folder / "study", asks=asks)


def answered(study: Study, page: str, *, chance: random.Random | None = None) -> dict[str, Any]:
    """Return a whole and valid answer to a page."""
    draw = chance or draws(page)
    samples = study.page[page].samples
    given: dict[str, Any] = {
        "page": page,
        "heard": draw.random() < 0.5,
        "played": dict.fromkeys(samples, 9.5),
        "seconds": 40.0,
        "playback": [[0.0, "play", 0, 0.0]],
    }
    if study.asks is PageKind.PREFERENCE:
        return given | {"preferred": draw.choice([*samples, ""])}
    return given | {"ratings": {one: {question: draw.randint(1, 5) for question in QUESTIONS} for one in samples}}


def pages_each(study: Study) -> int:
    """Return how many pages a rater of this study sees, from training to the last repeated page."""
    protocol = study.protocol
    results = min(protocol.pages_per_rater, len(study.results))
    repeats = min(protocol.repeats_per_rater, max(1, results // 2))
    negatives = min(protocol.negatives_per_rater, len(study.negatives))
    return len(study.of_kind(PageKind.TRAINING)) + results + negatives + repeats


def designed(folder: Path, task: str, **protocol: Any) -> Study:
    """Freeze a study of one of the designs, of synthetic sounds instead of mashups."""
    systems = [f"secretive-system-{number}" for number in range(5 if task == "retrieval" else 2)]
    frame = Frame(
        title="A test", seed=3, protocol=Protocol(must_play_s=0.7, **protocol), rules=Rules(fewest_seconds=None)
    )
    with freezing._Making(folder, frame, str) as making:
        for number, path in enumerate(sounds(folder.parent, 8)):
            making.sounds.add(str(number), load(path))
        vocals = [f"v{number}" for number in range(3)]
        mashups = {vocal: [Candidate(sound=str(one), vocal=vocal, song=vocal) for one in range(6)] for vocal in vocals}
        originals = {vocal: Candidate(sound="6", vocal=vocal, song=vocal) for vocal in vocals}
        controls = {vocal: Candidate(sound="7", vocal=vocal, song=vocal) for vocal in vocals[:1]}
        best = {vocal: dict(zip(systems, of, strict=False)) for vocal, of in mashups.items()}
        if task == "generation":
            rankings = {system: mashups[vocal] for system, vocal in zip(systems, vocals, strict=False)}
            designs.generation(making.layout, rankings, originals, each=3)
        elif task == "retrieval":
            designs.retrieval(making.layout, best, originals, {})
        else:
            designs.preference(making.layout, best)
        kind = PageKind.PREFERENCE if task == "preference" else PageKind.RATING
        designs.controls(making.layout, kind, controls, originals)
        designs.controls(making.layout, PageKind.TRAINING, controls, originals)
        return making.finish(task, {system: {} for system in systems}, dict.fromkeys(map(str, range(8)), 0.0))
