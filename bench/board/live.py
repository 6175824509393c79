"""The board that moves on a terminal."""

from __future__ import annotations

import os
import time

from rich.console import Console, Group
from rich.live import Live

from .board import Board
from .reader import BoardReader
from .terminal import WIDTH, TerminalBoard


def console_of_output() -> Console:
    """Return the standard output; where it is no terminal it is 120 wide, or as COLUMNS says."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=WIDTH)
    return console


def show_once(reader: BoardReader, console: Console) -> None:
    """Print the board of this moment."""
    console.print(_drawn(reader.read(), console))


def show_live(reader: BoardReader, console: Console, every: float) -> None:
    """Show the board until nothing is left to do, or until Ctrl-C; the last one stays on the terminal.

    Args:
        reader: of the folder.
        console: a terminal.
        every: seconds between two looks at the folder.
    """
    board = reader.read()
    try:
        if board.finished:
            return
        with Live(_drawn(board, console), console=console, screen=True, auto_refresh=False) as live:
            while not board.finished:
                time.sleep(every)
                board = reader.read()
                live.update(_drawn(board, console), refresh=True)
    except KeyboardInterrupt:
        pass
    finally:
        console.print(_drawn(board, console))


def _drawn(board: Board, console: Console) -> Group:
    lines = {"lines": console.height - 1} if console.is_terminal else {}
    return TerminalBoard(console.width, **lines, ascii_only=console.options.ascii_only).draw(board)
