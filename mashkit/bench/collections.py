"""Open the music on which a benchmark runs.

A suite names its collection. mashkit and its plugins bring collections with the hook ``mashkit_register_collections``;
mashkit's own are in :mod:`mashkit.builtin.benchmarks`. The collection "rendered" is made from a seed, so that every
suite runs where there is no music; most others are looked for in the folder ``--data``.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs

from mashkit.arguments import default_cache
from mashkit.atomicfile import write_json
from mashkit.audio.files import AUDIO_SUFFIXES, save
from mashkit.bench import rendered
from mashkit.bench.identity import plugins_code
from mashkit.bench.multitracks import MultitrackSource, TrueStemSource, find_multitracks, measured, stem_files
from mashkit.bench.registered import CollectionMissing, collections, folder_of, labels_of, opener_of, with_clips
from mashkit.bench.tasks import Input, InputLost
from mashkit.builtin.benchmarks import RENDERED_SONGS
from mashkit.catalog import Catalog
from mashkit.components import plain
from mashkit.components.fence import plugin_code
from mashkit.errors import BrokenPlugin, CatalogError, suggestion
from mashkit.hookspecs import CollectionInfo, StageEvent
from mashkit.mashup import ClipSource
from mashkit.models import file_sha256
from mashkit.paths import absolute, path_of
from mashkit.pipeline import Kit
from mashkit.remote.progress import report
from mashkit.types import Analysis, Audio, Clip, MashupPlan, Role, as_tuple, frozen_mapping


@attrs.frozen(kw_only=True)
class Collection:
    """Clips with the source of their sound.

    Parameters
    ----------
    name : str
    clips : tuple of Clip
    source : ClipSource
    true_stems : bool
        Whether the stems are the song's own and were not separated.
    files : mapping of str to tuple of Path
        Clip id → the files of the clip; empty for rendered clips.
    problems : tuple of str
        Songs that could not be used, and the reasons.
    recordings : mapping of str to str
        Clip id → the recording it was cut from, as "artist - title"; where it is missing, the clip's title is meant.
    """

    name: str
    clips: tuple[Clip, ...] = attrs.field(converter=as_tuple, repr=False)
    source: ClipSource = attrs.field(repr=False)
    true_stems: bool
    files: Mapping[str, tuple[Path, ...]] = attrs.field(factory=dict, converter=frozen_mapping, repr=False)
    problems: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    recordings: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping, repr=False)

    def recording(self, clip: Clip) -> str:
        """Return the recording that a clip was cut from; the text is empty for a clip without files, which is made."""
        return self.recordings.get(clip.id, clip.title) if self.files.get(clip.id) else ""

    def made_by(self, clip_ids: Iterable[str]) -> list[str]:
        """Return hashes of what is known of clips, of who made their stems, and of the code of a plugin's source."""
        ids = list(dict.fromkeys(clip_ids))
        # Paths differ between machines, and say nothing of the sound.
        known = [{**self.source.clip(clip_id).to_dict(), "source": ""} for clip_id in ids]
        whole = json.dumps([known, [plain(one) for one in self.source.provenance(ids)]], sort_keys=True)
        return [hashlib.sha256(whole.encode()).hexdigest(), *plugins_code(type(self.source))]

    def left_out(self) -> list[Input]:
        """Return a missing input for each song that could not be used, so that every result names it."""
        problems = dict.fromkeys(self.problems)
        return [Input(name=f"song: {problem}", measure="songs", missing=problem) for problem in problems]


@attrs.frozen
class Found:
    """A collection's card, where the collection lies here, and how many songs it has."""

    card: CollectionInfo
    folder: Path | None
    songs: int

    @property
    def here(self) -> bool:
        """Whether suites can run on it."""
        return self.songs > 0


def look_for(data: Path | None) -> list[Found]:
    """Return every collection, and what of it is here; no sound is decoded."""
    return [_found(card, data) for card in collections().values()]


