"""What `pip install mashkit` brings is enough: pytest and its kind serve tests, and nobody else imports them."""

from __future__ import annotations

import subprocess
import sys

import pytest

WALK = """
import importlib, pkgutil, sys

for name in ("pytest", "_pytest", "hypothesis", "xdist"):
    sys.modules[name] = None  # importing it is then an ImportError, as where it is not installed

import mashkit

for_tests = ("mashkit.testing.contracts", "mashkit.testing.plugin")
seen = []
for module in pkgutil.walk_packages(mashkit.__path__, "mashkit."):
    if not module.name.startswith(for_tests):
        importlib.import_module(module.name)
        seen.append(module.name)
print(*seen)
try:
    from mashkit.testing import ScorerContract
except ImportError as error:
    print("contracts need", error.name)
"""


@pytest.mark.whole
def test_every_module_imports_without_pytest() -> None:
    done = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *_, seen, contracts = done.stdout.splitlines()
    assert {"mashkit.bench.alignment", "mashkit.bench.stretchers", "mashkit.synthetic.signals"} <= set(seen.split())
    assert contracts == "contracts need pytest"
