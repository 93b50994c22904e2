"""`mashkit train --data`: trains a checkpoint from stores. It imports little, because `mashkit --help` imports it."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.hookspecs import Command, StageEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mashkit_mashnet.checkpoint import Calibration, Checkpoint
    from mashkit_mashnet.networks import Network, Preset
    from mashkit_mashnet_train.batches import TrainingData
    from mashkit_mashnet_train.examples import Split
    from mashkit_mashnet_train.learnt_songs import Song
    from mashkit_mashnet_train.training import Predictions, TrainingConfig, TrainingResult

DONE = 0
DEFAULT_PRESET = "compact"
SUMMARY = "Train a network that scores mashups, or go on training it, and calibrate it."
REPORT = "report.json"
"""The file in a run's folder that holds its results."""


def _number(*, least: float = -math.inf, above: float = -math.inf, below: float = math.inf) -> Callable[[str], float]:
    """Return a function that reads a number within bounds (argparse's ``type``); argparse adds the option to errors."""
    bounds = [f"{name} {value:g}" for name, value in (("from", least), ("above", above), ("below", below))
              if math.isfinite(value)]  # fmt: skip

    def number(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and value >= least and above < value < below):
            raise argparse.ArgumentTypeError(f"{text} is not a number {', '.join(bounds)}")
        return value

    return number


def _seed(text: str) -> int:
    """Read a seed (argparse's ``type``)."""
    from mashkit.cli.actions import whole
    from mashkit_mashnet_train.training.config import MOST_SEEDS

    value = whole(text)
    if value >= MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to {MOST_SEEDS - 1}")
    return value


def _configure(made: argparse.ArgumentParser) -> None:
    from mashkit.cli.actions import add_dry_run

    add_dry_run(made, "say what would be trained, and on what")
    _add_data(made)
    _add_optimisation(made)
    _add_machine(made)


def _add_data(made: argparse.ArgumentParser) -> None:
    """Add what is trained, on what, and where it is written."""
    from mashkit.cli.actions import positive

    made.add_argument(
        "--data", type=Path, action="append", required=True, metavar="FOLDER", help="a store of features; repeatable"
    )
    made.add_argument(
        "--shares", metavar="A,B,…",
        help="how often vocals are of each --data, such as 7,3; default: as often as it has clips",
    )  # fmt: skip
    made.add_argument("--variant", required=True, metavar="NAME", help="what to train, such as premixnet-lsro")
    made.add_argument("--preset", metavar="NAME", help="its size; default: that of --initial, else compact")
    made.add_argument(
        "--initial", type=Path, metavar="CHECKPOINT",
        help="begin with the weights of this file, or of the variant of this name as it ships; default: random weights",
    )  # fmt: skip
    made.add_argument(
        "-o", "--output", type=Path, required=True, metavar="RUN",
        help="folder of the run; a run that lies there already is gone on with",
    )  # fmt: skip
    made.add_argument(
        "--protocol", choices=("controlled", "paper"), default="controlled",
        help="how examples are made; default: %(default)s",
    )  # fmt: skip
    made.add_argument(
        "--batches", choices=("vocals", "families", "contrasts"), default="vocals",
        help="how layers are drawn: for each vocal, to play in several examples, or so and with originals of which one "
        "stem is out of time; default: %(default)s",
    )  # fmt: skip
    made.add_argument("--groups", type=positive, metavar="N", help="vocals in a batch: fewer need less memory")
    made.add_argument("--fold", metavar="K/N", help="leave the songs of fold K of N out; default: the split by name")


def _add_optimisation(made: argparse.ArgumentParser) -> None:
    """Add the loss, the steps, and when they end."""
    from mashkit.cli.actions import positive

    made.add_argument("--steps", type=positive, default=10_000, metavar="N", help="batches; default: %(default)s")
    made.add_argument("--seed", type=_seed, default=0, help="of weights, examples and chance; default: %(default)s")
    made.add_argument(
        "--learning-rate", type=_number(above=0), default=1e-4, metavar="RATE", help="of Adam; default: %(default)s"
    )
    made.add_argument(
        "--schedule", choices=("constant", "cosine"), default="constant",
        help="let the rate stay, or rise and fall to nothing at the last step; default: %(default)s",
    )  # fmt: skip
    made.add_argument(
        "--average", type=_number(least=0, below=1), default=0.0, metavar="DECAY",
        help="keep a moving average of the weights with this decay, such as 0.99; default: %(default)s, none",
    )  # fmt: skip
    made.add_argument(
        "--unlabelled", choices=("drop", "lsro", "pseudo"),
        help="what becomes of matched examples; default: lsro for variants called so, drop for others",
    )  # fmt: skip
    made.add_argument(
        "--ranking",
        type=_number(least=0),
        default=0.0,
        metavar="WEIGHT",
        help="of a pairwise ranking loss; default: %(default)s",
    )
    made.add_argument(
        "--validate-every", type=positive, default=200, metavar="N", help="steps per validation; default: %(default)s"
    )
    made.add_argument("--patience", type=positive, metavar="N", help="stop after N validations without a new best")


