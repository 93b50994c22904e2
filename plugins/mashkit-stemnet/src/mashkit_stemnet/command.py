"""`mashkit stem-songs` and `mashkit train-separator`. It imports little, because `mashkit --help` imports it."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from mashkit.hookspecs import Command
from mashkit.numbers import number_of

DONE = 0


def seconds(text: str) -> float:
    """Read a finite number of seconds above 0 (argparse's ``type``)."""
    value = seconds_from_0(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def seconds_from_0(text: str) -> float:
    """Read a finite number of seconds, 0 or more (argparse's ``type``)."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return value


def share(text: str) -> float:
    """Read a number from 0 to 1 (argparse's ``type``)."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return value


def _configure_songs(made: argparse.ArgumentParser) -> None:
    from mashkit.cli.actions import add_telling, positive, whole

    recipes = made.add_subparsers(dest="recipe", required=True, metavar="RECIPE")
    kits = recipes.add_parser("kits", help="cut the drum kits of soundfonts into folders of one-shots")
    songs = recipes.add_parser(
        "rendered", help="render songs of POP909 with other instruments, voices and drums, as exact stems"
    )
    for recipe in (kits, songs):
        recipe.add_argument("--soundfont", type=Path, action="append", required=True, metavar="SF2", help="repeatable")
        recipe.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
        add_telling(recipe, argparse.SUPPRESS)
    songs.add_argument("--midi", type=Path, required=True, metavar="TAR", help="POP909 as a tar file")
    songs.add_argument("--drums", type=Path, required=True, metavar="TAR", help="Groove MIDI Dataset as a tar file")
    songs.add_argument(
        "--kit", type=Path, action="extend", nargs="+", default=[], metavar="FOLDER",
        help="folder of one-shots named after the drum (kick 1.wav); a third of all kits is synthesised",
    )  # fmt: skip
    songs.add_argument(
        "--windows", type=positive, default=2, metavar="N", help="excerpts of each song; default: %(default)s"
    )
    songs.add_argument(
        "--sung",
        type=share,
        default=0.4,
        metavar="SHARE",
        help="share of melodies that pysinsy sings; default: %(default)s",
    )
    songs.add_argument("--seed", type=whole, default=0, help="seed of every random choice; default: %(default)s")
    songs.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes; default: %(default)s")


def _run_songs(arguments: argparse.Namespace) -> int:
    from mashkit.cli.progress import ProgressListener
    from mashkit.hookspecs import StageEvent
    from mashkit.registry import Registry

    if arguments.recipe == "kits":
        return _cut_kits(arguments)
    from mashkit_mashnet_train.recipes.scores import groove, pop909
    from mashkit_stemnet.rendering import render

    registry = Registry()

    def progress(done: int, total: int) -> None:
        registry.plugins.hook.mashkit_stage(
            event=StageEvent(stage="songs", item="song", state="done", done=done, total=total)
        )

    with ProgressListener(registry, quiet=arguments.quiet):
        excerpts = sorted(
            pop909(arguments.midi, arguments.windows, 22.0, arguments.seed),
            key=lambda excerpt: (excerpt.number, excerpt.song),
        )
        made = render(
            arguments.output, excerpts, groove(arguments.drums), arguments.kit, arguments.soundfont,
            read=[arguments.midi, arguments.drums], sung=arguments.sung, seed=arguments.seed, jobs=arguments.jobs,
            progress=progress,
        )  # fmt: skip
    _say(
        arguments, {"folder": str(arguments.output), "songs": made}, f"{number_of(made, 'song')} in {arguments.output}"
    )
    return DONE


def _cut_kits(arguments: argparse.Namespace) -> int:
    import soundfile

    from mashkit.atomicfile import replacing, require_writable_folder, writing_alone
    from mashkit_stemnet.drums import SAMPLE_RATE, soundfont_kits

    made = 0
    with writing_alone(require_writable_folder(arguments.output)):
        for soundfont in arguments.soundfont:
            for name, shots in soundfont_kits(soundfont):
                if not shots:
                    continue
                folder = arguments.output / f"{soundfont.stem} {name.strip().replace('/', '_')}"
                for piece, samples in shots.items():
                    with replacing(folder / f"{piece}.flac") as temporary:
                        soundfile.write(temporary, samples.T, SAMPLE_RATE)
                made += 1
    _say(arguments, {"folder": str(arguments.output), "kits": made}, f"{number_of(made, 'kit')} in {arguments.output}")
    return DONE


def _configure_training(made: argparse.ArgumentParser) -> None:
    from mashkit.cli.actions import positive, whole

    made.add_argument(
        "--corpus", type=Path, required=True, metavar="FOLDER",
        help="folder that `mashkit stem-songs rendered` made; songs that are added during training are used too",
    )  # fmt: skip
    made.add_argument(
        "--songs", type=Path, metavar="FOLDER",
        help="real songs, a folder for each with vocals, drums, bass and other: for each song, a network is trained "
        "without it, to measure the quality; the final network is trained on all of them",
    )  # fmt: skip
    made.add_argument(
        "--only",
        action="append",
        metavar="TEXT",
        help="measure only songs with TEXT in their name; the final network still has all of them; repeatable",
    )
    made.add_argument(
        "-o", "--output", type=Path, required=True, metavar="RUN",
        help="folder of the run; an unfinished run in it is continued",
    )  # fmt: skip
    for name, given, time, explained in (
        ("base", seconds, 3600, "on rendered songs"),
        ("fold", seconds_from_0, 600, "for each network that leaves out a song; with 0 there is none"),
        ("all", seconds, 900, "for the network that has all songs"),
    ):
        made.add_argument(
            f"--{name}-seconds", type=given, default=time, metavar="S",
            help=f"seconds of training {explained}; default: %(default)s",
        )  # fmt: skip
    made.add_argument(
        "--batch", type=positive, default=16, metavar="N", help="mixes in each step; default: %(default)s"
    )
    made.add_argument(
        "--precision", choices=("32-true", "bf16-mixed"), default="bf16-mixed",
        help="precision of the arithmetic; default: %(default)s",
    )  # fmt: skip
    made.add_argument("--device", default="auto", help="auto, cpu, cuda or mps; default: %(default)s")
    made.add_argument("--threads", type=positive, metavar="N", help="CPU threads; default: torch's own setting")
    made.add_argument(
        "--room", type=seconds, default=40_000, metavar="S",
        help="seconds of stems kept in memory; default: %(default)s",
    )  # fmt: skip
    made.add_argument("--seed", type=whole, default=0, help="seed of every random choice; default: %(default)s")


def _run_training(arguments: argparse.Namespace) -> int:
    import torch

    from mashkit.errors import UsageError
    from mashkit.networks.devices import known_device
    from mashkit.paths import path_text
    from mashkit_stemnet.training import TrainingConfig, curves, train

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    songs: list[Path] = []
    only = arguments.only or [""]
    if arguments.only and arguments.songs is None:
        raise UsageError("--only chooses songs of --songs", "give --songs too")
    if arguments.songs is not None:
        if not arguments.songs.is_dir():
            raise UsageError(f"{arguments.songs} is not a folder", "give a folder that holds a folder for each song")
        songs = sorted(path for path in arguments.songs.iterdir() if path.is_dir())
        if not any(text in path.name for path in songs for text in only):
            raise UsageError(
                f"{path_text(arguments.songs)} holds no song"
                + (f" named {' or '.join(only)}" if arguments.only else ""),
                "give a folder that holds a folder for each song",
            )
    config = TrainingConfig(
        base_seconds=arguments.base_seconds, fold_seconds=arguments.fold_seconds, all_seconds=arguments.all_seconds,
        batch=arguments.batch, precision=arguments.precision, device=known_device(arguments.device),
        seed=arguments.seed, room_s=arguments.room,
    )  # fmt: skip

    def tell(told: dict[str, Any]) -> None:
        if not (arguments.quiet or arguments.json):
            print(json.dumps(told), flush=True)

    train(arguments.output, config, arguments.corpus, songs, only=only, tell=tell)
    validations = list(curves(arguments.output))
    _say(arguments, {"run": str(arguments.output), "curves": validations}, f"{arguments.output / 'all.safetensors'}")
    return DONE


def _say(arguments: argparse.Namespace, told: dict[str, Any], line: str) -> None:
    from mashkit.cli.console import printed

    if not printed(told, arguments):
        print(line)


COMMANDS = [
    Command(
        name="stem-songs", summary="Render songs with exact stems, to train a separator on.",
        configure=_configure_songs, run=_run_songs,
    ),
    Command(
        name="train-separator", summary="Train the network that takes drums and bass out of a mix.",
        configure=_configure_training, run=_run_training,
    ),
]  # fmt: skip
