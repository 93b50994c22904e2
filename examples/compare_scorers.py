"""Several scorers side by side as a pandas table: ``python examples/compare_scorers.py [SONGS]`` (pip install pandas).

All of them judge the same plans: a row is a mashup, a column a scorer. Scores of different scorers have different
scales, so the table ends with how well their orders agree.
"""

import sys
from pathlib import Path

import pandas as pd

import mashkit as mk

SONGS = Path(__file__).parent / "songs"
SCORERS = ("intervalnet", "amu", "tiv", "f0chroma")


def main(songs=SONGS, scorers=SCORERS):
    """Print the table and the rank correlations, and return the table."""
    drawing = mk.Kit()
    catalog = drawing.catalog(songs)
    plans = [mashup.plan for mashup in drawing.generate(catalog, count=12, seed=1)]
    vocals = [catalog.clip(plan.layer(mk.Role.VOCAL).clip_id).title for plan in plans]
    table = pd.DataFrame({"plan": [plan.id for plan in plans], "vocal": vocals})
    for scorer in scorers:
        results = mk.Kit(scorer=scorer).score_plans(catalog, plans)
        table[scorer] = [result.value if isinstance(result, mk.Score) else float("nan") for result in results]
    print(table.sort_values(scorers[0], ascending=False).to_string(index=False))
    print(table[list(scorers)].rank().corr().round(2).to_string())
    return table


if __name__ == "__main__":
    main(*sys.argv[1:])
