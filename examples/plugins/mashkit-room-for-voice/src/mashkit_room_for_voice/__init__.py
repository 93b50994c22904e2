"""The scorer `room-for-voice`: its card. Imported whenever components are listed: nothing heavy here."""

from mashkit import ComponentInfo, hookimpl

SCORER = ComponentInfo(
    name="room-for-voice",
    target="mashkit_room_for_voice.scorer:RoomForVoiceScorer",
    summary="prefers a harmony that leaves room where the voice is",
    provides={"above_db"},
    code_license="MIT",
    api=1,
    thread_safe=True,
)


@hookimpl
def mashkit_register_scorers():
    """Register the scorer."""
    return [SCORER]
