"""Claims as a terminal shows them: a paragraph each, the answer first."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from rich.console import Group
from rich.text import Text

from ...core.text import in_a_line
from ..answer.terminal import STYLES, WIDTH
from ..text.numbers import p_phrase
from ..verdict.sentences import units_and_seeds
from .statement import ClaimFile
from .table import Line, effect_text

_INDENT = "  "


def claims_summary(stated: ClaimFile, found: Iterable[Line], head: str) -> Group:
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


def _paragraph(line: Line) -> Iterable[Text]:
    claim, found = line.claim, line.found
    word = Text(f" {found.word.upper()} ", STYLES["incomplete" if found.word == "not run" else found.word])
    yield Text("")
    yield Text.assemble(word, in_a_line(f" {claim.id}: {claim.says} ({claim.source})"))
    on = f"{line.scope}, {units_and_seeds(found.n_domains, found.n_seeds)}: " if found.n_domains else ""
    said = f"{on}{effect_text(claim, found)}, {p_phrase(found.p)}" if found.n_domains else line.scope
    said = f"{line.records}: {said}" if line.records else said
    for text in (f"{claim.contrast}; {said}", found.takes):
        yield from (Text(f"{_INDENT}{in_a_line(row)}") for row in wrap(text, WIDTH - len(_INDENT)))
