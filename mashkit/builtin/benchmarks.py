"""The cards of the tasks, collections and suites of `mashkit bench` that are part of mashkit itself."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable

from mashkit.hookspecs import CollectionInfo, TaskInfo

TASKS = [
    TaskInfo(name="alignment", target="mashkit.bench.alignment:AlignmentTask"),
    TaskInfo(name="analyzers", target="mashkit.bench.analyzers:AnalyzerTask"),
    TaskInfo(name="generators", target="mashkit.bench.generators:GeneratorTask"),
    TaskInfo(name="scorers", target="mashkit.bench.scorers:ScorerTask"),
    TaskInfo(name="separators", target="mashkit.bench.separators:SeparatorTask"),
    TaskInfo(name="stretchers", target="mashkit.bench.stretchers:StretcherTask"),
]

RENDERED_SONGS = 12
"""Number of songs of the collection "rendered"; each is one clip."""

_OPENED = "mashkit.bench.collections"
_READ = "mashkit.bench.labelled"
_ALL = ("separator", "analyzer", "stretcher", "scorer", "generator")

COLLECTIONS = [
    CollectionInfo(
        name="rendered",
        title="songs composed and rendered from the suite's seed: exact stems, key, tempo and beats",
        licence="CC0-1.0",
        where="nothing is needed",
        serves=_ALL,
        clips=f"{_OPENED}:open_rendered",
        songs=RENDERED_SONGS,
    ),
    CollectionInfo(
        name="demo",
        title="mashkit's six demo songs, with exact labels",
        licence="CC0-1.0",
        folder="examples/songs",
        beside="mashkit",
        where="in a clone of mashkit: examples/songs",
        serves=("analyzer", "scorer", "generator"),
        clips=f"{_OPENED}:open_songs",
        labels=f"{_READ}:read_demo",
    ),
    CollectionInfo(
        name="songs",
        title="whole songs of yours, separated by the default separator",
        licence="each song's own",
        folder="songs",
        where="sound files in DATA/songs",
        serves=("scorer", "generator"),
        clips=f"{_OPENED}:open_songs",
    ),
    CollectionInfo(
        name="ultrastar",
        title="those of your songs for which UltraStar gives a grid of syllables and a first beat",
        licence="each song's own",
        folder="songs",
        where="sound files in DATA/songs/<song>, each with UltraStar's song.txt beside it",
        serves=("analyzer",),
        labels=f"{_READ}:read_ultrastar",
    ),
    CollectionInfo(
        name="multitracks",
        title="songs whose true stems are known",
        licence="each song's own",
        folder="multitracks",
        where="DATA/multitracks/<song>/{vocals,drums,bass,other}.{flac,wav,opus,…}; MUSDB18-HQ's folders are laid "
        "out so (https://zenodo.org/records/3338373, for education only)",
        serves=_ALL,
        clips=f"{_OPENED}:open_multitracks",
        labels=f"{_READ}:read_multitracks",
        stems=True,
    ),
    CollectionInfo(
        name="musdb18hq",
        title="MUSDB18-HQ, the test songs: true stems",
        licence="for education only; most songs CC BY-NC-SA",
        folder="musdb18hq/test",
        where="https://zenodo.org/records/3338373, unpacked to DATA/musdb18hq",
        serves=("separator",),
        stems=True,
    ),
    CollectionInfo(
        name="giantsteps-key",
        title="604 excerpts of electronic music with their key",
        licence="see there; the audio is fetched by a script of theirs",
        folder="giantsteps-key-dataset",
        where="https://github.com/GiantSteps/giantsteps-key-dataset, as DATA/giantsteps-key-dataset",
        serves=("analyzer",),
        labels=f"{_READ}:read_giantsteps_key",
    ),
    CollectionInfo(
        name="giantsteps-tempo",
        title="664 excerpts of electronic music with their tempo",
        licence="see there; the audio is fetched by a script of theirs",
        folder="giantsteps-tempo-dataset",
        where="https://github.com/GiantSteps/giantsteps-tempo-dataset, as DATA/giantsteps-tempo-dataset",
        serves=("analyzer",),
        labels=f"{_READ}:read_giantsteps_tempo",
    ),
    CollectionInfo(
        name="ballroom",
        title="698 excerpts of ballroom music with beats and bars",
        licence="annotations: see there; audio: for research",
        folder="BallroomAnnotations",
        where="https://github.com/CPJKU/BallroomAnnotations as DATA/BallroomAnnotations, the audio as "
        "DATA/BallroomData/<dance>/<name>.wav",
        serves=("analyzer",),
        labels=f"{_READ}:read_ballroom",
    ),
    CollectionInfo(
        name="gtzan",
        title="1,000 excerpts of ten genres with key, tempo and beats",
        licence="none is stated",
        folder="gtzan_genre/genres",
        where="audio as DATA/gtzan_genre/genres/<genre>/<genre>.<number>.wav, keys of "
        "https://github.com/alexanderlerch/gtzan_key as DATA/gtzan_key, tempi and beats of "
        "https://github.com/TempoBeatDownbeat/gtzan_tempo_beat as DATA/gtzan_tempo_beat",
        serves=("analyzer",),
        labels=f"{_READ}:read_gtzan",
    ),
]


def suites() -> list[Traversable]:
    """Return the files of mashkit's own suites."""
    folder = importlib.resources.files("mashkit.bench").joinpath("suites")
    return [file for file in folder.iterdir() if file.name.endswith(".toml")]
