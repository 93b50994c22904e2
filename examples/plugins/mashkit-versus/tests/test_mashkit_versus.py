from mashkit.testing import GeneratorContract


class TestVersusGenerator(GeneratorContract):
    component = "versus"
