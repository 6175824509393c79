"""From the words of the command line to an Experiment; every wrong word is answered with the nearest right one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ...core.errors import ConfigError, UnknownNameError, one_line
from ...core.repeats import refuse_repeats
from .alone import Words, part_words, said_of, without_others
from .assemble import Composed, assemble
from .grid import Experiment
from .nodes import Node
from .offers import COMPONENTS, GROUPS, SEVERAL, own_files
from .plugins import offer_plugins
from .quoting import quote_words
from .scale import at_scale
from .unread import refuse_data, refuse_names, refuse_parts, refuse_words

CONFIG = "quantdg.bench.conf"
_OPEN = ("search.ranges.", "launcher.options.")


@contextmanager
def hydra() -> Iterator[None]:
    """Put our configuration and the plugins' on Hydra's search path; a program's own Hydra is back afterwards."""
    offer_plugins()
    theirs = GlobalHydra.get_state()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module(CONFIG, version_base="1.3"):
            yield
    finally:
        GlobalHydra.set_state(theirs)


def choices(group: str) -> list[str]:
    """Return names of a configuration group, built-in and from plugins; call within `hydra`."""
    folders = {f"{group}/{name}".rpartition("/")[0] for name in own_files(group)} | {group}
    loader = GlobalHydra.instance().config_loader()
    found = ((folder, name) for folder in folders for name in loader.get_group_options(folder))
    return sorted(f"{folder}/{name}".removeprefix(f"{group}/") for folder, name in found)


def load(overrides: Sequence[str]) -> Experiment:
    """Compose the configuration and check all of it.

    Args:
        overrides: Hydra's override grammar, for example ``quantizer=[float,lsq]`` or ``seeds=3``.

    Raises:
        ConfigError: unknown names (with the nearest), values out of range.
    """
    with hydra():
        try:
            overrides = quote_words(at_scale(overrides, _plain))
            parsed = OverridesParser.create().parse_overrides(overrides)
            _check_choices(parsed)
            refuse_words(parsed)
            words = part_words(parsed, choices("dataset"))
            whole = _composed(words.for_all())
            alone = _alone(words, whole)
            shared = whole._replace(config=without_others(whole.config, {*words.names, *choices("dataset")}))
            refuse_names(shared.config)
            refuse_parts(shared.config)
            for own in (shared, *alone):
                refuse_data(own.config)
                refuse_parts(own.config, ["averaging"])  # the other parts are those of ``shared``
            return assemble(shared, alone, _reference(shared.config))
        except OverrideParseException as error:
            raise ConfigError(f"cannot read {error.override!r}: {one_line(error, kind=False)}") from error
        except MissingConfigException as error:
            raise _unknown_choice(error) from error
        except (HydraException, OmegaConfBaseException) as error:
            raise _unknown_key(error, overrides) from error


def _composed(words: Sequence[str]) -> Composed:
    made = compose("config", list(map(_reaching, words)), return_hydra_config=True)
    chosen = {str(group): str(name) for group, name in made.hydra.runtime.choices.items() if name is not None}
    OmegaConf.set_struct(made, False)
    del made["hydra"]
    config: Any = OmegaConf.to_container(made, resolve=True, throw_on_missing=True)
    return Composed(config, chosen)


def _plain(words: Sequence[str]) -> Composed:
    parsed = OverridesParser.create().parse_overrides(quote_words(words))
    _check_choices(parsed)
    return _composed(part_words(parsed, choices("dataset")).for_all())


def _reaching(word: str) -> str:
    """The word; one of a part's settings, or a range of one, also reaches what its configuration file does not list."""
    key = word.partition("=")[0]
    group, dot, _ = key.partition(".")
    return f"++{word}" if (dot and group in COMPONENTS) or key.startswith(_OPEN) else word


def _alone(words: Words, shared: Composed) -> list[Composed]:
    """The configuration of each data set; that of all data sets where there is one without settings of its own."""
    names = words.names or _datasets(words, shared)
    if not names:
        return [shared]
    words.check(names)
    _check_suite(words, names)
    known = {*names, *choices("dataset")}
    said = {name: said_of(shared.config, name) for name in names}
    if len(names) == 1 and not (words.own or words.files or said[names[0]]):
        return [shared._replace(config={**without_others(shared.config, known), "averaging": {}})]
    made = [_composed(words.for_one(name, said[name])) for name in names]
    return [own._replace(config=without_others(own.config, known)) for own in made]


