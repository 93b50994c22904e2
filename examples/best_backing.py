"""The best backing for one vocal file, of a voice alone: ``python examples/best_backing.py VOICE KEY BPM DOWNBEAT``.

Nothing guesses key, tempo and bars of a voice alone, so they are given: "A minor", 104, and the second at which a bar
begins. The backing comes from the demo songs, or from the folder named after them.
"""

import sys
from pathlib import Path

import mashkit as mk
from mashkit.catalog.lone import VOICE, describe_lone
from mashkit.paths import absolute, path_text

SONGS = Path(__file__).parent / "songs"


def main(voice, key, tempo, downbeat, songs=SONGS, output="best-backing"):
    """Print the three best of fifty, write the best, and return all three."""
    described = describe_lone(Path(voice), VOICE, key=key, tempo=tempo, downbeat=downbeat)
    kit = mk.Kit()
    catalog = kit.catalog(songs, described=[described])
    clip = next(clip for clip in catalog.clips if clip.source == path_text(absolute(voice)))
    best = kit.rank(kit.generate(catalog, vocal=clip.id, count=50, seed=1), top=3)
    for one in best:
        backing = {one.mashup.clips[layer.role].title for layer in one.mashup.plan.layers[1:]}
        print(f"{one.rank}. {one.score.value:.3f}  {' and '.join(sorted(backing))}")
    best[0].mashup.save(output)
    return best


if __name__ == "__main__":
    sys.exit(__doc__) if len(sys.argv) <= 4 else main(*sys.argv[1:])
