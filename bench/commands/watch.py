"""``quantdg watch``: the live board of a run folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ...core.errors import ConfigError
from ...core.paths import user_path
from ...core.text import say

if TYPE_CHECKING:
    from ..board.reader import BoardReader


def watch(argv: Sequence[str]) -> int:
    """Show a run as it goes: cells by state, speed, time left, latest results and failures; reads its folder only."""
    options = watch_parser().parse_args(argv)
    if not options.every > 0:
        raise ConfigError(f"--every must be above 0 seconds, got {options.every}; write --every 2")
    from ..board.live import console_of_output, show_live, show_once
    from ..board.reader import BoardReader

    reader, console = BoardReader(options.folder), console_of_output()
    if options.browser or options.port is not None:
        _serve(reader, options.port or 0)
    elif options.once or not console.is_terminal:
        show_once(reader, console)
    else:
        show_live(reader, console, options.every)
    return 0


def _serve(reader: BoardReader, port: int) -> None:
    from ..board.server import BoardServer

    with suppress(KeyboardInterrupt), BoardServer(reader, port) as server:
        say(f"{server.url} has the board, for browsers of this machine; Ctrl-C ends it")
        sys.stdout.flush()
        server.serve_forever()


def watch_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg watch``."""
    parser = argparse.ArgumentParser("quantdg watch", description=watch.__doc__)
    parser.add_argument("folder", type=user_path, help="a run folder, as given with out=")
    parser.add_argument("--once", action="store_true", help="print one board and leave, as without a terminal")
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="between two looks; default 2")
    parser.add_argument("--browser", action="store_true", help="serve the board as a page for browsers of this machine")
    parser.add_argument("--port", type=int, help="of that page; default: one that is free. Implies --browser")
    return parser
