"""A plugin's results are computed again after any file of its package has changed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import mashkit as mk
from mashkit.components.code import code_sha256
from mashkit.composite import CachedScorer
from mashkit.synthetic.source import SyntheticSource

CLASS = """
import attrs
import mashkit as mk
from {package}.measure import CHANGE

@attrs.define(kw_only=True, eq=False)
class Made(mk.Scorer):
    info = mk.ComponentInfo(name="made", target="{package}:Made", summary="s", code_license="MIT", provides=())

    def _score(self, mashups):
        return [mk.Score(CHANGE, "ordinal") for _ in mashups]
"""


def made(folder: Path, package: str, change: float, score: str = "CHANGE") -> mk.Scorer:
    """Return a scorer of a package whose helper module has the given number."""
    (folder / package).mkdir(exist_ok=True)
    (folder / package / "__init__.py").write_text(
        CLASS.format(package=package).replace("Score(CHANGE", f"Score({score}")
    )
    (folder / package / "measure.py").write_text(f"CHANGE = {change}\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    importlib.invalidate_caches()
    return importlib.import_module(package).Made()  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two versions may have one time and one size
    return tmp_path


@pytest.fixture(scope="module")
def mashup() -> mk.Mashup:
    source = SyntheticSource([(mk.Key(9, "minor"), 120.0), (mk.Key(4, "major"), 121.0)])
    kit = mk.Kit()
    plan = next(iter(kit.generator.plan(source.clips, condition="original", count=1, seed=1)))
    return mk.Renderer(source, kit.stretcher).mashup(plan)


def test_the_hash_has_all_files_of_a_plugin_and_of_what_a_component_is_made_of(folder: Path) -> None:
    first = code_sha256(made(folder, "helped", 1.0))
    assert first == code_sha256(made(folder, "helped", 1.0))
    assert first != code_sha256(made(folder, "helped", 2.0))
    one, two = (made(folder, "parts", change) for change in (1.0, 2.0))
    hashes = []
    for part, change in ((one, 1.0), (two, 2.0)):
        made(folder, "parts", change)
        hashes.append(code_sha256(CachedScorer(name="cached:made", inner=part)))
    assert len(set(hashes)) == 2


@pytest.mark.plugins
@pytest.mark.parametrize("value", ["float('nan')", "'high'", "1.0 / 0", "10**400"])
def test_an_error_names_the_line_of_the_plugin(folder: Path, mashup: mk.Mashup, value: str) -> None:
    scorer = made(folder, "at_fault", 1.0, value)
    with pytest.raises(mk.errors.ComponentFailed, match=r"tell its authors: .*at_fault.__init__\.py, line 11"):
        scorer.score([mashup])


def test_the_hash_has_the_files_of_another_plugin_whose_class_it_derives_from(folder: Path) -> None:
    hashes = []
    for change in (1.0, 1.0, 2.0):
        made(folder, "base_plugin", change)
        (folder / "derived_plugin").mkdir(exist_ok=True)
        (folder / "derived_plugin" / "__init__.py").write_text(
            "from base_plugin import Made\n\nclass Derived(Made):\n    pass\n"
        )
        sys.modules.pop("derived_plugin", None)
        importlib.invalidate_caches()
        hashes.append(code_sha256(importlib.import_module("derived_plugin").Derived()))
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("float('inf')", "part 'c' of a score is inf, not"),
        ("10**400", "part 'c' of a score is 10{400}, not"),
        ("10**5000", "part 'c' of a score is a number of 16,610 bits, of too many digits to be shown, not"),
        ("'high'", "part 'c' of a score is 'high', not a finite number .*py, line"),
    ],
)
def test_a_part_is_a_finite_number(folder: Path, mashup: mk.Mashup, part: str, said: str) -> None:
    scorer = made(folder, "parted", 1.0, f'1.0, parts={{"c": {part}}}) or (CHANGE')
    with pytest.raises(mk.errors.ComponentFailed, match=said):
        scorer.score([mashup])


@pytest.mark.plugins
def test_scores_of_one_call_are_on_one_scale(folder: Path, mashup: mk.Mashup) -> None:
    scorer = made(folder, "two_scales", 0.5)
    assert [score.value for score in scorer.score([mashup, mashup])] == [0.5, 0.5]
    mixed = '[mk.Score(CHANGE, scale) for scale, _ in zip(("ordinal", "probability"), mashups)]'
    code = CLASS.format(package="two_scales").replace('[mk.Score(CHANGE, "ordinal") for _ in mashups]', mixed)
    (folder / "two_scales" / "__init__.py").write_text(code)
    del sys.modules["two_scales"]
    importlib.invalidate_caches()
    other = importlib.import_module("two_scales").Made()
    with pytest.raises(mk.errors.ContractViolation, match="returned scores on ordinal and probability scales"):
        other.score([mashup, mashup])


@pytest.mark.plugins
def test_a_kept_score_of_other_code_is_not_read(folder: Path, mashup: mk.Mashup, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    values = [
        CachedScorer(name="cached:made", inner=made(folder, "kept_scores", change), folder=kept)
        .score([mashup])[0]
        .value
        for change in (1.0, 1.0, 2.0)
    ]
    assert values == [1.0, 1.0, 2.0]
    assert len(list(kept.rglob("*.json"))) == 2
