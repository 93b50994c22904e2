"""The released weights of demucs 4: the files of each model, and their addresses."""

from __future__ import annotations

from mashkit.models import WeightFile

FILES = {
    "htdemucs": ("hybrid_transformer", ("955717e8-8726e21a.th",)),
    "htdemucs_ft": (
        "hybrid_transformer",
        ("f7e0c4bc-ba3fe64a.th", "d12395a8-e57c48e6.th", "92cfc3b6-ef3bcb9c.th", "04573f0d-f3cf25b2.th"),
    ),
    "htdemucs_6s": ("hybrid_transformer", ("5c90dfd2-34c22ccb.th",)),
    "hdemucs_mmi": ("hybrid_transformer", ("75fc33f5-1941ce65.th",)),
    "mdx": (
        "mdx_final",
        ("0d19c1c6-0f06f20e.th", "7ecf8ec1-70f50cc9.th", "c511e2ab-fe698775.th", "7d865c68-3d5dd56b.th"),
    ),
    "mdx_extra": (
        "mdx_final",
        ("e51eebcc-c1b80bdd.th", "a1d90b5c-ae9d2452.th", "5d2d6c55-db83574e.th", "cfa93e08-61801ae1.th"),
    ),
    "mdx_q": (
        "mdx_final",
        ("6b9c2ca1-3fd82607.th", "b72baf4e-8778635e.th", "42e558d4-196e0e1b.th", "305bc58f-18378783.th"),
    ),
    "mdx_extra_q": (
        "mdx_final",
        ("83fc094f-4a16d450.th", "464b36d7-e5a9386e.th", "14fc6a69-a89dd0ee.th", "7fd6ef75-a905dd85.th"),
    ),
}
"""Model → folder of publication, files: <signature>-<first digits of sha256>.th (demucs's remote/files.txt)."""

TRAINED_ON_TEST_SONGS = ("mdx_extra", "mdx_extra_q")
"""Models whose training had the test set of MUSDB18 too (demucs's README, "Separating tracks")."""


def weight_files() -> list[WeightFile]:
    """Return all released files, for `mashkit models`."""
    return [
        WeightFile(
            name=f"demucs/{name}",
            component="separator demucs",
            model=model,
            sha256=name.partition("-")[2].removesuffix(".th"),
            licence="MIT",
            source="https://github.com/adefossez/demucs",
            url=f"https://dl.fbaipublicfiles.com/demucs/{folder}/{name}",
        )
        for model, (folder, names) in FILES.items()
        for name in names
    ]
