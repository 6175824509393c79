"""``quantdg status``: how far a sweep is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ...core.paths import user_path
from ...core.text import say


def status(argv: Sequence[str]) -> int:
    """Say how far a sweep is: its grid, speed, time left and failures; also while it runs."""
    from ..results.store import RunStore
    from ..sweep.status import read_status

    say(read_status(RunStore(status_parser().parse_args(argv).folder)).text())
    return 0


def status_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg status``."""
    parser = argparse.ArgumentParser("quantdg status", description=status.__doc__)
    parser.add_argument("folder", type=user_path, help="a run folder, as given with out=")
    return parser
