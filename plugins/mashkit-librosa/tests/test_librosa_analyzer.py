from mashkit.testing import AnalyzerContract


class TestLibrosaAnalyzer(AnalyzerContract):
    component = "librosa"
