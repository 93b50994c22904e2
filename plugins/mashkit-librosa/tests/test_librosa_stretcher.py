from mashkit.testing import StretcherContract


class TestLibrosaStretcher(StretcherContract):
    component = "librosa"
