"""Install a plugin of one module, as an installer would, into a folder to put on the path."""

from pathlib import Path


def install(folder: Path, module: str, code: str, *, name: str = "") -> Path:
    """Write the module, its metadata and its entry point, and return the folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    module : str
        Name of the module, and of its distribution.
    code : str
        Text of the module.
    name : str
        Name of the entry point; by default the module's.
    """
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mashkit]\n{name or module} = {module}\n")
    return folder
