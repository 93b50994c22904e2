"""AMU against PreMixNet in ten lines: ``python examples/amu_against_premixnet.py [SONGS]``.

Both judge originals (stems of one song, as they were) and mashups that clash in key and tempo.
"""

import sys
from pathlib import Path

import mashkit as mk


def main(songs=Path(__file__).parent / "songs"):
    """Print and return, for both, the share of pairs in which the original scores above what clashes."""
    catalog, shares = mk.Kit().catalog(songs), {}
    for scorer in ("amu", "premixnet"):
        kit = mk.Kit(scorer=scorer)
        good, bad = (
            [score.value for score in kit.score(kit.generate(catalog, condition=condition, count=6, seed=1))]
            for condition in ("original", "unmatched-key-tempo")
        )
        shares[scorer] = sum(one > other for one in good for other in bad) / (len(good) * len(bad))
        print(f"{scorer:<10} {shares[scorer]:.2f}")
    return shares


if __name__ == "__main__":
    main(*sys.argv[1:])
