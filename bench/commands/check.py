"""``quantdg check``: the contract of quantizers, line by line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ...core.text import say


def check(argv: Sequence[str]) -> int:
    """Run the contract tests on a quantizer class given as PACKAGE.MODULE:CLASS."""
    name = check_parser().parse_args(argv).quantizer
    from ...quantizers.contract.checks import run_checks
    from ..experiment.catalogue import find_quantizer

    results = run_checks(find_quantizer(name))
    for result in results:
        say(f"{result.status:8} {result.name}" + (f": {result.message}" if result.message else ""))
    return int(any(r.status == "failed" for r in results))


def check_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg check``."""
    parser = argparse.ArgumentParser("quantdg check", description=check.__doc__)
    parser.add_argument("quantizer", help="PACKAGE.MODULE:CLASS, or the name of an installed quantizer")
    return parser


def check_words(words: Sequence[str]) -> list[str]:
    """What the last word may become, for completion."""
    from ..experiment.words import choice_names

    return [name for name in choice_names("quantizer") if name.startswith(words[-1])]
