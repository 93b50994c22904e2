"""A model's two files: the checkpoint, and the configuration that describes its network and its stems."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml  # type: ignore[import-untyped]

from mashkit.errors import ComponentUnavailable
from mashkit.models import file_sha256

STEMS = {
    "vocals": "vocals", "drums": "drums", "bass": "bass", "guitar": "guitar", "piano": "piano", "other": "other",
    "instrumental": "other", "instrum": "other", "accompaniment": "other", "no vocals": "other", "no_vocals": "other",
}  # fmt: skip
"""Name of a stem in configurations, in lower case → mashkit's name."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML without code, but with tuples, which these configurations write as ``!!python/tuple``."""


_Loader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


@attrs.frozen
class Model:
    """A model on this machine.

    Parameters
    ----------
    checkpoint, configuration : Path
    settings : mapping
        What the configuration says.
    """

    checkpoint: Path
    configuration: Path
    settings: Mapping[str, Any] = attrs.field(repr=False)

    @classmethod
    def of(cls, checkpoint: Path | None, configuration: Path | None) -> Model:
        """Return the model of two files; by default the configuration is the .yaml beside the checkpoint.

        Raises
        ------
        ComponentUnavailable
            If a file is missing, or the configuration is not of a RoFormer or an MDX23C or lacks an entry.
        """
        if checkpoint is None:
            raise ComponentUnavailable(
                "no model is named for audio-separator; none is downloaded, because the licences of most are unknown",
                "give the option model: a .ckpt on this machine, with its .yaml beside it",
            )
        configuration = checkpoint.with_suffix(".yaml") if configuration is None else configuration
        for path in (checkpoint, configuration):
            if not path.is_file():
                raise ComponentUnavailable(f"{path}: no such file, for audio-separator", "check the option model")
        try:
            settings = yaml.load(configuration.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 — a SafeLoader
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ComponentUnavailable(f"{configuration}: cannot be read: {error}", "fetch it again") from error
        sections = ("audio", "model", "training", "inference")
        if not isinstance(settings, dict) or not all(isinstance(settings.get(one), dict) for one in sections):
            raise ComponentUnavailable(
                f"{configuration}: is not a configuration of a RoFormer or an MDX23C", f"it has {', '.join(sections)}"
            )
        model = cls(checkpoint, configuration, settings)
        # Looked at here, because the backend would fail at a wrong entry only when it separates.
        _ = model.sample_rate, model.chunk, model.given
        if not model.instruments or len(set(model.names.values())) != len(model.names):
            raise ComponentUnavailable(
                f"{configuration}: its stems are {', '.join(model.instruments) or 'not named'}", "use another model"
            )
        return model

    @property
    def instruments(self) -> tuple[str, ...]:
        """The configuration's names of the stems that the network was trained with."""
        return tuple(map(str, self.settings["training"].get("instruments") or ()))

    @property
    def target(self) -> str | None:
        """The configuration's name of the one stem that the network gives; None if it gives all."""
        target = self.settings["training"].get("target_instrument")
        return str(target) if target else None

    @property
    def names(self) -> dict[str, str]:
        """The configuration's names of stems → mashkit's.

        Raises
        ------
        ComponentUnavailable
            If mashkit has no name for one: a model against reverberation, for example, does not separate.
        """
        named = dict.fromkeys([*self.instruments, *([self.target] if self.target else [])])
        unknown = [name for name in named if name.lower() not in STEMS]
        if unknown:
            raise ComponentUnavailable(
                f"{self.configuration}: stems {', '.join(unknown)} are unknown to mashkit",
                f"use a model of {', '.join(dict.fromkeys(STEMS.values()))}",
            )
        return {name: STEMS[name.lower()] for name in self.instruments}

    @property
    def given(self) -> tuple[str, ...]:
        """The stems that the network gives, by mashkit's names."""
        names = self.names
        return (STEMS[self.target.lower()],) if self.target else tuple(names.values())

    @property
    def rest(self) -> str | None:
        """The mix without the one stem that the network gives, by mashkit's name; None if there is no such name.

        It is the second of two instruments, and else "other".
        """
        if len(self.given) > 1:
            return None
        others = set(self.names.values()).difference(self.given)
        rest = others.pop() if len(others) == 1 else "other"
        return None if rest in self.given else rest

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._whole("audio", "sample_rate", 1, default=44_100)

    @property
    def chunk(self) -> int:
        """Samples that the network processes at once."""
        hop = "model", "stft_hop_length"
        if not self.settings["model"].get("stft_hop_length"):
            hop = "audio", "hop_length"
        return self._whole(*hop, 1) * (self._whole("inference", "dim_t", 2) - 1)

    def _whole(self, section: str, entry: str, least: int, *, default: int | None = None) -> int:
        value = self.settings[section].get(entry, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            said = f"{section}.{entry} is {value!r}" if entry in self.settings[section] else f"has no {section}.{entry}"
            raise ComponentUnavailable(f"{self.configuration}: {said}", f"write a whole number from {least} on there")
        return value

    def hashes(self) -> dict[str, str]:
        """Return file name → sha256 of both files."""
        return {path.name: file_sha256(path) for path in (self.checkpoint, self.configuration)}
