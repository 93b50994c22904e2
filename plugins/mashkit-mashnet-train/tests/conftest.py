"""A small store of rendered songs, as features."""

import pytest

from mashkit.bench import rendered
from mashkit.types import ROLE_STEMS, Audio, Role, Samples, StemSet
from mashkit_mashnet.stem_features import StemFeatures
from mashkit_mashnet_train.examples import split_of
from mashkit_mashnet_train.store import Record, Store, StoreWriter

SONGS = {"training": 6, "validation": 4, "test": 2}


def role_audio(stems: StemSet, role: Role) -> Audio:
    parts = [stems.stems[name].mono() for name in ROLE_STEMS[role] if name in stems.stems]
    summed: Samples = sum(parts[1:], start=parts[0])
    return Audio(summed[None], rendered.SAMPLE_RATE)


def names() -> list[str]:
    """Songs of which each split gets its share."""
    songs = [f"song-{number:03}" for number in range(200)]
    return [song for split, count in SONGS.items() for song in [one for one in songs if split_of(one) == split][:count]]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    writer = StoreWriter(tmp_path_factory.mktemp("features") / "store", {"recipe": "test"})
    for number, name in enumerate(names()):
        song = rendered.compose(3, number)
        stems = rendered.render(song)
        writer.add(
            Record(id=name, song=name, duration=song.duration_s, analysis=song.analysis),
            {role: StemFeatures.of(role_audio(stems, role)) for role in Role},
        )
    return writer.close()