def _check_suite(words: Words, names: Sequence[str]) -> None:
    """Refuse a suite whose data sets an experiment file has replaced by one of its own."""
    chosen = [word.partition("=")[2] for word in words.shared if word.startswith("suite=")]
    if chosen and chosen[-1] != "null" and not words.names and len(names) == 1:
        raise ConfigError(
            f"suite={chosen[-1]} runs several data sets, but the experiment file has one, {names[0]}; write 'dataset=[NAME,NAME]' "
            "for what you mean, or leave one of the two out"
        )


def _datasets(words: Words, shared: Composed) -> tuple[str, ...]:
    """The data sets that configuration files choose; Hydra notes a choice of one only."""
    if "dataset" in shared.choices:
        return (shared.choices["dataset"],)
    loader = GlobalHydra.instance().config_loader()
    chosen = loader.compute_defaults_list("config", list(map(_reaching, words.for_all())), RunMode.RUN).defaults
    paths = [str(entry.config_path) for entry in chosen]
    return tuple(path.removeprefix("dataset/") for path in paths if path.startswith("dataset/"))


def _check_choices(overrides: Sequence[Override]) -> None:
    """Groups take names; Hydra would raise errors of its own for numbers, and mix the files of a list."""
    for override in overrides:
        group, value = override.key_or_group, override.value()
        if not group:
            raise ConfigError(f"a setting needs a name, got {override.input_line!r}; write NAME=VALUE")
        if override.is_sweep_override() and group not in GROUPS:
            text = override.get_value_string()
            raise ConfigError(f"{group} takes one value or a list in brackets, got {text}; write {_as_list(override)}")
        if group not in GROUPS or (override.is_delete() and value is None):
            continue
        listed = group in (*SEVERAL, "dataset")
        names = value if isinstance(value, list) and listed else [value]
        if not all(isinstance(name, str) for name in names) or (group == "dataset" and not names):
            what, example = ("a list of names", _as_list(override)) if listed else ("one name", f"{group}=NAME")
            raise ConfigError(
                f"{group} takes {what}, got {override.get_value_string()}; write {example}, there are: "
                f"{', '.join(choices(group))}"
            )
        refuse_repeats(group, names)


def _as_list(override: Override) -> str:
    """A setting with the values of a word as a list, in the quotation marks that some shells need."""
    text = override.get_value_string()
    plain = override.is_choice_sweep() and "(" not in text
    example = "NAME,NAME" if override.key_or_group in GROUPS else "VALUE,VALUE"
    return f"'{override.key_or_group}=[{text if plain else example}]'"


def _reference(config: Mapping[str, Any]) -> Node | None:
    """The settings of the quantizer that others are matched to: as the run has them, else as its file does."""
    name, own = config.get("match_to"), config.get("quantizer") or {}
    if config.get("match") is None or not isinstance(name, str):
        return None
    found = own.get(name) or OmegaConf.to_container(compose("config", [f"quantizer=[{name}]"]).quantizer[name])
    return cast(Node, found)


def _unknown_choice(error: MissingConfigException) -> ConfigError:
    group, _, name = (error.missing_cfg_file or "").partition("/")
    if group in GROUPS:
        return UnknownNameError(group, name, choices(group))
    return ConfigError(one_line(error, kind=False))


def _unknown_key(error: Exception, overrides: Sequence[str]) -> ConfigError:
    message = one_line(error, kind=False)
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
    parent, _, last = name.rpartition(".")
    elsewhere = {k for k in known if parent and k.count(".") == 1 and k.rpartition(".")[2] == last}
    if len(elsewhere) == 1:
        return ConfigError(f"no setting named {name!r}; it is {elsewhere.pop()}")
    while parent and parent not in {k.rpartition(".")[0] for k in known}:
        parent = parent.rpartition(".")[0]
    return UnknownNameError("setting", name, {k for k in known if k.rpartition(".")[0] == parent})


def _paths(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _paths(value, f"{prefix}{key}.")


def help_text() -> str:
    """Return what ``quantdg run --help`` prints: groups with their choices, plugins included, and the settings."""
    with hydra():
        lines = ["usage: quantdg run [group=choice] [group=[choice,choice]] [setting=value] ...", ""]
        lines += [f"  {group:11} {', '.join(choices(group))}" for group in GROUPS]
        config: Any = OmegaConf.to_container(compose("config"))
    lines += ["", "settings (dots reach inside, for example protocol.steps=100 or quantizer.lsq.spec.weight_bits=4):"]
    lines += [f"  {key}={config[key]}" for key in config if key not in GROUPS]
    return "\n".join(lines)
