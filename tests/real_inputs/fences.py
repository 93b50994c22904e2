"""Plugins that misbehave, one way each, and songs on which a separator loses its temper.

Each function writes what it is called after into ``folder`` and returns the folder: of a plugin it is what belongs on
the path (``sys.path``, ``PYTHONPATH``), as ``pip install`` would have made it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mashkit.audio.files import save
from mashkit.types import Audio

_HEAD = "from mashkit import hookimpl\n"


def install(folder: Path, module: str, code: str) -> Path:
    """Write a distribution with an entry point of mashkit's."""
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[mashkit]\n{module} = {module}\n", encoding="utf-8")
    return folder


def prints_on_import(folder: Path) -> Path:
    """A plugin that prints in every way there is: Python, the descriptor, C, a program, a thread, a log, at exit."""
    return install(
        folder,
        "acme_prints",
        """
import atexit, ctypes, logging, os, subprocess, sys, threading, time
print("PRINTED")
print("PRINTED", file=sys.__stdout__)
os.write(1, b"PRINTED\\n")
libc = ctypes.CDLL(None)
libc.puts(b"PRINTED")
libc.fflush(None)
subprocess.run(["echo", "PRINTED"])
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, force=True)
logging.getLogger("acme").warning("PRINTED")
atexit.register(print, "PRINTED")
atexit.register(os.write, 1, b"PRINTED\\n")

def chatter():
    for _ in range(50):
        print("PRINTED")
        logging.getLogger("acme").warning("PRINTED")
        time.sleep(0.01)

threading.Thread(target=chatter, daemon=True).start()
""",
    )


def interrupts_on_import(folder: Path) -> Path:
    """A plugin that raises KeyboardInterrupt."""
    return install(folder, "acme_interrupts", "raise KeyboardInterrupt\n")


def leaves_on_import(folder: Path) -> Path:
    """A plugin that raises SystemExit."""
    return install(folder, "acme_leaves", "import sys\nsys.exit(0)\n")


def ends_generators_on_import(folder: Path) -> Path:
    """A plugin that raises GeneratorExit."""
    return install(folder, "acme_ends", "raise GeneratorExit\n")


def raises_the_unspeakable(folder: Path) -> Path:
    """A plugin that raises an error that is no Exception and cannot say what it is."""
    code = "class Odd(BaseException):\n    def __str__(self):\n        raise ValueError\nraise Odd\n"
    return install(folder, "acme_unspeakable", code)


def rearranges_on_import(folder: Path) -> Path:
    """A plugin that changes folder, locale, warnings, numpy's errors, Ctrl-C and standard output."""
    return install(
        folder,
        "acme_rearranges",
        """
import io, locale, os, signal, sys, warnings
import numpy as np
os.chdir("/")
for name in ("de_DE.UTF-8", "C.UTF-8", "C"):
    try:
        locale.setlocale(locale.LC_ALL, name)
        break
    except locale.Error:
        pass
warnings.simplefilter("error")
np.seterr(all="raise")
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.stdout = io.StringIO()
""",
    )


def listener_raises(folder: Path) -> Path:
    """A plugin whose stage listener raises at every event."""
    code = "@hookimpl\ndef mashkit_stage(event):\n    print('PRINTED')\n    return {}['stage']\n"
    return install(folder, "acme_listens", _HEAD + code)


def listener_leaves(folder: Path) -> Path:
    """A plugin whose stage listener calls sys.exit."""
    return install(folder, "acme_walks", _HEAD + "@hookimpl\ndef mashkit_stage(event):\n    raise SystemExit(5)\n")


def loader_raises(folder: Path) -> Path:
    """A plugin whose loader raises KeyError on files called "odd", and leaves the others alone."""
    code = "@hookimpl\ndef mashkit_load_audio(path):\n    if 'odd' in path.name:\n        raise KeyError('codec')\n"
    return install(folder, "acme_loads", _HEAD + code)


def loader_returns_what_is_no_audio(folder: Path) -> Path:
    """A plugin whose loader returns a tuple for files called "odd"."""
    code = "@hookimpl\ndef mashkit_load_audio(path):\n    return (44100, [0.0]) if 'odd' in path.name else None\n"
    return install(folder, "acme_tuples", _HEAD + code)


