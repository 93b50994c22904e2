"""Texts that raters see: one JSON file per language, shipped in English and German."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path

from mashkit.arguments import named_json
from mashkit.listen.study import StudyError
from mashkit.paths import path_text

REFERENCE = "en"
"""Language of the file that has every text."""


def shipped() -> dict[str, dict[str, str]]:
    """Return language → name → text of the files in the package."""
    folder = importlib.resources.files("mashkit.listen") / "static" / "texts"
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".json")), key=lambda one: one.name)
    return {one.name.removesuffix(".json"): json.loads(one.read_text(encoding="utf-8")) for one in files}


def with_file(texts: Mapping[str, Mapping[str, str]], path: Path) -> dict[str, dict[str, str]]:
    """Return texts with those of a file ``LANGUAGE.json``: a new language, or other words for some texts.

    Raises
    ------
    UsageError
        If the file cannot be read, or is not JSON.
    StudyError
        If the file is not so, or a new language lacks texts; the error names them.
    """
    given = named_json(path, "give a JSON file of texts")
    if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
        raise StudyError(f"{path_text(path)} holds no texts", "give a JSON object: name → text")
    made = {**texts.get(path.stem, {}), **given}
    names = set(texts[REFERENCE])
    wrong = sorted(names - set(made)) + sorted(set(made) - names)
    if wrong:
        raise StudyError(
            f"{path_text(path)}: texts that are missing or unknown: {', '.join(wrong)}",
            f"take the names of the shipped {REFERENCE}.json",
        )
    return {**{language: dict(of) for language, of in texts.items()}, path.stem: made}
