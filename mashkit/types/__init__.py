"""Define the values that stages pass to each other: frozen, checked on construction, without I/O.

Conventions everywhere in mashkit: audio is float32 of shape (channels, frames) with its sample rate; times are
seconds, tempo is BPM, pitch is semitones, gain is dB, loudness is LUFS.
"""

from __future__ import annotations

from mashkit.types.analysis import TONIC_NAMES, Analysis, Key, Mode, key_facts
from mashkit.types.audio import Audio, Samples, require_audio
from mashkit.types.chords import Chords, chord_tones
from mashkit.types.clip import LABELS_TRUSTED, Clip, by_id
from mashkit.types.mappings import FrozenMapping, as_tuple, frozen_mapping
from mashkit.types.melody import Melody
from mashkit.types.plan import PLAN_FORMAT, Condition, Finish, Layer, MashupPlan, Mixing
from mashkit.types.score import Score
from mashkit.types.stems import ROLE_STEMS, STEM_NAMES, Role, StemSet, as_role, as_roles
from mashkit.types.timemap import TimeMap, Times

__all__ = [
    "LABELS_TRUSTED",
    "PLAN_FORMAT",
    "ROLE_STEMS",
    "STEM_NAMES",
    "TONIC_NAMES",
    "Analysis",
    "Audio",
    "Chords",
    "Clip",
    "Condition",
    "Finish",
    "FrozenMapping",
    "Key",
    "Layer",
    "MashupPlan",
    "Melody",
    "Mixing",
    "Mode",
    "Role",
    "Samples",
    "Score",
    "StemSet",
    "TimeMap",
    "Times",
    "as_role",
    "as_roles",
    "as_tuple",
    "by_id",
    "chord_tones",
    "frozen_mapping",
    "key_facts",
    "require_audio",
]
