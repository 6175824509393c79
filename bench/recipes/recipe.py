"""The command that runs one recorded cell again, and what it takes to get the same bits. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..experiment.component import INLINE
from ..experiment.offers import SEVERAL
from ..results.codec import reading
from ..results.record import TRAINING_VERSION, Record
from .parts import UNSET, CellSetting, Part, part_of_several, parts_of_cell
from .texts import shell_lines, value_text

OUT = "runs/again"
DATA = "DATA"
"""Stands for the folder of the data sets, which no record has."""
USUAL = {"transform": [], "step_rule": "plain", "optimizer": "adam", "schedule": "none"}
"""What the configuration chooses where nothing is said, for groups that need not be said."""
_WITHOUT_FILES = ("digits",)


@dataclass(frozen=True)
class Recipe:
    """A recipe is the command of a cell.

    Attributes:
        words: of ``quantdg run``, each a choice or a setting; whatever they leave out has its default.
        notes: what must be given, and what the same bits depend on, in sentences.
        parts: of the cell.
    """

    words: tuple[str, ...]
    notes: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def command(self) -> str:
        """The whole command for a shell, into a folder of its own."""
        return shell_lines(["quantdg", "run", *self.words, f"out={OUT}"])

    @property
    def settings(self) -> list[CellSetting]:
        """All settings, those first that differ from their defaults."""
        found = [setting for part in self.parts for setting in part.settings]
        return sorted(found, key=lambda setting: not setting.differs)


def recipe_of(record: Record) -> Recipe:
    """Return the recipe of a record's cell.

    Raises:
        RecordError: its settings have another form than those of a cell.
    """
    with reading(record.key, "record"):
        parts = tuple(parts_of_cell(record.settings))
        also = _matched_to(record.settings.get("match"))
        words = [*_choices(record.settings, parts, also), *_machine(record.provenance), *_flatness(record.flatness)]
        return Recipe(tuple(words), tuple(_notes(record, parts, also)), parts)


def _choices(settings: Mapping[str, Any], parts: Sequence[Part], also: Sequence[Part]) -> Iterator[str]:
    """Choices of all groups and settings that differ, group by group, and with what the noise is matched to."""
    for group in dict.fromkeys(
        [*(part.group for part in parts), *SEVERAL]
    ):  # one without a part may have one by default
        own = [part for part in (*parts, *also) if part.group == group]
        names: Any = [part.choice for part in own] if group in SEVERAL else own[0].choice
        if USUAL.get(group) != names:
            yield f"{group}={value_text(names)}"
        for part in own:
            yield from _words(part)
        if group == "dataset":
            yield from _place(settings, own[0])
    yield from _match(settings.get("match"))


def _words(part: Part) -> Iterator[str]:
    if part.origin.startswith(INLINE):
        prefix = f"{part.group}.{part.choice}" if part.group in SEVERAL else part.group
        yield f"{prefix}._target_={part.origin.removeprefix(INLINE)}"
    for setting in part.settings:
        if setting.differs:
            plus = "++" if part.group == "protocol" and setting.default == UNSET else ""
            yield f"{plus}{setting.name}={value_text(setting.value)}"


def _place(settings: Mapping[str, Any], dataset: Part) -> Iterator[str]:
    if dataset.choice not in _WITHOUT_FILES:
        yield f"data.root={DATA}"
    yield f"targets={value_text([settings['target']])}"
    yield f"seeds={value_text([settings['seed']])}"


def _match(match: Mapping[str, Any] | None) -> Iterator[str]:
    """The words of matched noise."""
    if match:
        like = match["like"]
        yield "match=noise"
        yield f"match_to={value_text(match['noise'] if like is None else like['component'])}"


def _matched_to(match: Mapping[str, Any] | None) -> list[Part]:
    """The quantizer that noise is matched to, where its settings are not the defaults."""
    like = match["like"] if match else None
    part = None if like is None else part_of_several("quantizer", like)
    return [part] if part is not None and any(setting.differs for setting in part.settings) else []


def _machine(provenance: Mapping[str, Any]) -> Iterator[str]:
    if provenance.get("threads", 1) != 1:
        yield f"launcher.threads={provenance['threads']}"
    if provenance.get("machine", {}).get("device", "cpu") != "cpu":
        yield "launcher.device=cuda"


def _flatness(flatness: Mapping[str, Any]) -> Iterator[str]:
    """What was measured of the cell beside its accuracy; no bits of it depend on that."""
    settings = flatness.get("settings", {})
    if settings:
        yield f"flatness={value_text(settings['name'])}"


def _notes(record: Record, parts: Sequence[Part], also: Sequence[Part]) -> Iterator[str]:
    if parts[0].choice not in _WITHOUT_FILES:
        yield f"{DATA} stands for the folder that holds the data set {parts[0].choice}."
    digest = record.settings["model"].get("weights_sha256")
    if digest:
        name = record.settings["model"]["options"]["weights"]
        yield f"QUANTDG_WEIGHTS must be the folder of {name}, sha256 {digest}."
    version = record.settings.get("training_version")
    if version != TRAINING_VERSION:
        yield (
            f"This version of QuantDG trains otherwise (training version {TRAINING_VERSION}, the cell has {version}): expect "
            "another key and other numbers."
        )
    later = [name for part in parts for name in part.later]
    if later:
        yield f"This version has further settings, so the key will be another: {', '.join(later)}."
    for part in parts:
        if part.origin and not part.origin.startswith(INLINE):
            yield f"{part.group} {part.choice} is a part of {part.origin}, which must be installed."
    for part in also:
        yield f"It runs {part.choice} as well, which the noise is matched to with settings of its own."
    yield _same_bits(record.provenance)


def _same_bits(provenance: Mapping[str, Any]) -> str:
    machine, torch = provenance.get("machine", {}), provenance.get("versions", {}).get("torch", "the same version")
    places = [str(machine[name]) for name in ("cpu", "device") if machine.get(name) not in (None, "", "cpu")]
    return f"The same bits need torch {torch} on {' and '.join(places) or 'the same processor'}; elsewhere numbers round otherwise."
