"""The generator `versus`: its card. Imported whenever components are listed: nothing heavy here."""

from mashkit import ComponentInfo, hookimpl

GENERATOR = ComponentInfo(
    name="versus",
    target="mashkit_versus.generator:VersusGenerator",
    summary="the voice of one song over all the rest of one other",
    provides={"versus"},
    code_license="MIT",
    api=1,
    thread_safe=True,
)


@hookimpl
def mashkit_register_generators():
    """Register the generator."""
    return [GENERATOR]
