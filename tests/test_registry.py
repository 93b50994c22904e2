"""Plugins are found, checked and created by name, and a bad one harms nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mashkit.cli import main
from mashkit.cli.actions import COMPONENT_KINDS
from mashkit.components import KINDS
from mashkit.errors import (
    BrokenPlugin,
    ComponentUnavailable,
    DuplicateComponent,
    OptionError,
    PluginWarning,
    UnknownComponent,
)
from mashkit.interfaces import INTERFACES
from mashkit.registry import Registry

GOOD = """
import attrs
from mashkit import ComponentInfo, Stretcher, hookimpl
INFO = ComponentInfo(name="{name}", target="{module}:Reverser", summary="plays backwards", provides=["speed"],
                     code_license="MIT", requires={requires}, install="pip install {module}")

@hookimpl
def mashkit_register_stretchers():
    return [INFO]

@attrs.define(kw_only=True, eq=False)
class Reverser(Stretcher):
    info = INFO
    strength: float = 1.0
    def _stretch(self, audio, *, speed, semitones, frames):
        return audio
"""


class Installer:
    """Puts distributions with an entry point on the path, as pip would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, module: str, code: str) -> None:
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mashkit]\n{module} = {module}\n")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    monkeypatch.syspath_prepend(tmp_path)
    yield Installer(tmp_path)
    # A test with a module of the same name would find ours before its own.
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def good(module: str, name: str = "reverser", requires: str = "[]") -> str:
    return GOOD.format(module=module, name=name, requires=requires)


def test_a_plugin_is_found_and_created(install: Installer) -> None:
    install("acme_one", good("acme_one"))
    component = Registry().create("stretcher", "reverser", {"strength": 2.0})
    assert component.options() == {"strength": 2.0}
    assert component.describe()["distribution"] == "acme_one"
    assert component.describe()["version"] == "1.0"


def test_a_plugin_of_tomorrow_is_listed_and_says_what_it_needs(install: Installer) -> None:
    install("acme_tomorrow", good("acme_tomorrow").replace('code_license="MIT"', 'code_license="MIT", api=99'))
    registry = Registry()
    available = registry.find("stretcher", "reverser").availability()
    assert not available.ok
    with pytest.raises(ComponentUnavailable, match=r"plugin interface 99.*pip install -U mashkit"):
        registry.create("stretcher", "reverser")


@pytest.mark.parametrize(
    ("module", "code", "reason"),
    [
        ("acme_raises", "raise RuntimeError('out of order')", "RuntimeError: out of order"),
        ("acme_exits", "raise SystemExit(3)", "SystemExit: 3"),
        ("acme_syntax", "def (", "SyntaxError"),
        ("acme_missing", "import no_such_module_anywhere", "ModuleNotFoundError"),
        (
            "acme_misspelt",
            "from mashkit import hookimpl\n@hookimpl\ndef mashkit_register_strechers(): return []",
            "TypeError: no hook is called mashkit_register_strechers: did you mean mashkit_register_stretchers?",
        ),
        (
            "acme_singular",
            "from mashkit import hookimpl\n@hookimpl\ndef mashkit_register_scorer(): return []",
            "TypeError: no hook is called mashkit_register_scorer: did you mean mashkit_register_scorers?",
        ),
        (
            "acme_elsewhere",
            "from mashkit import hookimpl\n@hookimpl(specname='on_load')\ndef load(): return []",
            "TypeError: no hook is called on_load: see mashkit.hookspecs",
        ),
        (
            "acme_argument",
            "from mashkit import hookimpl\n@hookimpl\ndef mashkit_stage(happened): pass",
            "TypeError: mashkit_stage has an argument 'happened': the hook has event",
        ),
        (
            "acme_hook_raises",
            "from mashkit import hookimpl\n@hookimpl\ndef mashkit_register_scorers(): raise KeyError('x')",
            "KeyError",
        ),
        (
            "acme_no_info",
            "from mashkit import hookimpl\n@hookimpl\ndef mashkit_register_scorers(): return ['amu']",
            "not a ComponentInfo",
        ),
        (
            "acme_no_list",
            "from mashkit import hookimpl\n@hookimpl\ndef mashkit_register_scorers(): return None",
            "mashkit_register_scorers returned None, not a list of ComponentInfo",
        ),
        (
            "acme_wraps",
            "from mashkit import hookimpl\n@hookimpl(wrapper=True)\ndef mashkit_register_scorers(): return (yield)",
            "mashkit_register_scorers wraps other plugins' hooks, which is not allowed",
        ),
        ("acme_helper", "x = 1\n\nraise KeyError('deep')", "acme_helper.py, line 3"),
    ],
)
def test_a_broken_plugin_is_listed_and_the_rest_works(install: Installer, module: str, code: str, reason: str) -> None:
    install(module, code)
    install("zzz_good", good("zzz_good"))
    registry = Registry()
    (broken,) = [one for one in registry.broken if one.distribution == module]
    assert reason in broken.reason
    assert registry.create("stretcher", "reverser")
    assert registry.create("generator", "paper")


