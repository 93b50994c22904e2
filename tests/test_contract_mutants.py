"""The contracts find what they are there to find: each check catches a component that does wrong just that."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest

from mashkit.errors import UsageError
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import StretcherContract
from mashkit.testing.mashups import mashup_of
from mashkit.types import Key

HERE = Path(__file__).parent

INTERFACE_CHECKS = {
    # Refused before the component is asked: no mutant can get there.
    "test_empty_stays_empty",
    "test_silence_has_no_answer",
    "test_nothing_to_do_does_nothing",
    "test_a_time_map_of_one_speed_is_that_speed",
    "test_a_time_map_without_time_map_is_refused",
    "test_a_time_map_beyond_half_and_double_is_refused",
}


@pytest.fixture(scope="module")
def mutants() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", HERE / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module
    spec.loader.exec_module(module)
    return module


def test_every_check_has_a_mutant(mutants: ModuleType) -> None:
    checked = {
        (contract.kind if name in vars(contract) else "any", name)
        for contract in mutants.CONTRACTS
        for name in dir(contract)
        if name.startswith("test_") and name not in INTERFACE_CHECKS
    }
    covered = set()
    for cls, check in mutants.CAUGHT_BY.items():
        kind = getattr(mutants, cls).kind
        own = next(contract for contract in mutants.CONTRACTS if contract.kind == kind)
        covered.add((kind if check in vars(own) else "any", check))
    assert checked == covered


@pytest.mark.plugins
@pytest.mark.parametrize(
    "kinds",
    [
        ("generator", "scorer", "separator"),
        # An executor's check starts several processes; the others' checks analyse or stretch a minute of sound.
        pytest.param(("analyzer", "executor", "stretcher"), marks=pytest.mark.slow),
    ],
    ids=", ".join,
)
def test_every_mutant_is_caught(kinds: tuple[str, ...], mutants: ModuleType, tmp_path: Path) -> None:
    chosen = {(cls, check) for cls, check in mutants.CAUGHT_BY.items() if getattr(mutants, cls).kind in kinds}
    assert {getattr(mutants, cls).kind for cls, _ in chosen} == set(kinds)
    nodes = [f"{HERE / 'mutants.py'}::{cls}::{check}" for cls, check in sorted(chosen)]
    report = tmp_path / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-c",
         str(HERE.parent / "pyproject.toml"), "-o", "python_files=mutants.py", f"--junitxml={report}", *nodes],
        capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr
    caught = set()
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 — pytest wrote it just now
        assert case.find("error") is None, (case.attrib, done.stdout[-2000:])
        if case.find("failure") is not None:
            caught.add((case.attrib["classname"].rpartition(".")[2], case.attrib["name"].partition("[")[0]))
    assert caught == chosen


def test_checks_cannot_be_overridden() -> None:
    with pytest.raises(TypeError, match="test_pitch overrides"):
        type("TestLax", (StretcherContract,), {"test_pitch": lambda self: None})


def test_only_sanity_checks_may_be_expected_to_fail() -> None:
    with pytest.raises(TypeError, match="not a sanity check"):
        type("TestLax", (StretcherContract,), {"xfail": {"test_input_is_not_altered": "edits it"}})
    with pytest.raises(TypeError, match="not a sanity check"):
        type("TestLax", (StretcherContract,), {"xfail": {"test_of_nothing": "?"}})
    excused = type("TestFair", (StretcherContract,), {"xfail": {"test_pitch": "detunes"}})
    (mark,) = [mark for mark in excused.test_pitch.pytestmark if mark.name == "xfail"]  # type: ignore[attr-defined]
    assert mark.kwargs == {"reason": "detunes", "strict": True}
    assert not [mark for mark in StretcherContract.test_pitch.pytestmark if mark.name == "xfail"]  # type: ignore[attr-defined]


def test_a_change_of_no_role_is_refused() -> None:
    songs = SyntheticSource([(Key(9, "minor"), 120.0)], bars=2)
    with pytest.raises(UsageError, match="'harmony' is not a role"):
        mashup_of(songs, songs.clips[0], harmony={"semitones": 2})
