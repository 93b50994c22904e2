"""Train a scorer on one's own database: ``python examples/train_on_own_songs.py DATABASE RUN [STEPS]``.

It takes the features of all clips (never the sound), trains the network of the default scorer on them, and scores with
what it learnt. A few dozen songs and some thousand steps are the least that is worth a try; docs/training.md says more.
Needs the plugin that trains: ``mashkit plugins`` lists the commands `features` and `train`.
"""

import sys
from pathlib import Path

import mashkit as mk
from mashkit.cli import main as mashkit


def main(database, run, steps="4000"):
    """Train, and return the three best of thirty mashups of the database by the new network."""
    store = Path(run) / "features"
    for command in (
        ["features", "db", str(database), "-o", str(store)],
        ["train", "--data", str(store), "--variant", "intervalnet", "-o", str(run), "--steps", steps,
         "--validate-every", str(min(200, int(steps))), "--learning-rate", "2e-3", "--seed", "1"],
    ):  # fmt: skip
        if mashkit(command) != 0:
            sys.exit(f"mashkit {command[0]} failed: see above")
    checkpoint = Path(run) / "intervalnet.safetensors"
    kit = mk.Kit(scorer="intervalnet", options={"scorer": {"checkpoint": str(checkpoint)}})
    catalog = mk.Catalog(mk.MashupDB(database))
    best = kit.rank(kit.generate(catalog, count=30, seed=1), top=3)
    for one in best:
        print(f"{one.rank}. {one.score.value:.3f}  {one.mashup.plan.id}")
    return best


if __name__ == "__main__":
    sys.exit(__doc__) if len(sys.argv) <= 2 else main(*sys.argv[1:])
