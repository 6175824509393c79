"""What is installed, by group and name: our own parts and the entry points of other packages. Imports no torch.

A package declares for example ``[project.entry-points."quantdg.quantizers"] ternary = "package.module:Class"``; its part
is then a choice like the built-in ones. Nothing of it is imported before it is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ...core.errors import ConfigError, UnknownNameError

CONF = Path(__file__).parents[1] / "conf"
GROUPS = (
    "dataset",
    "model",
    "protocol",
    "algorithm",
    "transform",
    "step_rule",
    "optimizer",
    "schedule",
    "quantizer",
    "averaging",
    "flatness",
    "launcher",
    "deploy",
    "suite",
    "experiment",
    "scale",
)
"""Groups of the configuration, in the order in which they are listed."""
COMPONENTS = {
    "dataset": "quantdg.datasets",
    "model": "quantdg.models",
    "algorithm": "quantdg.algorithms",
    "transform": "quantdg.transforms",
    "step_rule": "quantdg.step_rules",
    "optimizer": "quantdg.optimizers",
    "schedule": "quantdg.schedules",
    "quantizer": "quantdg.quantizers",
    "averaging": "quantdg.averages",
}
"""Group of the configuration -> group of entry points, for everything that is part of a cell's identity."""
SEVERAL = ("algorithm", "transform", "quantizer", "averaging")
"""Groups that take a list of names; the others take one."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C, where it was built: ten times as fast
ALONE = ("dataset", "protocol", "model", "data", "averaging")
"""Groups with settings that one of several data sets may have alone."""
ENTRY_POINTS = {
    **COMPONENTS,
    "runtime": "quantdg.runtimes",
    "launcher": "quantdg.launchers",
    "tracker": "quantdg.trackers",
}
_OWN = {
    "runtime": {
        "openvino": "quantdg.bench.deploy.openvino_.OpenVINO",
        "onnxruntime": "quantdg.bench.deploy.onnxruntime_.ONNXRuntime",
        "executorch": "quantdg.bench.deploy.executorch_.ExecuTorch",
    },
    "tracker": {
        "tensorboard": "quantdg.bench.tracking.tensorboard_.TensorBoard",
        "wandb": "quantdg.bench.tracking.wandb_.WandB",
        "mlflow": "quantdg.bench.tracking.mlflow_.MLflow",
        "trackio": "quantdg.bench.tracking.trackio_.Trackio",
    },
    "launcher": {
        "local": "quantdg.bench.engines.local.run_cells",
        "slurm": "quantdg.bench.engines.slurm.run_on_slurm",
        "ray": "quantdg.bench.engines.ray_.run_on_ray",
    },
}


class Offer(NamedTuple):
    """An offer says where an installed part is: its import path, and its distribution and version, empty for ours."""

    target: str
    origin: str


@lru_cache
def own_files(group: str) -> Mapping[str, Path]:
    """Return our configuration files of a group by name, with its folder below that of the group; empty where none is."""
    folder = CONF / group
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}


def read_settings(file: Path) -> dict[str, Any]:
    """Return what a configuration file holds, interpolations as they are written."""
    return yaml.load(file.read_text(encoding="utf-8"), _LOADER) or {}


def leading_comment(file: Path) -> str:
    """Return the first line of comment of a configuration file, Hydra's own aside; empty where it does not begin with one."""
    return next(_head_of(file), "")


def comment_of(file: Path) -> str:
    """Return what the comment at the head of a configuration file says, on one line."""
    return " ".join(_head_of(file))


def _head_of(file: Path) -> Iterator[str]:
    lines = (line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package"))
    return (line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines))


@lru_cache
def own_options(group: str, name: str) -> frozenset[str]:
    """Return names of the settings that our configuration file of a part lists; empty where it has none."""
    return frozenset(own_settings(group, name))


def own_settings(group: str, name: str) -> dict[str, Any]:
    """Return the settings that our configuration file of a part lists, without its target; empty where it has none."""
    file = own_files(group).get(name)
    settings = read_settings(file) if file else {}
    settings.pop("_target_", None)
    return settings


@lru_cache
def _built_in(group: str) -> Mapping[str, Offer]:
    """Our own parts: those of a configuration group are its files."""
    if group in _OWN:
        return {name: Offer(target, "") for name, target in _OWN[group].items()}
    return {name: Offer(read_settings(file)["_target_"], "") for name, file in own_files(group).items()}


@lru_cache
def strangers(group: str) -> Mapping[str, EntryPoint]:
    """Return other packages' entry points for one group, by name, read once; ConfigError where a name is taken."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=ENTRY_POINTS[group]):
        if entry.name in _built_in(group) or entry.name in found:
            raise ConfigError(
                f"each {group} needs a name of its own, but {entry.name!r} of {_origin(entry)} is there already; rename it "
                "or uninstall one of the packages"
            )
        found[entry.name] = entry
    return found


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def offers(group: str) -> dict[str, Offer]:
    """Return everything that is installed for a group, by name."""
    found = dict(_built_in(group))
    for name, entry in strangers(group).items():
        found[name] = Offer(entry.value.replace(":", "."), _origin(entry))
    return found


def find_offer(group: str, name: str) -> Offer:
    """Return the installed part of this name; UnknownNameError, with the nearest name, where there is none."""
    known = offers(group)
    if name not in known:
        raise UnknownNameError(group, name, known)
    return known[name]
