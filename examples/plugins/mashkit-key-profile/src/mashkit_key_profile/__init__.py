"""The analyzer `key-profile`: its card. Imported whenever components are listed: nothing heavy here."""

from mashkit import ComponentInfo, hookimpl

ANALYZER = ComponentInfo(
    name="key-profile",
    target="mashkit_key_profile.analyzer:KeyProfileAnalyzer",
    summary="key by profiles of pitch classes (Krumhansl and Kessler 1982)",
    provides={"key"},
    code_license="MIT",
    citation="Krumhansl and Kessler 1982, Psychological Review 89(4)",
    api=1,
    thread_safe=True,
)


@hookimpl
def mashkit_register_analyzers():
    """Register the analyzer."""
    return [ANALYZER]