def _add_machine(made: argparse.ArgumentParser) -> None:
    """Add how and where it is computed."""
    from mashkit.cli.actions import positive, whole

    made.add_argument(
        "--precision", choices=("auto", "32-true", "16-mixed", "bf16-mixed"), default="auto",
        help="of the arithmetic; auto tries what is faster on this processor; default: %(default)s",
    )  # fmt: skip
    made.add_argument(
        "--channels-last", action="store_true", help="memory format channels_last; precision auto tries both formats"
    )
    made.add_argument("--device", default="auto", help="auto, cpu, cuda or mps; default: %(default)s")
    made.add_argument("--devices", type=positive, default=1, metavar="N", help="how many of it; default: %(default)s")
    made.add_argument("--threads", type=positive, metavar="N", help="CPU threads; default: torch's own setting")
    made.add_argument(
        "--workers", type=whole, default=1, metavar="N", help="processes that prepare batches; default: %(default)s"
    )
    made.add_argument(
        "--save-every",
        type=_number(above=0),
        default=60.0,
        metavar="SECONDS",
        help="longest time between saves, which is lost if the run is killed; default: %(default)s",
    )


def _run(arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import printed, say
    from mashkit.cli.progress import ProgressListener
    from mashkit.registry import Registry
    from mashkit_mashnet_train.example_store import is_example_store, open_examples
    from mashkit_mashnet_train.examples import Fold
    from mashkit_mashnet_train.learnt_songs import learnt_by, named, songs_by_part
    from mashkit_mashnet_train.store import open_store
    from mashkit_mashnet_train.training import check, in_first_process, train
    from mashkit_mashnet_train.training.arithmetic import require_bfloat16
    from mashkit_mashnet_train.training.state import require_unused
    from mashkit_mashnet_train.training_data import training_data

    require_unused(arguments.output, (REPORT, f"{arguments.variant}.safetensors"))
    begun = None if arguments.initial is None else initial_file(arguments.initial)
    network, initial = first_network(arguments.variant, arguments.preset, arguments.seed, begun)
    config = _config(arguments, network, begun)
    require_bfloat16(config)
    stores = [
        open_examples(folder) if is_example_store(folder) else open_store(folder, write=not arguments.dry_run)
        for folder in arguments.data
    ]
    fold = None if arguments.fold is None else Fold.parse(arguments.fold)
    data = training_data(
        stores,
        arguments.variant,
        network.preset,
        arguments.protocol,
        arguments.seed,
        unlabelled=config.unlabelled != "drop",
        drawn=arguments.batches,
        groups=arguments.groups,
        fold=fold,
        shares=None if arguments.shares is None else _shares(arguments.shares),
    )
    songs = songs_by_part(stores, fold)
    before = {} if initial is None else learnt_by(initial.training, stores)
    heard = heard_before(before, songs)
    if heard and in_first_process():
        say(f"train: {_warning(heard, str(begun))}")
    if arguments.dry_run:
        check(network, data, config, arguments.output)
        return _say_what_would_be_trained(network, data, arguments)
    registry = Registry()

    def notify(event: StageEvent) -> None:
        registry.plugins.hook.mashkit_stage(event=event)

    with ProgressListener(registry, quiet=arguments.quiet):
        result = train(network, data, config, arguments.output, notify)
    if not in_first_process():
        return DONE
    told = finish(network, data, config, result, arguments.output, named(songs, before), initial, heard)
    if not printed(told, arguments):
        _print(told)
    return DONE


def _config(arguments: argparse.Namespace, network: Network, begun: Path | None) -> TrainingConfig:
    """Return the settings of a run that begins with the weights of ``begun``."""
    from mashkit.models import file_sha256
    from mashkit_mashnet_train.training import TrainingConfig

    return TrainingConfig(
        variant=arguments.variant,
        preset=network.preset.name,
        initial=None if begun is None else file_sha256(begun),
        steps=arguments.steps,
        learning_rate=arguments.learning_rate,
        schedule=arguments.schedule,
        average=arguments.average,
        unlabelled=arguments.unlabelled or ("lsro" if arguments.variant.endswith("-lsro") else "drop"),
        ranking=arguments.ranking,
        loss=network.loss,
        validation_interval=arguments.validate_every,
        patience=arguments.patience,
        precision=arguments.precision,
        channels_last=arguments.channels_last,
        device=arguments.device,
        devices=arguments.devices,
        seed=arguments.seed,
        threads=arguments.threads,
        workers=arguments.workers,
        checkpoint_seconds=arguments.save_every,
    )


def _shares(text: str) -> list[float]:
    """Read "7,3"; raises UsageError if a part is not a number."""
    from mashkit.errors import UsageError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--shares {text}", "give a number for each --data, such as 7,3") from None


def _say_what_would_be_trained(network: Network, data: TrainingData, arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import printed

    parameters = sum(weight.numel() for weight in network.parameters())
    told = {"dry_run": True, "parameters": parameters, "steps": arguments.steps, "data": dict(data.summary)}
    if not printed(told, arguments):
        print(
            f"dry run: {arguments.steps} steps of {arguments.variant} with {parameters / 1e6:.2f} M parameters; "
            f"training: {data.summary['training']}; validation: {data.summary['validation']}; nothing was trained"
        )
    return DONE


def new_network(variant: str, preset: str | Preset, seed: int) -> Network:
    """Return a network with the initial weights for a seed.

    Raises
    ------
    UsageError
        If the variant, or a preset of this name, does not exist.
    """
    import torch

    from mashkit.errors import UsageError
    from mashkit_mashnet.checkpoint import VARIANTS, architecture

    if variant not in VARIANTS:
        raise UsageError(f"no variant is called {variant!r}", f"there are {', '.join(VARIANTS)}")
    made = architecture(VARIANTS[variant])
    if isinstance(preset, str):
        if preset not in made.presets:
            raise UsageError(f"{variant} has no preset {preset!r}", f"it has {', '.join(made.presets)}")
        preset = made.presets[preset]
    torch.manual_seed(seed)
    return made(preset)


def initial_file(given: Path) -> Path:
    """Return the checkpoint that ``given`` is, or that ships for the variant of this name."""
    from mashkit_mashnet.checkpoint import VARIANTS
    from mashkit_mashnet.scorer import shipped

    return shipped(str(given)) if str(given) in VARIANTS and not given.exists() else given


def first_network(variant: str, preset: str | None, seed: int, begun: Path | None) -> tuple[Network, Checkpoint | None]:
    """Return the network of the first step, and the checkpoint ``begun`` that has its weights.

    The checkpoint also decides the size, unless ``preset`` names another. Its calibration is left behind.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint.
    UsageError
        If the variant or the preset does not exist, or the checkpoint holds another architecture or size.
    """
    from mashkit.errors import UsageError
    from mashkit_mashnet.checkpoint import VARIANTS, load

    if begun is None:
        return new_network(variant, preset or DEFAULT_PRESET, seed), None
    found = load(begun)
    same = found.architecture == VARIANTS.get(variant) and preset in (None, found.preset.name)
    network = new_network(variant, found.preset if same else preset or DEFAULT_PRESET, seed)
    if not same:
        raise UsageError(
            f"{begun} holds {found.architecture} of preset {found.preset.name}, not {network.architecture} of preset "
            f"{network.preset.name}",
            "give the --variant and --preset of the checkpoint",
        )
    network.load_state_dict(dict(found.weights))
    return network, found


def heard_before(learnt: Mapping[Split, set[str]], songs: Mapping[Split, set[Song]]) -> dict[str, list[str]]:
    """Return the songs of validation, and of the test, that other weights had in their own training or validation.

    Parameters
    ----------
    learnt : mapping
        What :func:`mashkit_mashnet_train.learnt_songs.learnt_by` returned of these weights.
    songs : mapping
        The songs of each part of the run.
    """
    keys = set().union(*learnt.values())
    parts: tuple[Split, ...] = ("validation", "test")
    found = {part: sorted({song.name for song in songs[part] if song.keys & keys}) for part in parts}
    return {part: names for part, names in found.items() if names}


def _warning(heard: Mapping[str, Sequence[str]], begun: str) -> str:
    songs = " and ".join(f"{len(names)} songs of the {part}, such as {names[0]!r}" for part, names in heard.items())
    return (
        f"{begun} had learnt from {songs}, or was chosen by them: what this run measures on them is too good "
        "(begin with weights that never had these songs)"
    )


def finish(
    network: Network,
    data: TrainingData,
    config: TrainingConfig,
    result: TrainingResult,
    folder: Path,
    songs: Mapping[str, Sequence[str]],
    initial: Checkpoint | None = None,
    heard: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Calibrate a trained network, write its checkpoint and the run's report, and return the report.

    Calibration and report are for the network in half precision, because the checkpoint holds that one.

    Parameters
    ----------
    network : Network
        With the best weights, as :func:`mashkit_mashnet_train.training.train` leaves it.
    data : TrainingData
        What it was trained on; its validation songs calibrate it.
    config : TrainingConfig
    result : TrainingResult
    folder : Path
        Gets the checkpoint ``<variant>.safetensors``, and the report.
    songs : mapping
        What :func:`mashkit_mashnet_train.learnt_songs.named` returned. The checkpoint alone has it, because the report
        is for people.
    initial : Checkpoint, optional
        The checkpoint with whose weights training began. The new one names the recordings of both, because a benchmark
        must not judge a network by any of them, and the licences of both.
    heard : mapping, optional
        What :func:`heard_before` returned.

    Returns
    -------
    dict
        The report, with its path as "report".

    Raises
    ------
    CalibrationError
        If there are no positives or no negatives among the validation examples.
    OptionError
        If weights are too large for half precision, or not finite.
    OutputError
        If a file cannot be written, or the disk is full.
    """
    from mashkit.atomicfile import write_json
    from mashkit.models import sha256_of
    from mashkit_mashnet import checkpoint as files
    from mashkit_mashnet_train.learnt_songs import licences
    from mashkit_mashnet_train.training import metrics, predict

    made = files.Checkpoint.of(network, variant=config.variant).halved()
    predictions = predict(made.network(config.device), data.validation(), config.device)
    calibration, told_of_it = _calibrated(predictions)
    record: dict[str, Any] = {**result.record, "validation": metrics(predictions), "calibration": told_of_it}
    recordings, under = set(record["data"].get("recordings", ())), licences(record)
    if initial is not None:
        before = initial.training.get("data", {})
        recordings.update(before.get("recordings", ()))
        under |= licences(initial.training)
        record["initial"] = {"sha256": config.initial, "variant": initial.variant, "data": _without_songs(before)}
        if members := initial.training.get("members"):  # several networks in one file, each with data of its own
            record["initial"]["members"] = [_without_songs(member.get("data", {})) for member in members]
        if heard:
            record["initial"]["heard"] = {part: list(names) for part, names in heard.items()}
    record["data"] = {**record["data"], "recordings": sorted(recordings), "licences": sorted(under)}
    kept = {**record, "data": {**record["data"], "songs": dict(songs)}}
    path = folder / f"{config.variant}.safetensors"
    files.save(path, files.Checkpoint.of(network, variant=config.variant, calibration=calibration, training=kept))
    told = {
        "checkpoint": str(path),
        "sha256": sha256_of(path),
        "size": path.stat().st_size,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "temperature": calibration.temperature,
        "bias": calibration.bias,
        "best": dict(result.best),
        **record,
    }
    write_json(folder / REPORT, told)
    return {**told, "report": str(folder / REPORT)}


def _without_songs(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record says of data, without the keys of its songs: the new record has these among its own."""
    return {name: value for name, value in data.items() if name != "songs"}


def _calibrated(predictions: Predictions) -> tuple[Calibration, dict[str, Any]]:
    """Return the calibration that fits predictions, and what the report says of it."""
    from mashkit_mashnet_train.calibration import CalibrationError, bound_of, compare, fit, probabilities, quality

    calibration = fit(predictions)
    ways, missing = {}, ""
    try:
        ways = compare(predictions)
    except CalibrationError as error:  # too few vocals for a comparison; the network is calibrated all the same
        missing = str(error)
    return calibration, {
        "fitted_on": "the validation songs, by which the best step was chosen too",
        "before": quality(probabilities(predictions.margins), predictions.targets),
        "after": quality(probabilities(predictions.margins, calibration), predictions.targets),
        **({"bound": bound} if (bound := bound_of(calibration)) else {}),
        **({"across_vocals_missing": missing} if missing else {}),
        "across_vocals": {
            name: {key: value for key, value in found.items() if key != "reliability"} for name, found in ways.items()
        },
    }


def _print(told: Mapping[str, Any]) -> None:
    best, after = told["best"], told["calibration"]["after"]
    stopped = {"steps": "all its steps", "patience": "no new best for a while"}[told["stopped"]]
    variant = told["config"]["variant"]
    bound = f"  {told['calibration']['bound']}\n" if "bound" in told["calibration"] else ""
    print(
        f"{told['steps']} steps in {told['seconds']:.0f} s, ended by {stopped}; the best was {best['step']}:\n"
        f"  AUC {best['auc']:.4f}, loss {best['loss']:.4f}, "
        f"right of positives {best['accuracy_positive']:.1%}, of negatives {best['accuracy_negative']:.1%}\n"
        f"  calibrated with temperature {told['temperature']:.3f} and bias {told['bias']:+.3f}: "
        f"expected calibration error {after['calibration_error']:.4f}, "
        f"accuracy {after['accuracy']:.1%}\n{bound}"
        f"{told['checkpoint']} ({told['size'] / 1e6:.1f} MB, {told['parameters'] / 1e6:.2f} M parameters)\n"
        f"{told['report']}\n"
        f"use it: mashkit score plans.jsonl --scorer {variant} -O scorer.checkpoint={told['checkpoint']}"
    )


TRAIN = Command(name="train --data", summary=SUMMARY, configure=_configure, run=_run)
