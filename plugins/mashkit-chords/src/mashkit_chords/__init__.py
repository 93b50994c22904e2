"""mashkit scorer: chord tones under the melody, and the agreement of the two songs' chords."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

CHORDS = ComponentInfo(
    name="chords",
    target="mashkit_chords.scorer:ChordsScorer",
    summary="Chords: how much of the vocal lies on the backing's chords, and how far both songs' chords agree",
    provides={"tones", "agreement"},
    code_license="MIT",
    citation="mashkit (ours); chord labels after Harte, Sandler, Abdallah, Gómez: Symbolic representation of musical "
    "chords, ISMIR 2005",
    engine="chord labels",
    thread_safe=True,
)


@hookimpl
def mashkit_register_scorers() -> Iterable[ComponentInfo]:
    """Register the scorer."""
    return [CHORDS]
