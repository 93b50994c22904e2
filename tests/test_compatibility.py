"""The promise of docs/stability.md: a plugin written against 0.1 goes on working, and what goes says so first."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import mashkit as mk
from mashkit.cli import main
from mashkit.deprecation import DeprecatedUse, deprecated, moved
from mashkit.hookspecs import StageEvent
from mashkit.synthetic import signals
from mashkit.synthetic.source import SyntheticSource

OLD = Path(__file__).parent / "data" / "plugin_0_1"
FROZEN = "a1afa4d7737e4938f1c0a3bfa9a1a6e10ec9dbbbad1aba5c968489ad37974573"
"""sha256 of the plugin's files: a change that makes an edit necessary breaks the plugins of others, too."""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[mk.Registry]:
    """Install the plugin as pip does, and find it."""
    info = tmp_path / "plugin_of_0_1-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-of-0-1\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[mashkit]\nold = plugin_of_0_1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(OLD)
    monkeypatch.setenv("MASHKIT_PLUGINS", "mashkit,plugin-of-0-1")
    yield mk.Registry()
    for name in ("plugin_of_0_1", "parts_of_0_1"):
        sys.modules.pop(name, None)


def test_the_plugin_was_not_edited() -> None:
    text = b"".join(path.read_bytes() for path in sorted(OLD.glob("*.py")))
    assert hashlib.sha256(text).hexdigest() == FROZEN


def test_all_of_it_is_found(plugin: mk.Registry) -> None:
    assert [one for one in plugin.broken if one.distribution == "plugin-of-0-1"] == []
    found = {one.kind: one for one in plugin.components() if one.origin.distribution == "plugin-of-0-1"}
    assert set(found) == {"separator", "analyzer", "stretcher", "scorer", "generator", "executor"}
    assert all(plugin.works(one).ok for one in found.values())
    assert "of-0-1/weights" in {one.name for one in plugin.weights()}


def test_its_components_do_their_work(plugin: mk.Registry, tmp_path: Path) -> None:
    names: dict[str, Any] = {
        kind: f"of-0-1-{kind}" for kind in ("separator", "analyzer", "stretcher", "scorer", "generator", "executor")
    }
    kit = mk.Kit(registry=plugin, options={"analyzer": {"tempo": 100.0}}, **names)
    song = signals.mix(signals.band(mk.Key(0, "major"), tempo=100.0, bars=4)[0])
    stems = kit.separator.separate(song)
    assert set(stems.stems) == {"vocals", "drums", "other"}
    found = kit.analyzer.analyze(song)
    assert (found.tempo, found.beats_per_bar) == (100.0, 4)
    assert kit.stretcher.stretch(song, speed=2.0).frames == pytest.approx(song.frames / 2, abs=1)
    source: Any = SyntheticSource([(mk.Key(0, "major"), 120.0), (mk.Key(2, "major"), 110.0)], bars=16)
    mashups = kit.mashups(source, kit.generator.plan(source.clips, condition="as-they-are", count=2, seed=1))
    best = kit.rank(mashups)
    assert [one.score.value for one in best] == sorted((one.plan.duration_s for one in mashups), reverse=True)
    saved = best[0].mashup.save(tmp_path / "out")
    assert mk.MashupPlan.from_json((saved / "plan.json").read_text()) == best[0].mashup.plan
    work = mk.Work(name="double", start=int, run=_double)
    outcomes = kit.executor.run([mk.Job(work, number, str(number)) for number in range(3)])
    assert sorted(one.result for one in outcomes) == [0, 2, 4]


def _double(_state: int, item: int, *_: object) -> int:
    return 2 * item


def test_its_hooks_are_called(plugin: mk.Registry, tmp_path: Path) -> None:
    (tmp_path / "sound.of-0-1").write_bytes(b"anything")
    loaded = mk.load(tmp_path / "sound.of-0-1", loader=plugin.plugins.hook.mashkit_load_audio)
    assert np.all(loaded.samples == np.float32(0.25))
    plugin.plugins.hook.mashkit_stage(event=StageEvent(stage="score", item="a", state="done", done=1, total=2))
    assert sys.modules["plugin_of_0_1"].heard == [("score", "a", "done", 1, 2, "")]


def test_its_command_runs(plugin: mk.Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["of-0-1", "one", "two", "--json"]) == 0
    assert capsys.readouterr().out == "of 0.1: one two; json True\n"


# ------------------------------------------------------------------------------------------------------ deprecation
def test_what_goes_works_and_says_so() -> None:
    @deprecated(since="0.2", until="0.4", instead="mashkit.load")
    def open_song(path: str, *, rate: int = 1) -> tuple[str, int]:
        """Open it."""
        return path, rate

    with pytest.warns(
        DeprecationWarning, match=r"open_song is deprecated since mashkit 0\.2 .* 0\.4: use mashkit\.load"
    ) as told:
        assert open_song("a", rate=3) == ("a", 3)
    assert [one.filename for one in told] == [__file__]  # at the caller's line
    assert (open_song.__name__, open_song.__doc__) == ("open_song", "Open it.")


def test_what_moved_is_found_at_its_old_place(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("old_place")
    vars(old)["__getattr__"] = moved("old_place", {"sound": "mashkit.types:Audio"}, since="0.2", until="0.3")
    with pytest.warns(DeprecatedUse, match=r"old_place\.sound .* use mashkit\.types\.Audio") as told:
        assert old.sound is mk.Audio
    assert [one.filename for one in told] == [__file__]
    with warnings.catch_warnings(), pytest.raises(AttributeError, match="'old_place' has no attribute 'other'"):
        _ = old.other


def test_the_contract_tests_make_such_warnings_errors(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "import warnings\n"
        "from mashkit.deprecation import deprecated\n"
        "from mashkit.testing.contracts.component import ComponentContract\n"
        "@deprecated(since='0.1', until='0.4', instead='another')\n"
        "def old(): pass\n"
        "class TestTheirs(ComponentContract):\n"
        "    def test_old(self): old()\n"
        "    def test_of_others(self): warnings.warn('of another library', DeprecationWarning)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_old or test_of_others"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "DeprecatedUse" in done.stdout
