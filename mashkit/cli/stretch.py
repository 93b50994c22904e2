"""`mashkit stretch`: change speed and pitch of a sound file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mashkit.cli.actions import Commands, add_command, add_components
from mashkit.cli.console import printed, say
from mashkit.cli.status import DONE

if TYPE_CHECKING:
    from mashkit.types.timemap import TimeMap


def add_parser(commands: Commands) -> None:
    """Add `stretch` to the command line."""
    stretch = add_command(commands, "stretch", "Change speed and pitch of a sound file.", run)
    add_components(stretch, "stretcher")
    stretch.add_argument("song", type=Path, help="a sound file")
    stretch.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".flac, .wav, .ogg or .mp3")
    stretch.add_argument("--speed", type=float, default=1.0, help="1.25 is a quarter faster; default: %(default)s")
    stretch.add_argument("--semitones", type=float, default=0.0, help="pitch shift; default: %(default)s")
    stretch.add_argument(
        "--time-map",
        type=Path,
        metavar="FILE",
        help='instead of a speed: JSON {"source": [0, …], "target": [0, …]}, times and their new times, s',
    )
    stretch.add_argument("--seed", type=int, help="seed of the stretcher, if it has one")


def run(arguments: argparse.Namespace) -> int:
    """Change speed and pitch of a sound file."""
    from mashkit.audio.files import load, require_encodable, save
    from mashkit.cli.eachfile import unclipped
    from mashkit.cli.kits import seeded_kit
    from mashkit.paths import path_text
    from mashkit.products import MARK, require_replaceable
    from mashkit.rendering.output import environment

    kit = seeded_kit(arguments, "stretcher")
    audio = load(arguments.song, loader=kit.registry.plugins.hook.mashkit_load_audio)
    require_encodable(arguments.output, audio.sample_rate)
    require_replaceable(arguments.output)
    time_map = None if arguments.time_map is None else _read_time_map(arguments.time_map)
    stretched = kit.stretcher.stretch(audio, speed=arguments.speed, semitones=arguments.semitones, time_map=time_map)
    parts, gain_db = ({"": stretched}, 0.0) if arguments.output.suffix.lower() == ".wav" else unclipped({"": stretched})
    path = save(arguments.output, parts[""], comment=MARK)
    data = {
        "path": path_text(path),
        "frames": stretched.frames,
        "sample_rate": stretched.sample_rate,
        "speed": arguments.speed,
        "semitones": arguments.semitones,
        "time_map": None if time_map is None else time_map.to_dict(),
        "gain_db": gain_db,
        "stretcher": kit.stretcher.described(),
        "environment": environment(),
    }
    if not printed(data, arguments):
        print(path_text(path))
    if gain_db:
        say(f"{path}: lowered by {-gain_db:.1f} dB, because it would have been clipped; write a .wav to keep the level")
    return DONE


def _read_time_map(path: Path) -> TimeMap:
    from mashkit.arguments import named_json
    from mashkit.errors import TimeMapError
    from mashkit.types.timemap import TimeMap

    fix = 'write {"source": [0, 30, 60], "target": [0, 29, 61]}, seconds'
    data = named_json(path, fix)
    if not isinstance(data, dict) or not {"source", "target"} <= data.keys():
        raise TimeMapError(f"{path}: this is not a time map", fix)
    try:
        return TimeMap.from_dict(data)
    except TimeMapError as error:
        raise TimeMapError(f"{path}: {error.problem}", error.fix) from error