def test_asking_for_a_broken_plugins_component_says_so(install: Installer) -> None:
    install("acme_raises2", "raise RuntimeError('out of order')")
    with pytest.raises(BrokenPlugin, match=r"out of order, in .*acme_raises2\.py, line 1"):
        Registry().create("scorer", "acme_raises2")
    # A name that only occurs in the plugin's name is not blamed on it, but the plugin is told.
    for name in ("a", "raises", "other"):
        with pytest.raises(UnknownComponent, match=r"may be in a plugin that cannot be loaded.*: acme_raises2"):
            Registry().create("scorer", name)


def test_two_distributions_with_one_name(install: Installer) -> None:
    install("acme_a", good("acme_a"))
    install("acme_b", good("acme_b"))
    registry = Registry()
    with pytest.raises(DuplicateComponent, match="acme_a and acme_b"):
        registry.create("stretcher", "reverser")
    both = [one for one in registry.components("stretcher") if one.info.name == "reverser"]
    assert [registry.availability(one).ok for one in both] == [False, False]
    assert registry.availability(both[0]).reason == "stretcher 'reverser' is registered by acme_a and acme_b"
    assert registry.create("generator", "paper")


def test_a_name_of_mashkit_or_of_one_plugin_twice(install: Installer) -> None:
    scorer = good("acme_random", "random").replace("stretchers", "scorers")
    install("acme_random", scorer)
    install("acme_twice", good("acme_twice", "twice").replace("return [", "return 2 * ["))
    registry = Registry()
    with pytest.raises(DuplicateComponent, match=r"registered twice by acme_twice \(tell its authors\)"):
        registry.create("stretcher", "twice")
    said = (
        r"scorer 'random' is registered by acme_random and mashkit; that of mashkit is used \(uninstall acme_random\)"
    )
    with pytest.warns(PluginWarning, match=said):
        assert registry.create("scorer", "random").describe()["distribution"] == "mashkit"
    usable = {one.origin.distribution: registry.works(one) for one in registry.components("scorer")}
    assert usable["mashkit"].ok
    assert usable["acme_random"].reason == "mashkit has this scorer; the scorer of acme_random is ignored"
    with pytest.raises(UnknownComponent, match=r"known: loudness, random\)$"):
        Registry(allow=["acme_random"]).create("scorer", "nothing-like-it")


def test_doctor_says_which_default_of_mashkits_a_plugin_wants_to_be(
    install: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme_paper", good("acme_paper", "paper").replace("stretchers", "generators"))
    main(["doctor", "--json"])
    out, err = capsys.readouterr()
    assert "generator 'paper' is registered by acme_paper and mashkit; that of mashkit is used" in err
    checks = [one for one in json.loads(out)["checks"] if one["check"] == "generator paper"]
    assert sorted((one["ok"], one["needed"], one["fix"]) for one in checks) == [
        (False, False, "uninstall acme_paper"),
        (True, True, ""),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('provides=["speed"]', 'provides="speed"'), "'speed' is one text: give a list"),
        (('code_license="MIT"', 'code_license=" "'), "code_license of 'reverser' is empty"),
    ],
)
def test_a_card_without_sense_is_refused(install: Installer, change: tuple[str, str], reason: str) -> None:
    install("acme_card", good("acme_card").replace(*change))
    (broken,) = [one for one in Registry().broken if one.distribution == "acme_card"]
    assert reason in broken.reason


