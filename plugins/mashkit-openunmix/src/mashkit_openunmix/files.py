"""The released weights of Open-Unmix: the file of each model and stem, and its address."""

from __future__ import annotations

from mashkit.models import WeightFile

OFFICIAL = {
    "umxl": {
        "vocals": "vocals-bccbd9aa.pth",
        "drums": "drums-69e0ebd4.pth",
        "bass": "bass-2ca1ce51.pth",
        "other": "other-c8c5b3e6.pth",
    },
    "umxhq": {
        "vocals": "vocals-b62c91ce.pth",
        "drums": "drums-9619578f.pth",
        "bass": "bass-8d85a5bd.pth",
        "other": "other-b52fbbf7.pth",
    },
    "umx": {
        "vocals": "vocals-c8df74a5.pth",
        "drums": "drums-5a48008b.pth",
        "bass": "bass-646024d3.pth",
        "other": "other-f8e132cc.pth",
    },
}
"""Model → stem → file; its name ends in the first digits of its sha256 (openunmix 1.3.0, ``umxl_spec`` and others)."""

RECORDS = {"umxl": "5069601", "umxhq": "3370489", "umx": "3370486"}
"""Model → its record on Zenodo (same source)."""

TRAINED_ON_MUSDB18 = ("umxhq", "umx")
"""Models that were trained on the training set of MUSDB18; umxl's songs are private (openunmix's README)."""

LICENCES = {"umxl": "CC-BY-NC-SA-4.0", "umxhq": "MIT", "umx": "MIT"}


def weight_files() -> list[WeightFile]:
    """Return all released files, for `mashkit models`."""
    return [
        WeightFile(
            name=f"openunmix/{name}",
            component="separator openunmix",
            model=model,
            sha256=name.partition("-")[2].removesuffix(".pth"),
            licence=LICENCES[model],
            source=f"https://zenodo.org/records/{RECORDS[model]}",
            url=f"https://zenodo.org/records/{RECORDS[model]}/files/{name}",
        )
        for model, files in OFFICIAL.items()
        for name in files.values()
    ]
