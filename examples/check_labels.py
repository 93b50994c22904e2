"""Prove the analysis: compare what the default analyzer found in the demo songs with their exact labels.

Run after `mashkit mash examples/songs`, whose results it reads from the cache; alone it computes them.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import mashkit as mk
from mashkit.timing.beats import beat_error

SONGS = Path(__file__).parent / "songs"
TOLERANCE_S = 0.07
"""Window in which a downbeat counts as found: the usual one of the field (MIREX)."""


def main() -> int:
    """Print a row a song; return 1 if any key, tempo (1 %) or downbeat (90 % within 70 ms) is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--separator", default=mk.Kit().chosen["separator"], help="default: %(default)s")
    catalog = mk.Kit(separator=parser.parse_args().separator).catalog(SONGS)
    wrong = len(catalog.failures)
    print(f"{'song':<18} {'key':<20} {'tempo':<18} {'downbeats found':<16} median beat error")
    for clip in catalog.clips:
        label = json.loads((SONGS / f"{clip.title}.json").read_text())
        found, truth = clip.analysis, mk.Key(label["tonic"], label["mode"])
        # The clip is cut out of the song, on the downbeats that were found: one within the tolerance of its edges may
        # lie on either side.
        beats, downbeats = (np.array(label[name]) - clip.start for name in ("beats", "downbeats"))
        inside = (downbeats > -TOLERANCE_S) & (downbeats < clip.duration - TOLERANCE_S)
        errors = np.abs(beat_error(downbeats[inside], found.downbeats))
        share = float(np.mean(errors < TOLERANCE_S))
        beats = np.abs(beat_error(found.beats, beats))
        right = found.key == truth and abs(found.tempo / label["tempo"] - 1) < 0.01 and share >= 0.9
        wrong += not right
        print(
            f"{clip.title:<18} {found.key!s:<8} ({truth!s:<8})  {found.tempo:6.2f} ({label['tempo']:>3} BPM) "
            f"{share:>7.0%} of {len(errors):<3}    {1000 * np.median(beats):5.0f} ms  {'ok' if right else 'WRONG'}"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
