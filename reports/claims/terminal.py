"""Claims as a terminal shows them: a line each, or, asked for, a paragraph each; the answer first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...core.text import in_a_line
from ..answer.terminal import STYLES, WIDTH
from ..text.numbers import DASH, counted, p_phrase, p_text
from ..verdict.sentences import units_and_seeds
from .statement import ClaimFile
from .table import Line, effect_text

_INDENT = "  "
_MOST = 30
"""Lines of claims and of the heads of their tables; of more claims, the first are shown."""
_HEAD = 4
_COUNTED = 3
"""Networks that are counted where there is no room for their claims."""


def claims_at_a_glance(stated: ClaimFile, found: Iterable[Line], head: str) -> Group:
    """Return a line for each claim on its own scope, at most 40 in all.

    Args:
        stated: the file.
        found: the answers.
        head: a line about the folder.
    """
    own = [line for line in found if line.own]
    parts: list[RenderableType] = [
        Text(in_a_line(stated.title), "bold"),
        Text(in_a_line(head)),
        Text(_counts(own)),
    ]
    left, room, cut = len(own), _MOST, []
    for network in dict.fromkeys(line.ground for line in own):
        lines = [line for line in own if line.ground == network]
        shown = lines[: max(room - _HEAD, 0)]
        parts += [Text(""), Text(in_a_line(network)), _grid(shown)] if shown else []
        cut += [] if shown else [f"{network}: {_counts(lines)}"]
        left, room = left - len(shown), room - _HEAD - len(shown)
    parts += [Text(""), *(Text(in_a_line(said)) for said in cut[:_COUNTED])] if cut else []
    more = f"; {counted(left, 'more claim')}" if left else ""
    return Group(*parts, Text(""), Text(f"--full: what each says, its contrast and what it takes{more}"))


def _counts(lines: Iterable[Line]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(line.found.word for line in lines).most_common())


def _grid(lines: Sequence[Line]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("answer", "claim", "effect"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("domains", justify="right", no_wrap=True)
    for line in lines:
        claim, made = line.claim, line.found
        on = f"{made.n_domains} x {counted(made.n_seeds, 'seed')}" if made.n_domains else DASH
        table.add_row(
            _word(line), in_a_line(claim.id), in_a_line(effect_text(claim, made, named=False)), p_text(made.p), Text(on)
        )
    return table


def claims_in_words(stated: ClaimFile, found: Iterable[Line], head: str) -> Group:
    """Return a paragraph for each claim on its own scope.

    Args:
        stated: the file.
        found: the answers.
        head: a line about the folder.
    """
    parts = [Text(in_a_line(f"{stated.title} ({head})"))]
    network = ""
    for line in found:
        if line.own:
            if line.ground != network:
                network = line.ground
                parts += [Text(""), Text(in_a_line(network), "bold")]
            parts += _paragraph(line)
    return Group(*parts)


def _word(line: Line) -> Text:
    word = line.found.word
    return Text(f" {word.upper()} ", STYLES["incomplete" if word == "not run" else word])


def _paragraph(line: Line) -> Iterator[Text]:
    claim, found = line.claim, line.found
    yield Text("")
    yield Text.assemble(_word(line), in_a_line(f" {claim.id}: {claim.says} ({claim.source})"))
    on = f"{line.scope}, {units_and_seeds(found.n_domains, found.n_seeds)}: " if found.n_domains else ""
    said = f"{on}{effect_text(claim, found)}, {p_phrase(found.p)}" if found.n_domains else line.scope
    said = f"{line.records}: {said}" if line.records else said
    for text in (f"{claim.contrast}; {said}", found.takes):
        yield from (Text(f"{_INDENT}{in_a_line(row)}") for row in wrap(text, WIDTH - len(_INDENT)))
