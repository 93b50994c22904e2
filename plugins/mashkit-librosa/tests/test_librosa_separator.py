from mashkit.testing import SeparatorContract


class TestLibrosaSeparator(SeparatorContract):
    component = "librosa"