def test_unknown_names_get_a_suggestion() -> None:
    registry = Registry()
    with pytest.raises(UnknownComponent, match="did you mean 'paper'"):
        registry.create("generator", "papre")
    with pytest.raises(OptionError, match="did you mean 'max_shift'"):
        registry.create("generator", "paper", {"max_shfit": 2})
    with pytest.raises(OptionError, match="max_shift"):
        registry.create("generator", "paper", {"max_shift": 7})


def test_an_option_that_its_converter_refuses_is_named(install: Installer) -> None:
    converted = """strength: float = attrs.field(default=1.0, converter=float)
    gains: tuple = attrs.field(default=(), converter=tuple)"""
    install("acme_converts", good("acme_converts").replace("strength: float = 1.0", converted))
    registry = Registry()
    assert registry.create("stretcher", "reverser", {"strength": "2.5"}).options()["strength"] == 2.5
    with pytest.raises(
        OptionError, match=r"'reverser': its option 'strength' is 'abc': could not .* \(give a number\)"
    ):
        registry.create("stretcher", "reverser", {"gains": [1], "strength": "abc"})
    with pytest.raises(OptionError, match=r"its option 'gains' is 3: 'int' object is not iterable$"):
        registry.create("stretcher", "reverser", {"gains": 3})


def test_what_is_missing_is_said_without_importing(install: Installer) -> None:
    install("acme_needy", good("acme_needy", requires="['no-such-dist>=2', 'numpy<0.1']"))
    registry = Registry()
    available = registry.find("stretcher", "reverser").availability()
    assert not available.ok
    assert "no-such-dist>=2 is not installed" in available.reason
    assert "numpy<0.1 is needed" in available.reason
    with pytest.raises(ComponentUnavailable, match="pip install acme_needy"):
        registry.create("stretcher", "reverser")


@pytest.mark.parametrize(
    ("needs", "fix"),
    [
        ("requires=['no-such-dist>=2', 'numpy>=1', 'numpy<0.1']", "pip install 'no-such-dist>=2' 'numpy<0.1'"),
        ("binaries=['no-such-program', 'nor-this']", "install no-such-program and nor-this"),
        (
            "requires=['no-such-dist'], binaries=['no-such-program']",
            "pip install no-such-dist, and install no-such-program",
        ),
    ],
)
def test_what_is_missing_has_a_fix_that_can_be_typed(install: Installer, needs: str, fix: str) -> None:
    code = good("acme_plain").replace('requires=[], install="pip install acme_plain"', needs)
    install("acme_plain", code)
    assert Registry().find("stretcher", "reverser").availability().fix == fix


def test_a_target_that_cannot_be_imported(install: Installer) -> None:
    install("acme_target", good("acme_target").replace("acme_target:Reverser", "acme_target:Inverter"))
    with pytest.raises(BrokenPlugin, match="acme_target:Inverter"):
        Registry().create("stretcher", "reverser")


def test_a_target_of_another_kind(install: Installer) -> None:
    install("acme_kind", good("acme_kind").replace("acme_kind:Reverser", "mashkit.builtin.paper:PaperGenerator"))
    with pytest.raises(BrokenPlugin, match="not a stretcher"):
        Registry().create("stretcher", "reverser")


def test_what_a_card_provides_is_known_to_its_kind(install: Installer) -> None:
    install("acme_able", good("acme_able").replace('["speed"]', '["speed", "semitone"]'))
    with pytest.raises(BrokenPlugin, match=r"acme_able provides 'semitone' \(did you mean 'semitones'"):
        Registry().create("stretcher", "reverser")


