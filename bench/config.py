"""From the words of the command line to an Experiment; every wrong word is answered with the nearest right one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from quantdg.bench.deploy.settings import DeploySettings
from quantdg.bench.experiment import Component, Experiment, Paths, QuantizerComponent
from quantdg.bench.flatness.settings import FlatnessSettings
from quantdg.bench.match_rule import read_match
from quantdg.bench.plugins import offer_plugins
from quantdg.bench.protocol import Protocol
from quantdg.bench.rules import Rules
from quantdg.bench.sweep.launcher import SweepLauncher
from quantdg.core.errors import ConfigError, UnknownNameError
from quantdg.quantizers.spec import QuantSpec, Rule, check_bits

CONFIG = "quantdg.bench.conf"
GROUPS = (
    "dataset",
    "model",
    "protocol",
    "algorithm",
    "transform",
    "optimizer",
    "quantizer",
    "averaging",
    "flatness",
    "launcher",
    "deploy",
    "experiment",
)


@contextmanager
def hydra() -> Iterator[None]:
    """Hydra with our configuration and the plugins' on its search path."""
    offer_plugins()
    with initialize_config_module(CONFIG, version_base="1.3"):
        yield


def choices(group: str) -> list[str]:
    """Names of a configuration group, built-in and from plugins; call within `hydra`."""
    return sorted(GlobalHydra.instance().config_loader().get_group_options(group))


def load(overrides: Sequence[str]) -> Experiment:
    """Compose the configuration and check all of it.

    Args:
        overrides: Hydra's override grammar, for example ``quantizer=[float,lsq]`` or ``seeds=3``.

    Raises:
        ConfigError: unknown names (with the nearest), values out of range.
    """
    with hydra():
        try:
            config = compose("config", list(overrides))
            return _experiment(config)
        except OverrideParseException as error:
            raise ConfigError(f"cannot read {error.override!r}: {_one_line(error)}") from error
        except MissingConfigException as error:
            raise _unknown_choice(error) from error
        except (HydraException, OmegaConfBaseException) as error:
            raise _unknown_key(error, overrides) from error


def _unknown_choice(error: MissingConfigException) -> ConfigError:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if group in GROUPS:
        return UnknownNameError(group, name, choices(group))
    return ConfigError(_one_line(error))