def loader_decodes_text(folder: Path) -> Path:
    """A plugin whose loader makes a tone of files that ask for one, and leaves the others alone."""
    code = (
        "@hookimpl\ndef mashkit_load_audio(path):\n    from mashkit.testing import signals\n"
        "    return signals.tone(440.0, 26.0) if path.read_bytes()[:6] == b'a tone' else None\n"
    )
    return install(folder, "acme_notes", _HEAD + code)


def weights_raise(folder: Path) -> Path:
    """A plugin whose hook for weights raises."""
    code = "@hookimpl\ndef mashkit_register_weights():\n    raise RuntimeError('no list')\n"
    return install(folder, "acme_weighs", _HEAD + code)


def weights_are_none(folder: Path) -> Path:
    """A plugin whose hook for weights returns what are no weights."""
    return install(folder, "acme_names", _HEAD + "@hookimpl\ndef mashkit_register_weights():\n    return ['a.pt']\n")


def card_is_wrong(folder: Path) -> Path:
    """A plugin that registers a component with a requirement nobody can read."""
    code = """
from mashkit import ComponentInfo
@hookimpl
def mashkit_register_scorers():
    return [ComponentInfo(name="x", target="a:B", summary="s", provides=[], code_license="MIT", requires=["not ~~ a"])]
"""
    return install(folder, "acme_card", _HEAD + code)


def command_is_odd(folder: Path) -> Path:
    """A plugin with a command whose summary has a per cent sign, which argparse takes for a placeholder."""
    code = """
from mashkit import Command
@hookimpl
def mashkit_register_commands():
    return [Command(name="acme-odd", summary="100% of it.", configure=lambda made: made.exit(9), run=lambda given: 0)]
"""
    return install(folder, "acme_commands", _HEAD + code)


def wraps_hooks(folder: Path) -> Path:
    """A plugin that wraps the hooks of others."""
    code = "@hookimpl(wrapper=True)\ndef mashkit_stage(event):\n    yield\n    raise ValueError\n"
    return install(folder, "acme_wraps", _HEAD + code)


def metadata_is_gone(folder: Path) -> Path:
    """What is left of a distribution whose metadata was deleted."""
    install(folder, "acme_left", "raise ImportError\n")
    (folder / "acme_left-1.0.dist-info" / "METADATA").unlink()
    return folder


