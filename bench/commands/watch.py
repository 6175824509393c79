"""``quantdg watch``: the live board of a run folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ...core.errors import ConfigError
from ...core.paths import user_path


def watch(argv: Sequence[str]) -> int:
    """Show a run as it goes: cells by state, speed, time left, latest results and failures; reads its folder only."""
    options = watch_parser().parse_args(argv)
    if not options.every > 0:
        raise ConfigError(f"--every must be above 0 seconds, got {options.every}; write --every 2")
    from ..board.live import console_of_output, show_live, show_once
    from ..board.reader import BoardReader

    reader, console = BoardReader(options.folder), console_of_output()
    if options.once or not console.is_terminal:
        show_once(reader, console)
    else:
        show_live(reader, console, options.every)
    return 0


def watch_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg watch``."""
    parser = argparse.ArgumentParser("quantdg watch", description=watch.__doc__)
    parser.add_argument("folder", type=user_path, help="a run folder, as given with out=")
    parser.add_argument("--once", action="store_true", help="print one board and leave, as without a terminal")
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="between two looks; default 2")
    return parser
