"""Own stems, own key and tempo: ``python examples/own_stems.py FOLDER KEY BPM DOWNBEAT``.

FOLDER holds vocals.flac, drums.flac and other.flac of one song, of equal length. They are used as they are: nothing is
separated and nothing is guessed. The song's voice is laid over the demo songs, or over those of the folder named last.
"""

import sys
from pathlib import Path

import numpy as np

import mashkit as mk
from mashkit.catalog.songs import trusting

SONGS = Path(__file__).parent / "songs"


def main(folder, key, tempo, downbeat, songs=SONGS, output="own-stems"):
    """Write the best mashup of twenty in which the song sings, and return it."""
    folder, tempo = Path(folder), float(tempo)
    stems = {name: folder / f"{name}.flac" for name in ("vocals", "drums", "other")}
    beats = np.arange(float(downbeat), mk.load(stems["vocals"]).duration, 60 / tempo)
    known = mk.Analysis(key=mk.Key.parse(key), tempo=tempo, beats=beats, downbeats=beats[::4])
    song = trusting(mk.Song(path=folder, title=folder.name, stems=stems, known=known))
    kit = mk.Kit()
    catalog = kit.catalog(songs, described=[song])
    clip = next(clip for clip in catalog.clips if clip.title == folder.name)
    (best,) = kit.rank(kit.generate(catalog, vocal=clip.id, count=20, seed=1), top=1)
    print(f"{clip.analysis.key}, {clip.analysis.tempo} BPM as given; score {best.score.value:.3f}")
    best.mashup.save(output)
    return best


if __name__ == "__main__":
    sys.exit(__doc__) if len(sys.argv) <= 4 else main(*sys.argv[1:])
