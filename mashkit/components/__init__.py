"""Components and their cards, the environments of their backends, and the fence around their code.

The names below are imported on first use, because `mashkit --help` needs the fence and does not wait for attrs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mashkit.components.component import (
        KINDS,
        Availability,
        Component,
        ComponentInfo,
        Origin,
        availability,
        cost_only,
        plain,
        whole,
        without_costs,
    )

__all__ = [
    "KINDS",
    "Availability",
    "Component",
    "ComponentInfo",
    "Origin",
    "availability",
    "cost_only",
    "plain",
    "whole",
    "without_costs",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mashkit.components import component

    return getattr(component, name)
