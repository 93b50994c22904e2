"""Change a chosen plan and render it again: ``python examples/change_a_plan.py out/mashup-1/plan.json``.

A plan is data and makes no sound: change a copy, and give it to a kit with the songs that it was drawn from.
"""

import sys
from pathlib import Path

import attrs

import mashkit as mk

SONGS = Path(__file__).parent / "songs"


def main(plan, songs=SONGS, output="changed"):
    """Lower the harmony by 3 dB, fade out over two seconds, render, and return the mashup."""
    chosen = mk.MashupPlan.from_json(Path(plan).read_text(encoding="utf-8"))
    layers = [
        attrs.evolve(layer, gain_db=layer.gain_db - 3) if layer.role is mk.Role.HARMONIC else layer
        for layer in chosen.layers
    ]
    changed = attrs.evolve(chosen, layers=layers, mixing=attrs.evolve(chosen.mixing, fade_out_s=2.0))
    kit = mk.Kit()
    (mashup,) = kit.mashups(kit.catalog(songs), [changed])
    mashup.save(output)
    print(f"{chosen.id} became {changed.id}: {output}/mix.flac")
    return mashup


if __name__ == "__main__":
    sys.exit(__doc__) if len(sys.argv) <= 1 else main(*sys.argv[1:])
