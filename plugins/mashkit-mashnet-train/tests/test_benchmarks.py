"""The scripts of benchmarks/: no network is judged by its own songs, nothing old is measured, mistakes are one line."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import numpy as np
import pytest

from mashkit.errors import MashkitError, UsageError
from mashkit.synthetic import signals
from mashkit_mashnet import checkpoint
from mashkit_mashnet.frontend import LOG_FREQUENCY
from mashkit_mashnet_train.example_store import ExampleRecord, ExampleStore, ExampleWriter
from mashkit_mashnet_train.examples import split_of
from mashkit_mashnet_train.store import Store
from mashkit_mashnet_train.train_command import new_network

SCRIPTS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        patch.setenv("OMP_NUM_THREADS", "1")  # the scripts set it
        import duplicates
        import generation
        import networks
        import script
        import stemnet
        import table1

        found = {one.__name__: one for one in (duplicates, generation, networks, script, stemnet, table1)}
        yield found
        for name in found:
            del sys.modules[name]


def told(
    scripts: dict[str, ModuleType],
    name: str,
    patch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *words: Any,
) -> tuple[int, str]:
    """Run a script and return its status and what it said."""
    patch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        scripts["script"].run_script(scripts[name].main)
    return int(left.value.code or 0), capsys.readouterr().err


def saved(
    path: Path, recordings: list[str], variant: str = "premixnet", preset: str = "compact", seed: int = 0
) -> Path:
    """Write a checkpoint that had learnt from these songs."""
    record = {
        "config": {"unlabelled": "drop", "preset": preset}, "best_step": 1,
        "data": {"protocol": "paper", "training": {"songs": 1}, "recordings": recordings},
    }  # fmt: skip
    made = checkpoint.Checkpoint.of(new_network(variant, preset, seed), variant=variant)
    checkpoint.save(path, attrs.evolve(made, training=record))
    return path


def examples(folder: Path, split: str = "test") -> ExampleStore:
    """Return a store of five songs, with an original, an unmatched and a matched mashup of each vocal."""
    source = {"recipe": "pipeline", "components": [], "mismatch": "strict"}
    writer = ExampleWriter(folder, source)
    names = [f"song {number}" for number in range(5)]
    for number, song in enumerate(names):
        for kind in ("original", "unmatched-key", "matched"):
            titles = (song,) * 3 if kind == "original" else tuple(names[(number + step) % 5] for step in range(3))
            record = ExampleRecord(
                id=f"{number}-{kind}", split=split, kind=kind, vocal=song, songs=titles, titles=titles
            )
            random = np.random.default_rng([number, len(kind)])
            writer.add(record, {"compact": random.integers(0, 255, (60, 4, LOG_FREQUENCY.bands), np.uint8)})
    return writer.close({"compact": LOG_FREQUENCY})


def test_every_script_tells_mistakes_in_one_line() -> None:
    seen = 0
    for path in SCRIPTS.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if '__name__ == "__main__"' in text:
            assert text.rstrip().endswith("run_script(main)"), path
            # A number that is no count may be any; `--cents` is one.
            assert not re.search(r'add_argument\("--\w+", type=int', text), path
            seen += 1
    assert seen > 20


@pytest.mark.parametrize("error", [MashkitError("no song", "add one"), UsageError("no song", "add one")])
def test_an_error_of_mashkit_is_one_line_with_its_status(
    scripts: dict[str, ModuleType], capsys: pytest.CaptureFixture[str], error: MashkitError
) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as left:
        scripts["script"].run_script(main)
    assert left.value.code == (2 if isinstance(error, UsageError) else 1)
    assert capsys.readouterr().err.endswith(": no song (add one)\n")
    with pytest.raises(SystemExit) as left:
        scripts["script"].run_script(lambda: print(Path("no such file").read_text()))
    assert left.value.code == 1
    assert capsys.readouterr().err.endswith(": cannot read or write no such file: No such file or directory\n")
    for status in (None, 0, 3):
        with pytest.raises(SystemExit) as left:
            scripts["script"].run_script(lambda status=status: status)
        assert left.value.code == (status or 0)


def test_a_missing_package_is_one_line(scripts: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        scripts["script"].run_script(lambda: importlib.import_module("no_such_package"))
    assert left.value.code == 2
    assert capsys.readouterr().err.endswith(": No module named 'no_such_package' (install the package that has it)\n")


def test_results_are_written_whole_or_not_at_all(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    write_results, path = scripts["script"].write_results, tmp_path / "made.json"
    write_results(path, {"ä": [1, 2]}, "# Page\n")
    assert path.read_text(encoding="utf-8") == '{"ä":[1,2]}\n'
    assert path.with_suffix(".md").read_text() == "# Page\n"
    for wrong, error in ((float("nan"), ValueError), (object(), TypeError)):
        with pytest.raises(error):
            write_results(path, {"x": [1, wrong]}, "# Another\n", indent=1)
    assert path.read_text(encoding="utf-8") == '{"ä":[1,2]}\n'
    assert sorted(one.name for one in tmp_path.iterdir()) == ["made.json", "made.md"]


def test_mistakes_are_told(
    scripts: dict[str, ModuleType], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plain, rhythm = (saved(tmp_path / f"{name}.safetensors", [], preset=name) for name in ("compact", "rhythm"))
    made, training = examples(tmp_path / "test").folder, examples(tmp_path / "training", "training").folder
    for name, words, status, said in (
        ("networks", ("--data", tmp_path / "none"), 1, "none is no store of features"),
        ("networks", ("--data", store.folder, "--vocals", 0), 2, "argument --vocals: 0 is not a whole number"),
        ("networks", ("--data", store.folder, "--seed", -1), 2, "argument --seed: -1 is not a whole number"),
        ("networks", ("--data", store.folder, rhythm), 2, "has no spectra of the log-frequency front end"),
        ("networks", ("--data", store.folder, tmp_path / "none"), 1, "none"),
        ("generation", ("--before", tmp_path / "none"), 2, "argument --before: there is no folder"),
        ("table1", ("--data", tmp_path / "none", plain), 1, "none is no store of examples (make one with"),
        ("table1", ("--data", training, plain), 2, "has no originals, matched and unmatched mashups for a test (make"),
        ("table1", ("--data", made, rhythm), 2, "none of the log-frequency front end"),
        ("table1", ("--data", made, "--clips", made, plain), 1, "is no store of features"),
    ):
        assert told(scripts, name, monkeypatch, capsys, *words)[0] == status, words
        told_again = told(scripts, name, monkeypatch, capsys, *words)[1]
        assert said in told_again
        assert "Traceback" not in told_again


def test_no_network_is_judged_by_songs_that_it_had(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    store = examples(tmp_path / "store")
    networks = [
        checkpoint.load(saved(tmp_path / f"{number}.safetensors", songs))
        for number, songs in enumerate((["song 0"], ["another"]))
    ]
    judged = scripts["table1"].judged
    assert judged(store, networks[1:]) == (dict(enumerate(store.records)), 0)
    for checkpoints in (networks[:1], networks):
        left, count = judged(store, checkpoints)
        assert count == len(store) - len(left) == 1 + 2 * 3  # its original, and the mashups that it plays in
        assert all("song 0" not in record.titles for record in left.values())
    every = checkpoint.load(saved(tmp_path / "all.safetensors", [f"song {number}" for number in range(4)]))
    with pytest.raises(UsageError, match="of 15, 14 are of songs that the checkpoints had"):
        judged(store, [every])


def test_clips_that_a_network_had_are_no_questions(
    scripts: dict[str, ModuleType], store: Store, tmp_path: Path
) -> None:
    own = sorted({record.song for record in store.records if split_of(record.song) == "validation"})
    titles = {song: f"Band - {song}" for song in own}
    named = attrs.evolve(store, source={**store.source, "titles": titles})
    made = checkpoint.load(saved(tmp_path / "a.safetensors", [own[0], titles[own[1]], "another"]))
    clips, left_out = scripts["networks"].unheard(named, "validation", [made])
    assert left_out == own[:2]  # rendered clips by their ids, real songs by their titles
    assert {record.song for record in clips.records} == set(own[2:])


def test_results_of_other_questions_are_not_dropped(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table1 = scripts["table1"]
    monkeypatch.setattr(table1, "HERE", tmp_path)
    (tmp_path / "results").mkdir()
    file = tmp_path / "results" / "table1.json"
    made = examples(tmp_path / "store").folder
    one, other = saved(tmp_path / "a", []), saved(tmp_path / "b", ["another"], "postmixnet")
    had = saved(tmp_path / "c", ["song 0"])

    def runs() -> list[str]:
        return [run["variant"] for run in json.loads(file.read_text())["collections"]["mine"]["runs"]]

    assert told(scripts, "table1", monkeypatch, capsys, "--data", made, "--write", "mine", one)[0] == 0
    assert told(scripts, "table1", monkeypatch, capsys, "--data", made, "--write", "mine", other)[0] == 0
    assert sorted(runs()) == ["postmixnet", "premixnet"]
    # Networks of one variant are also asked as one; with one alone of each there is nothing to put together.
    again = saved(tmp_path / "d", [], seed=1)
    for more, count in ((other, 2), (again, 4)):
        command = ("--data", made, "--write", "mine", "--together", one, more)
        assert told(scripts, "table1", monkeypatch, capsys, *command)[0] == 0
        assert len(runs()) == count
    both = next(run for run in json.loads(file.read_text())["collections"]["mine"]["runs"] if "members" in run)
    assert both["note"].endswith("2 seeds together")
    assert len(both["members"]) == 2
    before = file.read_text()
    status, said = told(scripts, "table1", monkeypatch, capsys, "--data", made, "--write", "mine", had)
    assert status == 2
    assert "answered other questions: not the same test (left_out, matched, original, songs, unmatched)" in said
    assert file.read_text() == before
    assert told(scripts, "table1", monkeypatch, capsys, "--data", made, "--write", "yours", had)[0] == 0
    assert "; 7 mashups of songs that one of the networks had are left out" in (file.with_suffix(".md")).read_text()


def test_seeds_that_are_kept_are_not_dropped(
    scripts: dict[str, ModuleType], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(scripts["networks"], "HERE", tmp_path)
    (tmp_path / "results").mkdir()
    file = tmp_path / "results" / "networks.json"
    one, other = (saved(tmp_path / name, [], "intervalnet") for name in ("one", "other"))
    checkpoint.save(other, attrs.evolve(checkpoint.load(other), training={"config": {}, "best_step": 2, "data": {}}))
    words = ("--data", store.folder, "--split", "validation", "--vocals", 1, "--write", "mine")
    for path in (one, other, one):
        assert told(scripts, "networks", monkeypatch, capsys, *words, path)[0] == 0
    kept = json.loads(file.read_text())
    scorers = kept["collections"]["mine"]["scorers"]
    assert {name: len(runs) for name, runs in scorers.items()} == {"intervalnet compact": 2, "f0chroma": 1}
    for run in scorers["intervalnet compact"]:
        del run["sha256"]  # as in results of before
    file.write_text(json.dumps(kept))
    status, said = told(scripts, "networks", monkeypatch, capsys, *words, one)
    assert (status, "2 seeds of intervalnet compact" in said) == (2, True)
    assert json.loads(file.read_text()) == kept
    assert told(scripts, "networks", monkeypatch, capsys, *words, one, other)[0] == 0
    other_questions = ("--data", store.folder, "--split", "validation", "--vocals", 2, "--write")
    status, said = told(scripts, "networks", monkeypatch, capsys, *other_questions, "mine", one)
    assert (status, "answered other questions: not the same command, songs" in said) == (2, True)
    assert told(scripts, "networks", monkeypatch, capsys, *other_questions, "yours", one)[0] == 0
    assert list(json.loads(file.read_text())["collections"]) == ["mine", "yours"]
    assert "## mine\n" in file.with_suffix(".md").read_text()


@pytest.mark.parametrize(
    ("name", "work", "words", "kept"),
    [
        ("executors", "measure", ["--rounds", 1], "executors.json is of 3 rounds: --write needs --rounds 3 or more"),
        ("isolation", "compare", ["--pairs", 3], "isolation.json is of 15 pairs"),
        ("overhead", "matched_30s", ["--runs", 2, "--only", "stretch"], "overhead.json is of 5 runs"),
        ("networks_speed", "forward", ["--runs", 1], "networks_speed.json is of 2 runs"),
        (
            "networks_speed",
            "measure_training",
            ["--training", ".", "--steps", 2],
            "training.json is of 6 steps",
        ),
        ("database", "_keep", ["ingest", "--runs", 1], "database.json has ingest of 2 runs: --write needs --runs 2"),
        ("listening", "measured", ["--raters", 9], "listening.json is of 200 raters"),
        ("listening", "measured", ["--pages", 1], "listening.json is of 3 pages"),
        ("listening_page", "measured", ["--visits", 2], "listening_page.json is of 20 visits"),
        ("singers", "melodies_of", ["--midi", ".", "--drums", ".", "--clips", 1], "singers.json is of 3 clips"),
        ("taste", "simulated", ["--raters", 1], "taste.json is of 4 raters"),
        ("stemnet", "networks_of", ["--data", ".", "--songs", 1], "stemnet.json is of 4 songs"),
    ],
)
def test_results_of_fewer_do_not_replace_those_of_more(
    name: str, work: str, words: list[Any], kept: str, scripts: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.syspath_prepend(SCRIPTS)
    script = importlib.import_module(name)
    # So that nothing is measured, and no result replaced, where it is not refused.
    monkeypatch.setattr(script, work, None)
    status, error = told({**scripts, name: script}, name, monkeypatch, capsys, *words, "--write")
    assert status == 2
    assert kept in error


def test_controlled_answers_are_kept_and_compared_with_their_like(scripts: dict[str, ModuleType]) -> None:
    table1 = scripts["table1"]
    run = {"sha256": "1", "variant": "premixnet", "note": "", "preset": "compact", "steps": 1, "controlled": {"auc": 9}}
    earlier = {"store": {}, "test": {}, "controlled": {"rules": 5}, "runs": [run]}
    again = {name: value for name, value in run.items() if name != "controlled"} | {"steps": 2}
    without = {**earlier, "controlled": None, "runs": [again, {**again, "sha256": "2"}]}
    table1.require_same_questions(Path("kept.json"), "mine", earlier, without)
    found = table1.joined(earlier, without)
    assert found["controlled"] == {"rules": 5}
    assert [(one["steps"], one.get("controlled")) for one in found["runs"]] == [(2, {"auc": 9}), (2, None)]
    with pytest.raises(UsageError, match=r"kept\.json answered other questions: not the same controlled \(rules\)"):
        table1.require_same_questions(Path("kept.json"), "mine", earlier, {**earlier, "controlled": {"rules": 6}})


def test_copies_of_another_sound_are_made_again(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(command: list[Any], check: bool) -> None:
        made.append(command[-1].name)
        command[-1].write_bytes((tmp_path / "whole.wav").read_bytes())

    made: list[str] = []
    monkeypatch.setattr(scripts["duplicates"], "WAYS", {"as it is": ("wav", [])})
    monkeypatch.setattr(scripts["duplicates"].subprocess, "run", make)
    for seconds, count in ((1.0, 1), (1.0, 1), (2.0, 2)):
        found = [sound.duration for _, sound in scripts["duplicates"].changed(signals.noise(seconds), tmp_path)]
        assert (found, len(made)) == ([seconds, seconds], count)


def test_too_few_seconds_for_an_excerpt_are_refused_at_once(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    due = "duplicates.py: --seconds is 30 (give 45 or more, which has an excerpt)\n"
    assert told(scripts, "duplicates", monkeypatch, capsys, "--songs", tmp_path, "--seconds", 30) == (2, due)


def test_too_few_songs_are_told_before_any_is_compared(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.wav").touch()
    status, said = told(scripts, "duplicates", monkeypatch, capsys, "--songs", tmp_path)
    assert (status, "give 4 or more" in said, said.count("\n")) == (2, True, 1)


def test_a_song_counts_once_however_many_excerpts_it_has(scripts: dict[str, ModuleType]) -> None:
    def row(song: str, excerpt: str, **values: float) -> dict[str, Any]:
        return {"input": song, "excerpt": excerpt, "values": values}

    rows = [
        row("a", "loudest", percussion_leak=-1.0, sum=-120.0), row("a", "without drums", percussion_leak=-9.0),
        row("b", "loudest", percussion_leak=-3.0, sum=-110.0), row("c", "without drums", percussion_leak=-5.0),
    ]  # fmt: skip
    assert sorted(scripts["stemnet"].by_song(rows, "percussion_leak")) == [-9.0, -5.0, -3.0]
    assert scripts["stemnet"].by_song(rows, "sum") == [-120.0, -110.0]
