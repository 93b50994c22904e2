"""The documentation site: it builds without a warning, its links lead somewhere, its reference has every name."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mashkit.cli.parser import own_commands

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def script(name: str) -> ModuleType:
    """Return a program of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_public_name() -> None:
    reference = script("reference")
    shown = {id(one) for one in reference.documented().values()}
    for module in reference.MODULES:
        for name, one in reference.public(module).items():
            assert id(one) in shown, f"{module}.{name}"


def test_a_name_on_no_page_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = script("reference")
    metrics = {"mashkit.metrics": ("ranks_among",)}
    monkeypatch.setattr(reference, "LIBRARY", {**reference.LIBRARY, "metrics": ("Metrics", "", metrics)})
    with pytest.raises(LookupError, match=r"mashkit\.metrics\.Bin"):
        reference.documented()


def test_the_reference_has_every_command_and_argument(tmp_path: Path) -> None:
    script("reference").write(tmp_path)
    pages = {path.stem: path.read_text() for path in (tmp_path / "commands").glob("*.rst")}
    assert own_commands() <= set(pages)
    mash = pages["mash"]
    assert (
        ".. option:: --top N\n\n   number of mashups to write, the best ones; default: 3, or ``--count`` if less"
        in mash
    )
    assert "``mashkit plugins``" in mash
    assert "mashkit db export\n-----------------\n" in pages["db"]
    assert "   * - 130\n     - interrupted\n" in (tmp_path / "commands.rst").read_text()


def test_a_page_that_no_longer_belongs_there_goes(tmp_path: Path) -> None:
    reference = script("reference")
    (tmp_path / "commands").mkdir()
    old = tmp_path / "commands" / "gone.rst"
    old.write_text("Gone\n====\n")
    reference.write(tmp_path)
    assert not old.exists()


def test_the_picture_of_the_ideas_is_what_the_code_draws() -> None:
    ideas = script("ideas")
    assert ideas.PICTURE.read_text() == ideas.drawn(), "run `python docs/ideas.py`"


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#there">b</a><a href="b.html#lost">b</a><a href="c.html">c</a>'
        '<a href="https://example.org">e</a><script src="https://example.org/x.js"></script><a href="#top">t</a>'
    )
    (tmp_path / "b.html").write_text('<h2 id="there">B</h2><img src="data:image/png;base64,AA==">')
    (tmp_path / "a.css").write_text('@import "https://fonts.example.org/f.css"; a {background: url(b.png)}')
    assert list(script("links").faults(tmp_path)) == [
        "a.html: b.html#lost names no element",
        "a.html: c.html leads nowhere",
        "a.html: loads https://example.org/x.js",
        "a.css: loads https://fonts.example.org/f.css",
    ]


@pytest.mark.slow
@pytest.mark.plugins
def test_the_site_builds_without_a_warning_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    for needed in ("sphinx", "myst_parser", "pydata_sphinx_theme"):
        pytest.importorskip(needed, reason="the generator is not installed: pip install 'mashkit[docs]'")
    clone = tmp_path / "clone"  # the reference is written among the sources
    left_out = (".git", ".venv", ".*_cache", "__pycache__", "*.parquet", "build", "dist", "reference")
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(*left_out))
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", "docs", ".", "build/site"]
    done = subprocess.run(build, cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(script("links").faults(clone / "build" / "site")) == []
    page = (clone / "build" / "site" / "docs" / "reference" / "pipeline.html").read_text()
    assert 'id="mashkit.Kit.rank"' in page
    assert list((clone / "build" / "site").glob("_downloads/*/*.html")) == []  # pages open, and are no downloads
    assert 'href="../stretchers.html"' in (clone / "build" / "site" / "docs" / "alignment.html").read_text()
