from mashkit.testing import AnalyzerContract


class TestKeyProfileAnalyzer(AnalyzerContract):
    component = "key-profile"
