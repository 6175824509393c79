"""An experiment's grid at another scale: ``scale=smoke`` runs it on PACS with a small network for a few steps.

The words of the command line become other words before anything is composed: the scale's file says what stands in for data,
network and lengths, everything counted in steps shrinks in proportion, and the protocol and the folder are named after the
scale, so that no number of it is taken for a paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...core.errors import ConfigError, UnknownNameError
from ...core.nested import leaves
from .alone import key_of
from .assemble import Composed
from .offers import own_files, read_settings

GROUP = "scale"
_STEPS = "protocol.steps"


def at_scale(words: Sequence[str], compose: Callable[[list[str]], Composed]) -> list[str]:
    """Return the words with ``scale=NAME`` replaced by what it stands for; without one, the words as they are.

    Args:
        words: of the command line; what they set themselves stays, but for the names.
        compose: composes the words without the scale.

    Raises:
        UnknownNameError: there is no such scale.
        ConfigError: the scale is given twice, or takes no name.
    """
    names = [word.partition("=")[2] for word in words if key_of(word) == GROUP]
    rest = [word for word in words if key_of(word) != GROUP]
    if not names or names == ["null"]:
        return rest
    if len(names) > 1:
        raise ConfigError(f"{GROUP} takes one name, got {', '.join(names)}; write {GROUP}=smoke")
    (name,) = names
    if name not in own_files(GROUP):
        raise UnknownNameError(GROUP, name, own_files(GROUP))
    scale = read_settings(own_files(GROUP)[name])
    chosen = compose([word for word in rest if key_of(word) not in {_STEPS, *scale["counted"]}])
    given = {key_of(word): word.partition("=")[2] for word in rest}
    made = {key: value for key, value in _made(scale, chosen, given).items() if not _is_given(key, given)}
    kept = [word for word in rest if key_of(word) not in ("protocol.name", "out")]
    return [*(f"{key}={_text(value)}" for key, value in made.items()), *kept, *_names(name, chosen)]


def _is_given(key: str, given: Mapping[str, str]) -> bool:
    """Whoever chooses a data set or a network chooses its settings, too."""
    group = key.partition(".")[0]
    return key in given or (group in given and group in ("dataset", "model"))


def _made(scale: Mapping[str, Any], chosen: Composed, given: Mapping[str, str]) -> dict[str, Any]:
    models, steps = scale["models"], given.get(_STEPS, "")
    shrunk = _shrunk(scale["counted"], chosen.config, int(steps) if steps.isdigit() else int(scale["steps"]))
    return {**scale["words"], **models.get(chosen.choices.get("model"), models["default"]), **dict(shrunk)}


def _shrunk(counted: Sequence[str], config: Mapping[str, Any], small: int) -> Iterator[tuple[str, Any]]:
    """The settings that are counted in steps, in proportion to the whole training."""
    found = dict(leaves(config))
    whole = int(found[_STEPS])
    yield _STEPS, small
    for key in counted:
        value = found.get(key)
        if isinstance(value, list):
            yield key, [_share(step, small, whole) for step in value]
        elif value is not None:
            yield key, _share(value, small, whole)


def _share(steps: int, small: int, whole: int) -> int:
    """At least one step where there were some."""
    return max(1, round(steps * small / whole)) if steps else 0


def _names(name: str, chosen: Composed) -> list[str]:
    return [f"protocol.name={chosen.config['protocol']['name']}-{name}", f"out={chosen.config['out']}-{name}"]


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
