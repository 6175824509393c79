"""``quantdg list``: what there is to choose from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ...core.text import say


def list_components(argv: Sequence[str]) -> int:
    """List every component with its reference and, where it cannot run here, the reason."""
    argparse.ArgumentParser("quantdg list", description=list_components.__doc__).parse_args(argv)
    from ..experiment.catalogue import text

    say(text())
    return 0