def test_a_hook_without_its_mark_is_said(install: Installer) -> None:
    install("acme_bare", good("acme_bare").replace("@hookimpl\n", ""))
    (broken,) = [one for one in Registry().broken if one.distribution == "acme_bare"]
    assert "mashkit_register_stretchers is not marked with @mashkit.hookimpl" in broken.reason


@pytest.mark.parametrize("needs", ["'harmonic'", "('bass',)", "3"])
def test_roles_that_a_scorer_cannot_need_are_refused(install: Installer, needs: str) -> None:
    code = good("acme_needs").replace("stretcher", "scorer").replace("Stretcher", "Scorer")
    install("acme_needs", code.replace("strength: float = 1.0", f"needs = {needs}"))
    (broken,) = [one for one in Registry().broken if one.distribution == "acme_needs"]
    assert "needs of Reverser is " in broken.reason
    assert "give a tuple of vocal, harmonic, percussion" in broken.reason


def test_allowlist(install: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme_x", good("acme_x", "x"))
    install("acme_y", good("acme_y", "y"))
    monkeypatch.setenv("MASHKIT_PLUGINS", "acme_y")
    found = {one.origin.distribution for one in Registry().components()}
    assert found == {"mashkit", "acme_y"}


def _modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_help_imports_nothing_heavy() -> None:
    # It names the commands of plugins, so it finds plugins; one of mashkit's own commands needs not even that.
    code = "from mashkit.cli import main\ntry: main({})\nexcept SystemExit: pass"
    assert not _modules_after(code.format(["--help"])) & {"numpy", "scipy", "torch", "rich"}
    assert not _modules_after(code.format(["mash", "--help"])) & {"numpy", "torch", "attr", "rich", "pluggy"}


def test_kinds_are_those_of_the_interfaces() -> None:
    assert tuple(INTERFACES) == KINDS
    assert COMPONENT_KINDS == KINDS


def test_discovering_plugins_imports_no_backend() -> None:
    backends = {"torch", "madmom", "essentia", "librosa", "pedalboard", "pyrubberband", "python_stretch", "scipy"}
    assert not _modules_after("from mashkit.registry import Registry\nRegistry()") & backends


TWO_CARDS = """
import attrs
from mashkit import ComponentInfo, Score, Scorer, hookimpl

def card(name, target):
    return ComponentInfo(name=name, target="{module}:" + target, summary="s", provides=[], code_license="MIT")

@hookimpl
def mashkit_register_scorers():
    return [card("bt3", "Bt3"), card("bt7", "Bt7")]

@attrs.define(kw_only=True, eq=False)
class Bt3(Scorer):
    info = card("bt3", "Bt3")
    def _score(self, mashups):
        return [Score(0.0) for _ in mashups]

@attrs.define(kw_only=True, eq=False)
class Bt7(Bt3):
{body}
"""


@pytest.mark.parametrize(
    "body",
    ['    info = card("bt3", "Bt3")', "    pass", '    @property\n    def info(self): return card("bt3", "Bt3")'],
    ids=["copied", "inherited", "property"],
)
def test_a_class_with_the_card_of_another_component_is_refused(install: Installer, body: str) -> None:
    module = "acme_two_cards"
    install(module, TWO_CARDS.format(module=module, body=body))
    registry = Registry()
    assert registry.create("scorer", "bt3")
    said = r"'bt7' of acme_two_cards: info of acme_two_cards:Bt7 is the card of 'bt3' \(.*set it to the card of 'bt7'\)"
    with pytest.raises(BrokenPlugin, match=said):
        registry.create("scorer", "bt7")


def test_a_stretcher_that_says_it_follows_time_maps_can_do_so(install: Installer) -> None:
    code = good("acme_maps").replace('["speed"]', '["speed", "time_map"]')
    install("acme_maps", code)
    registry = Registry()
    said = r"acme_maps provides 'time_map', but acme_maps:Reverser has no _stretch_along"
    with pytest.raises(BrokenPlugin, match=said):
        registry.create("stretcher", "reverser")
    assert not registry.works(registry.find("stretcher", "reverser")).ok