_MOODY = '''
import os, sys
import attrs
import numpy as np
import mashkit as mk
from mashkit import ComponentInfo, hookimpl

def card(name, cls, provides):
    return ComponentInfo(name=name, target=f"acme_moody:{cls}", summary="s", provides=provides, code_license="MIT")

SEPARATOR = card("moody", "Separator", ["vocals", "drums", "other"])
ANALYZER = card("moody", "Analyzer", ["key", "tempo", "beats", "downbeats"])
STRETCHER = card("moody", "Stretcher", ["speed", "semitones"])
SCORER = card("moody", "Scorer", ["mood"])
GENERATOR = card("moody", "Generator", ["matched"])
EXECUTOR = card("moody", "Executor", ["threads"])

@hookimpl
def mashkit_register_separators(): return [SEPARATOR]
@hookimpl
def mashkit_register_analyzers(): return [ANALYZER]
@hookimpl
def mashkit_register_stretchers(): return [STRETCHER]
@hookimpl
def mashkit_register_scorers(): return [SCORER]
@hookimpl
def mashkit_register_generators(): return [GENERATOR]
@hookimpl
def mashkit_register_executors(): return [EXECUTOR]

def deeper(): return deeper()

def explode(does):
    """Misbehave, and return what is no result where nothing is raised."""
    print("PRINTED")
    os.write(1, b"PRINTED\\n")
    if does == "wrong type":
        return 7
    if does == "nothing":
        return None
    if does == "RecursionError":
        deeper()
    if does == "disk full":
        raise OSError(28, "No space left on device")
    if does == "KeyError":
        return {}["layer"]
    if does == "chdir":
        os.chdir("/")
        raise ValueError("lost")
    raise {"ValueError": ValueError("a cannot be empty"), "MemoryError": MemoryError(), "RuntimeError":
        RuntimeError("CUDA out of memory.\\nTried to allocate"), "SystemExit": SystemExit(4), "StopIteration":
        StopIteration(3), "KeyboardInterrupt": KeyboardInterrupt(), "GeneratorExit": GeneratorExit()}[does]

@attrs.define(kw_only=True, eq=False)
class Separator(mk.Separator):
    """Thirds; misbehaves where both channels are alike."""
    info = SEPARATOR
    does: str = ""
    def describe(self):
        if self.does == "describe":
            raise ValueError("indescribable")
        return super(Separator, self).describe()
    def _separate(self, mix):
        if self.does and self.does != "describe" and np.array_equal(mix.samples[0], mix.samples[-1]):
            if self.does == "not numbers":
                return mk.StemSet({name: mk.Audio(mix.samples * np.float32(np.nan), mix.sample_rate)
                                   for name in self.info.provides})
            return explode(self.does)
        third = mk.Audio(mix.samples / np.float32(3), mix.sample_rate)
        return mk.StemSet({name: third for name in self.info.provides})

@attrs.define(kw_only=True, eq=False)
class Analyzer(mk.Analyzer):
    """A beat every half second; misbehaves where both channels are alike."""
    info = ANALYZER
    does: str = ""
    def _analyze(self, mix):
        odd = np.array_equal(mix.samples[0], mix.samples[-1])
        if self.does == "not numbers" and odd:
            return mk.Analysis(tempo=120.0, confidence={"tempo": float("nan")})
        if self.does and odd:
            return explode(self.does)
        beats = np.arange(0.5, mix.duration, 0.5)
        return mk.Analysis(key=mk.Key(9, "minor"), tempo=120.0, beats=beats, downbeats=beats[::4])

@attrs.define(kw_only=True, eq=False)
class Stretcher(mk.Stretcher):
    info = STRETCHER
    does: str = ""
    def _stretch(self, audio, *, speed, semitones, frames):
        if self.does == "not numbers":
            return mk.Audio(np.full((audio.channels, frames), np.nan, np.float32), audio.sample_rate)
        if self.does:
            return explode(self.does)
        return mk.Audio(np.zeros((audio.channels, frames), np.float32), audio.sample_rate)

@attrs.define(kw_only=True, eq=False)
class Scorer(mk.Scorer):
    """Misbehaves at every mashup whose vocal clip's id begins with what ``at`` says."""
    info = SCORER
    does: str = ""
    at: str = ""
    def _score(self, mashups):
        for mashup in mashups:
            if self.does and mashup.plan.id.startswith(self.at):
                if self.does == "not numbers":
                    return [mk.Score(0.5, parts={"mood": float("nan")}) for _ in mashups]
                return explode(self.does)
        return [mk.Score(mashup.plan.duration_s, parts={"mood": 1.0}) for mashup in mashups]

@attrs.define(kw_only=True, eq=False)
class Generator(mk.Generator):
    """Draws ``good`` plans as the paper's generator does, and then misbehaves."""
    info = GENERATOR
    does: str = ""
    good: int = 2
    def _plan(self, clips, *, condition, count, seed, vocal):
        paper = mk.Kit().generator
        for number, plan in enumerate(paper.plan(clips, condition=condition, count=count, seed=seed, vocal=vocal)):
            if self.does and number == self.good:
                yield explode(self.does)
            yield plan
    def _variants(self, plan, clips):
        return explode(self.does) if self.does else [plan]

@attrs.define(kw_only=True, eq=False)
class Executor(mk.Executor):
    info = EXECUTOR
    does: str = ""
    def _pool(self):
        return explode(self.does)
'''


def moody(folder: Path) -> Path:
    """A plugin with a component of each kind that does its work, and misbehaves as its option ``does`` says."""
    return install(folder, "acme_moody", _MOODY)


def song(path: Path, hz: float, *, odd: bool = False, seconds: float = 26.0) -> Path:
    """Write a song of steady tones; of an odd one both channels are alike."""
    time = np.arange(round(seconds * 44_100)) / 44_100
    left = 0.2 * np.sin(2 * np.pi * hz * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))
    right = left if odd else 0.2 * np.sin(2 * np.pi * 1.5 * hz * time)
    return save(path, Audio(np.stack([left, right]).astype(np.float32), 44_100))


def songs(folder: Path) -> Path:
    """Three songs, of which one is odd: moody components misbehave on it."""
    song(folder / "good one.flac", 220.0)
    song(folder / "odd.flac", 261.0, odd=True)
    song(folder / "good two.flac", 330.0)
    return folder