def _found(card: CollectionInfo, data: Path | None) -> Found:
    if not card.folder:
        return Found(card, None, card.songs)
    try:
        folder = folder_of(card, data)
    except CollectionMissing:
        return Found(card, None, 0)
    if card.stems:
        return Found(card, folder, len(find_multitracks(folder)))
    if card.labels and not card.clips:
        return Found(card, folder, sum(not labels.fault() for labels in labels_of(card, data)))
    return Found(card, folder, sum(path.suffix.lower() in AUDIO_SUFFIXES for path in folder.rglob("*")))


# ----------------------------------------------------------------------------------------------------------- opening
@attrs.frozen(kw_only=True)
class Choice:
    """The collection that a suite runs on, as plain data that an input carries to the competitor's process.

    Parameters
    ----------
    name : str
        A collection that has clips.
    data : Path, optional
        Folder of recordings.
    seed : int
        Seed of rendered songs.
    songs : int
        Number of rendered songs; each song is the same however many there are.
    """

    name: str
    data: Path | None
    seed: int
    songs: int = RENDERED_SONGS

    def open(self) -> Collection:
        """Open the collection; what has been separated or analysed before comes out of the cache.

        Raises
        ------
        CollectionMissing
            If there is no collection of that name with clips, or it is not in ``data``.
        """
        return open_collection(self)

    @property
    def folder(self) -> Path:
        """Where the collection's files are: see :func:`folder_of`."""
        return folder_of(collections()[self.name], self.data)

    def to_input(self) -> dict[str, dict[str, Any]]:
        """Return the choice as parameters and place of an input."""
        data = None if self.data is None else str(self.data)
        return {
            "parameters": {"collection": self.name, "seed": self.seed},
            "place": {"data": data, "songs": self.songs},
        }

    @classmethod
    def of(cls, given: Input) -> Choice:
        """Return the choice from which an input was made."""
        told, data = given.parameters, given.place["data"]
        return cls(
            name=told["collection"], data=None if data is None else Path(data), seed=told["seed"],
            songs=given.place["songs"],
        )  # fmt: skip


def reopen(given: Input) -> Collection:
    """Open the collection of an input; raise InputLost if the collection has gone."""
    try:
        return Choice.of(given).open()
    except CollectionMissing as error:
        raise InputLost(error.problem, error.fix) from error


@functools.cache
def open_collection(choice: Choice) -> Collection:
    """Open a collection: see :meth:`Choice.open`."""
    known = with_clips()
    if choice.name not in known:
        raise CollectionMissing(f"no collection is called {choice.name!r}", suggestion(choice.name, known))
    card = known[choice.name]
    with plugin_code(f"collection {card.name!r} could not be opened", CatalogError):
        found = opener_of(card)(choice)
    if not isinstance(found, Collection):
        raise BrokenPlugin(f"{card.clips} returned {type(found).__name__}, Collection was due", "tell its authors")
    return found


def open_songs(choice: Choice) -> Collection:
    """Open a folder of whole songs, separated and analysed by the defaults."""
    catalog = Kit(notify=report).catalog(choice.folder)
    return Collection(
        name=choice.name,
        clips=catalog.clips,
        source=catalog,
        true_stems=False,
        files={clip.id: (path_of(clip.source),) for clip in catalog.clips},
        problems=[str(failure.error) for failure in catalog.failures],
    )


def open_multitracks(choice: Choice) -> Collection:
    """Open a folder of songs whose true stems are known, analysed by the default analyzer."""
    songs = find_multitracks(choice.folder)
    if not songs:
        where = collections()[choice.name].where
        raise CollectionMissing(f"no song with vocals, drums and other in {choice.folder}", where)
    source = MultitrackSource(songs)
    analyzer = Kit().analyzer
    paths = {song: tuple(stem_files(song).values()) for song in songs}
    files = {clip.id: paths[path_of(clip.source)] for clip in source.clips}
    everything = [file_sha256(path) for song in songs for path in paths[song]]

    def measure() -> list[Clip]:
        source.analyse(analyzer)
        return source.clips

    source.take(_kept(source.clips, measure, everything, analyzer.fingerprint()))
    return Collection(
        name=choice.name, clips=source.clips, source=source, true_stems=True, files=files,
        problems=source.problems, recordings={clip.id: clip.song for clip in source.clips},
    )  # fmt: skip


