"""What a row depends on besides its input and the versions in its suite: components and plugins' code, as hashes."""

from __future__ import annotations

import hashlib
import json

from mashkit.components import Component, plain
from mashkit.components.code import class_sha256, code_sha256


def identity_of(component: Component) -> str:
    """Return a sha256 that changes with a component, all its options, its abilities, and its code.

    While a plugin is being written its version stays the same: the code is what tells one measurement from the next.
    """
    with component.backend_call("describe itself"):
        whole = [plain(component.describe()), sorted(component.info.provides), code_sha256(component)]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def plugins_code(cls: type) -> list[str]:
    """Return a sha256 of the package of a plugin's class; nothing for a class of mashkit, which has versions."""
    return [] if cls.__module__.partition(".")[0] == "mashkit" else [class_sha256(cls)]
