"""A plugin written against mashkit 0.1, with all that a plugin can be. Never edited: tests/test_compatibility.py."""

from mashkit import Command, ComponentInfo, hookimpl
from mashkit.models import WeightFile

CARDS = {
    kind: ComponentInfo(
        name=f"of-0-1-{kind}",
        target=f"parts_of_0_1:{kind.capitalize()}",
        summary=f"a {kind} written against 0.1",
        provides=provides,
        requires=("numpy>=1.24",),
        code_license="MIT",
        weights_license="none",
        citation="none",
        engine="parts",
        thread_safe=True,
        api=1,
    )
    for kind, provides in {
        "separator": {"vocals", "drums", "other"},
        "analyzer": {"key", "tempo", "beats", "downbeats"},
        "stretcher": {"speed", "semitones"},
        "scorer": {"length_s"},
        "generator": {"as-they-are"},
        "executor": {"threads"},
    }.items()
}

heard = []


@hookimpl
def mashkit_register_separators():
    return [CARDS["separator"]]


@hookimpl
def mashkit_register_analyzers():
    return [CARDS["analyzer"]]


@hookimpl
def mashkit_register_stretchers():
    return [CARDS["stretcher"]]


@hookimpl
def mashkit_register_scorers():
    return [CARDS["scorer"]]


@hookimpl
def mashkit_register_generators():
    return [CARDS["generator"]]


@hookimpl
def mashkit_register_executors():
    return [CARDS["executor"]]


@hookimpl
def mashkit_register_weights():
    return [
        WeightFile(
            name="of-0-1/weights",
            component="separator of-0-1-separator",
            sha256="0" * 64,
            size=1,
            licence="MIT",
            url="https://example.org/weights-of-0-1.bin",
            source="https://example.org",
        )
    ]


def configure(parser):
    parser.add_argument("words", nargs="*")


def run(arguments):
    print(f"of 0.1: {' '.join(arguments.words)}; json {arguments.json}")
    return 0


@hookimpl
def mashkit_register_commands():
    return [Command(name="of-0-1", summary="Say what it was given.", configure=configure, run=run)]


@hookimpl
def mashkit_load_audio(path):
    if path.suffix != ".of-0-1":
        return None
    import numpy as np

    from mashkit import Audio

    return Audio(np.full((1, 44_100), 0.25, np.float32), 44_100)


@hookimpl
def mashkit_stage(event):
    heard.append((event.stage, event.item, event.state, event.done, event.total, event.message))