class RenderedSource(TrueStemSource):
    """A clip source over songs rendered from a seed, one clip for each: see :mod:`mashkit.bench.rendered`."""

    of: ClassVar[str] = "rendered songs"
    fix: ClassVar[str] = "render more, or from another seed"

    def __init__(self, seed: int, count: int) -> None:
        clips = []
        self._songs: dict[str, rendered.Composition] = {}
        for number in range(count):
            song = rendered.compose(seed, number)
            name = f"rendered-{seed}-{number + 1}"
            self._songs[name] = song
            frames = round(song.duration_s * rendered.SAMPLE_RATE)
            clips.append(Clip(
                name, name, f"Rendered {number + 1}", name, 0.0, frames / rendered.SAMPLE_RATE, rendered.SAMPLE_RATE,
                song.analysis, "CC0-1.0",
            ))  # fmt: skip
        # The roles of a rendered song take 24 MB and a third of a second (ours).
        super().__init__(clips, kept=count)

    def _make_roles(self, clip_id: str) -> dict[Role, Audio]:
        stems = rendered.render(self._songs[clip_id])
        return {role: stems.role(role) for role in Role}


def open_rendered(choice: Choice) -> Collection:
    """Render songs from a seed."""
    source = RenderedSource(choice.seed, choice.songs)

    def measure() -> list[Clip]:
        clips = []
        for done, clip in enumerate(source.clips, 1):
            clips.append(measured(clip, source.stems(clip.id), clip.analysis))
            report(StageEvent(stage="render", item=clip.title, state="done", done=done, total=choice.songs))
        return clips

    source.take(_kept(source.clips, measure, [file_sha256(Path(rendered.__file__))], str(choice.seed)))
    return Collection(name=choice.name, clips=source.clips, source=source, true_stems=True)


# ------------------------------------------------------------------------------------------------------------- cache
def _kept(clips: Sequence[Clip], measure: Callable[[], list[Clip]], *depends_on: Any) -> list[Clip]:
    """Return clips as they were measured before, or measure and keep them; the key is all that they depend on."""
    shape = [(clip.id, clip.start, clip.duration) for clip in clips]
    key = hashlib.sha256(json.dumps([shape, *depends_on]).encode()).hexdigest()
    path = default_cache() / "bench" / f"{key}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # The file is not there or damaged: the clips are measured, and the file is written anew.
        made = measure()
        write_json(path, [_to_dict(clip) for clip in made])
        return made
    return [_with(clip, facts) for clip, facts in zip(clips, kept, strict=True)]


def _to_dict(clip: Clip) -> dict[str, Any]:
    # Silence is −∞ LUFS, for which JSON has no number.
    levels = {str(role): None if level == float("-inf") else level for role, level in clip.loudness.items()}
    return {
        "analysis": clip.analysis.to_dict(),
        "loudness": levels,
        "activity": {str(role): share for role, share in clip.activity.items()},
        "entry": {str(role): moment for role, moment in clip.entry.items()},
    }


def _with(clip: Clip, facts: Mapping[str, Any]) -> Clip:
    return attrs.evolve(
        clip,
        analysis=Analysis.from_dict(facts["analysis"]),
        loudness={Role(role): float("-inf") if level is None else level for role, level in facts["loudness"].items()},
        activity={Role(role): share for role, share in facts["activity"].items()},
        entry={Role(role): moment for role, moment in facts["entry"].items()},
    )


# ----------------------------------------------------------------------------------------------- another separator
def id_with_stems_of(clip_id: str, separator: str) -> str:
    """Return the id of a clip with the stems of another separator (:class:`OtherStems`); "" for its own stems."""
    return f"{clip_id}~{separator}" if separator else clip_id


