"""A big folder, with progress, to be interrupted at will: ``python examples/big_folder.py FOLDER DATABASE``.

Each song is kept in the database as soon as it is done. Stop the program at any moment and start it again: what is
there is not computed again. A song that cannot be used is named, and the others go on.
"""

import sys
from collections import Counter

import mashkit as mk


def main(folder, database="songs.mashdb"):
    """Add all songs of the folder to the database, and return how many were computed, there already, and failed."""
    tally = Counter()

    def tell(event):
        if event.stage == "catalog" and event.state in ("done", "cached", "failed"):
            tally[event.state] += 1
            print(f"{event.done:5} of {event.total}  {event.state:<7} {event.item}  {event.message}")

    with mk.MashupDB(database, write=True) as kept:
        try:
            report = mk.Kit(notify=tell).add(kept, folder)
        except KeyboardInterrupt:
            sys.exit("stopped; the same command goes on from here")
        for path, error in report.failures:
            print(f"not used: {path}: {error}")
        print(f"{len(mk.Catalog(kept).clips)} clips in {database}")
    return tally


if __name__ == "__main__":
    sys.exit(__doc__) if len(sys.argv) <= 1 else main(*sys.argv[1:])
