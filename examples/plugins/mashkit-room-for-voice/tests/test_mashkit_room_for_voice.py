from mashkit.testing import ScorerContract


class TestRoomForVoiceScorer(ScorerContract):
    component = "room-for-voice"