def with_stems_of(plan: MashupPlan, separator: str) -> MashupPlan:
    """Return a plan of the same clips with the stems of another separator; "" for their own stems."""
    layers = [attrs.evolve(layer, clip_id=id_with_stems_of(layer.clip_id, separator)) for layer in plan.layers]
    return attrs.evolve(plan, layers=layers)


class OtherStems:
    """The clips of one source with the stems that another separator makes of their mixes.

    The clips have ids of their own (:func:`id_with_stems_of`), because caches find stems by the clip's id.

    Parameters
    ----------
    base : ClipSource
        Source of the clips and of their analyses.
    catalog : Catalog
        Source of the stems.
    pairs : mapping of str to str
        Clip id → the catalog's clip of the same sound.
    separator : str
    """

    def __init__(self, base: ClipSource, catalog: Catalog, pairs: Mapping[str, str], separator: str) -> None:
        self._base, self._catalog, self._pairs, self._separator = base, catalog, dict(pairs), separator
        self._ids = {id_with_stems_of(own, separator): own for own in self._pairs}

    def _own(self, clip_id: str) -> str:
        if clip_id not in self._ids:
            raise CatalogError(f"no clip {clip_id!r} separated by {self._separator!r}", "give songs it has separated")
        return self._ids[clip_id]

    def clip(self, clip_id: str) -> Clip:
        """Return the base's clip under this id."""
        return attrs.evolve(self._base.clip(self._own(clip_id)), id=clip_id)

    def stem(self, clip_id: str, role: Role) -> Audio:
        """Return the stem of that role that the other separator made."""
        return self._catalog.stem(self._pairs[self._own(clip_id)], role)

    def provenance(self, clip_ids: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Return the components that made the stems."""
        return self._catalog.provenance([self._pairs[self._own(clip_id)] for clip_id in clip_ids])


@functools.cache
def separated_by(choice: Choice, separator: str) -> OtherStems:
    """Return a collection's clips with the stems of another separator; earlier stems come from the cache.

    Raises
    ------
    CollectionMissing
        As :meth:`Choice.open`.
    ComponentError
        If the separator cannot be created.
    CatalogError
        If the separator fails on a clip.
    """
    collection = choice.open()
    kit = Kit(separator=separator, notify=report)
    if not collection.true_stems:
        catalog = kit.catalog(sorted({path for paths in collection.files.values() for path in paths}))
        places = {(clip.song, clip.start): clip.id for clip in catalog.clips}
        pairs = {clip.id: places.get((clip.song, clip.start)) for clip in collection.clips}
    else:
        # A collection of stems has no mixes: they are made. The quick analyzer serves, because the analyses stay.
        kit = Kit(separator=separator, analyzer="librosa", notify=report)
        mixes = {clip.id: _mix_file(collection, clip) for clip in collection.clips}
        # Each clip is a file here, and two clips of one song may overlap.
        catalog = kit.catalog(list(mixes.values()), same_recording="separate")
        by_path = {path_of(clip.source): clip.id for clip in catalog.clips}
        pairs = {clip_id: by_path.get(absolute(path)) for clip_id, path in mixes.items()}
    lost = [clip_id for clip_id, other in pairs.items() if other is None]
    if lost:
        reason = str(catalog.failures[0].error) if catalog.failures else "no clip of the same sound"
        raise CatalogError(f"separator {separator!r} made nothing of {', '.join(lost)}: {reason}")
    return OtherStems(collection.source, catalog, {own: other for own, other in pairs.items() if other}, separator)


def _mix_file(collection: Collection, clip: Clip) -> Path:
    """Return the file of the clip's mix in the cache; it is written if it is not there."""
    sound = [file_sha256(path) for path in collection.files.get(clip.id, (Path(rendered.__file__),))]
    key = hashlib.sha256(json.dumps([clip.id, clip.start, clip.duration, *sound]).encode()).hexdigest()
    path = default_cache() / "bench" / f"{key}.wav"
    if not path.exists():
        stems = [collection.source.stem(clip.id, role).samples for role in Role]
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, Audio(sum(stems[1:], stems[0]), clip.sample_rate))
    return path
