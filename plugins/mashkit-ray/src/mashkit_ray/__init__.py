"""mashkit executor on Ray."""

from collections.abc import Iterable

from mashkit.components import ComponentInfo
from mashkit.hookspecs import hookimpl

EXECUTOR = ComponentInfo(
    name="ray",
    target="mashkit_ray.executor:RayExecutor",
    summary="Ray actors: a cluster's CPUs and GPUs, or a new cluster on this machine",
    provides={"cluster"},
    requires=("ray>=2.40",),
    install="pip install mashkit-ray",
    code_license="Apache-2.0",
    citation="Moritz et al.: Ray: A Distributed Framework for Emerging AI Applications, OSDI 2018",
    engine="Ray",
    thread_safe=True,
)


@hookimpl
def mashkit_register_executors() -> Iterable[ComponentInfo]:
    """Register the executor."""
    return [EXECUTOR]
