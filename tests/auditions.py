"""A small database and what `mashkit mash` made of it, for tests of auditions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from light import Grid, Thirds
from mashkit.atomicfile import write_json
from mashkit.audio.files import save
from mashkit.catalog import Catalog, MashupDB
from mashkit.pipeline import Kit
from mashkit.rendering.output import write_mashup
from mashkit.synthetic import signals
from mashkit.types import Audio, Key

HOSTILE = '<img src=x onerror="document.title=1">'
"""A song's file name, and so its title, that does harm where a program takes it for HTML."""


def database(folder: Path) -> Path:
    """Make a database of four synthetic songs; the analyzer says of each that it is in A minor, at 120 BPM."""
    songs = folder / "songs"
    for seed, name in enumerate(("one", HOSTILE, "three", "four")):
        stems, _ = signals.band(
            Key(9, "minor"), tempo=120.0, bars=16, first_downbeat=0.3, seed=seed, sample_rate=22_050
        )
        mix = signals.mix(stems)
        save(songs / f"{name}.flac", Audio(np.float32(0.5) * mix.samples, mix.sample_rate))
    with MashupDB(folder / "db") as made:
        Kit(separator=Thirds(), analyzer=Grid()).add(made, songs, with_features=False)
    return folder / "db"


def output(folder: Path, database: Path) -> Path:
    """Return the folder of four mashups of a database, as `mashkit mash` writes it, but for its page, which is slow."""
    out = folder / "out"
    kit = Kit(scorer="random")
    with MashupDB(database, write=False) as opened:
        ranked = kit.rank(kit.generate(Catalog(opened), count=6), top=4)
        records = [
            {"score": one.score.to_dict(), **write_mashup(one.mashup, out / f"mashup-{one.rank}")} for one in ranked
        ]
    write_json(out / "scores.json", {"mashups": records, "components": {"scorer": kit.scorer.described()}})
    return out


def made(factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a database, and mashups of it."""
    folder = factory.mktemp("auditions")
    db = database(folder)
    return db, output(folder, db)
