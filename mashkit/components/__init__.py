"""Components and their cards, the environments of their backends, and the fence around their code."""

from __future__ import annotations

from mashkit.components.component import (
    KINDS,
    Availability,
    Component,
    ComponentInfo,
    Origin,
    availability,
    cost_only,
    plain,
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
    "without_costs",
]