def _unknown_key(error: Exception, overrides: Sequence[str]) -> ConfigError:
    message = _one_line(error)
    wrong = re.search(r"Could not override '([\w.@/]+)'", message) or re.search(r"[Kk]ey '([\w.]+)'", message)
    if wrong is None:
        return ConfigError(message)
    plain = OmegaConf.to_container(compose("config"), resolve=False)
    selected = [o for o in overrides if o.partition("=")[0] in GROUPS]
    with suppress(HydraException):
        plain = OmegaConf.to_container(compose("config", selected), resolve=False)
    name = wrong.group(1)
    known = {*_paths(plain), *GROUPS}
    if name in known:
        return ConfigError(message)
    parent = name.rpartition(".")[0]
    return UnknownNameError("setting", name, {k for k in known if k.rpartition(".")[0] == parent} or known)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _paths(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _paths(value, f"{prefix}{key}.")


def _component(name: str, node: Mapping[str, Any]) -> Component:
    options = {key: value for key, value in node.items() if key not in ("_target_", "name")}
    return Component(str(node.get("name", name)), node["_target_"], options)


def _dataclass(kind: type, what: str, node: Mapping[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    for key in node:
        if key not in known:
            raise UnknownNameError(f"setting of {what}", str(key), known)
    return kind(**node)


def _spec(node: Mapping[str, Any], bits: int | None, act_bits: int | None) -> QuantSpec:
    rules = tuple(_dataclass(Rule, "a rule", rule) for rule in node.get("rules", ()))
    values = {**node, "rules": rules}
    if bits is not None:
        values["weight_bits"] = bits
    if act_bits is not None:
        values["act_bits"] = act_bits
    spec: QuantSpec = _dataclass(QuantSpec, "spec", values)
    return spec


def _quantizer(name: str, node: Mapping[str, Any], bits: int | None, act_bits: int | None) -> QuantizerComponent:
    options = {key: value for key, value in node.items() if key not in ("_target_", "spec")}
    spec = _spec(node["spec"], bits, act_bits) if node.get("spec") is not None else None
    return QuantizerComponent(name, node["_target_"], options, spec)


def _axis(config: Mapping[str, Any], key: str) -> list[int | None]:
    value = config[key]
    values = value if isinstance(value, list) else [value]
    for bits in values:
        check_bits(key, bits)
    return values


def _quantizers(config: Mapping[str, Any]) -> tuple[QuantizerComponent, ...]:
    out: dict[str, QuantizerComponent] = {}
    for bits in _axis(config, "bits"):
        for act_bits in _axis(config, "act_bits"):
            for name, node in config["quantizer"].items():
                quantizer = _quantizer(name, node, bits, act_bits)
                out[f"{name} {quantizer.spec}"] = quantizer
    return tuple(out.values())


def _reference(config: Mapping[str, Any], name: str) -> QuantizerComponent:
    """A quantizer of the run as configured there, or any other as its file has it."""
    node = config["quantizer"].get(name)
    if node is None:
        node = OmegaConf.to_container(compose("config", [f"quantizer=[{name}]"]).quantizer[name])
    return _quantizer(name, node, None, None)


def _start_steps(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value or not all(type(s) is int for s in value):
        raise ConfigError(f"start_steps must be null or a list of steps, got {value!r}; write start_steps=[40,80]")
    return tuple(dict.fromkeys(value))


def _seeds(value: Any) -> tuple[int, ...]:
    seeds = tuple(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(seeds, (list, tuple)) or not seeds or not all(isinstance(s, int) and s >= 0 for s in seeds):
        raise ConfigError(
            f"seeds must be a count above 0 or a list of seeds, got {value!r}; write seeds=3 or seeds=[0,4]"
        )
    return tuple(dict.fromkeys(seeds))


def _targets(value: Any) -> tuple[str, ...] | None:
    if value == "all":
        return None
    targets = value if isinstance(value, list) else [value]
    if not targets or not all(isinstance(t, str) for t in targets):
        raise ConfigError(f"targets must be all or a list of domain names, got {value!r}; write targets=[sketch,photo]")
    return tuple(dict.fromkeys(targets))


def _cache(value: str | None) -> Path:
    """As given, else QUANTDG_CACHE, else ``quantdg`` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quantdg"
    return Path(value or os.environ.get("QUANTDG_CACHE") or default).expanduser()


def _path(value: str | None) -> Path | None:
    return Path(value).expanduser() if value is not None else None


def _experiment(config: DictConfig) -> Experiment:
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    out = _path(plain["out"])
    assert out is not None
    for part in (plain["model"], plain["protocol"]):
        if part.get("weights") == "none":
            part["weights"] = None
    made = Experiment(
        dataset=_component("dataset", plain["dataset"]),
        model=_component("model", plain["model"]),
        protocol=_dataclass(Protocol, "protocol", plain["protocol"]),
        algorithms=tuple(_component(name, node) for name, node in plain["algorithm"].items()),
        transforms=tuple(_component(name, node) for name, node in (plain.get("transform") or {}).items()),
        optimizer=_component("optimizer", plain["optimizer"]),
        quantizers=_quantizers(plain),
        averages=tuple(_component(name, node) for name, node in plain["averaging"].items()),
        targets=_targets(plain["targets"]),
        seeds=_seeds(plain["seeds"]),
        paths=Paths(out, _path(plain["data"]["root"]), _cache(plain["data"]["cache"])),
        launcher=_dataclass(SweepLauncher, "launcher", plain["launcher"]),
        deploy=_dataclass(DeploySettings, "deploy", plain["deploy"]) if plain.get("deploy") else None,
        match=read_match(plain["match"], plain["match_to"], plain["bits"], partial(_reference, plain)),
        flatness=_dataclass(FlatnessSettings, "flatness", plain["flatness"]) if plain.get("flatness") else None,
        start_steps=_start_steps(plain["start_steps"]),
        rules=_dataclass(Rules, "verdict", plain["verdict"]),
    )
    made.protocols()
    made.protocol.check_weights(made.model.options.get("weights"))
    return made


def help_text() -> str:
    """What ``quantdg run --help`` prints: groups with their choices, plugins included, and the other settings."""
    with hydra():
        lines = ["usage: quantdg run [group=choice] [group=[choice,choice]] [setting=value] ...", ""]
        lines += [f"  {group:11} {', '.join(choices(group))}" for group in GROUPS]
        config: Any = OmegaConf.to_container(compose("config"))
    lines += ["", "settings (dots reach inside, for example protocol.steps=100 or quantizer.lsq.spec.weight_bits=4):"]
    lines += [f"  {key}={config[key]}" for key in config if key not in GROUPS]
    return "\n".join(lines)
