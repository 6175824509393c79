"""``quantdg COMMAND ...``: finds the command among the entry points and turns errors into exit codes.

0 all well; 1 the run ended with failed cells; 2 bad input, with one line that says what to write instead;
130 stopped by Ctrl-C; 141 the reader of the output went away, as ``head`` does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, entry_points, version

from .completion import completion
from .errors import QuantDGError, UnknownNameError, one_line
from .streams import drop_output, open_streams
from .text import in_a_line, say

Command = Callable[[Sequence[str]], int]


def commands() -> dict[str, Callable[[], Command]]:
    """Return loaders of the commands by name: the installed ones (entry-point group ``quantdg.commands``) and our own."""
    installed: dict[str, Callable[[], Command]] = {
        entry.name: entry.load for entry in entry_points(group="quantdg.commands")
    }
    return {"completion": lambda: completion, **installed}


def _usage() -> str:
    lines = ["usage: quantdg [--version] COMMAND [...]", ""]
    for name, load in sorted(commands().items()):
        lines.append(f"  {name:10} {_summary(load)}")
    return "\n".join([*lines, "", "quantdg COMMAND --help tells more."])


def _summary(load: Callable[[], Command]) -> str:
    """The first line of a command's docstring; why it cannot be loaded, for one of another package."""
    try:
        return (load().__doc__ or "").strip().partition("\n")[0]
    except Exception as error:  # noqa: BLE001 - an import may raise anything
        return f"broken: {one_line(error)}"


def _version() -> str:
    """Ours, Python's and torch's, for the first line of a report of a fault; imports nothing."""
    try:
        return f"quantdg {version('quantdg')} (Python {sys.version.split()[0]}, torch {version('torch')})"
    except PackageNotFoundError as error:
        raise QuantDGError(f"the version of a package is known once it is installed, {error.name} is not") from error


def dispatch(argv: Sequence[str]) -> int:
    """Run one command; errors propagate."""
    if not argv or argv[0] in ("-h", "--help"):
        say(_usage())
        return 0
    if argv[0] == "--version":
        say(_version())
        return 0
    known = commands()
    if argv[0] not in known:
        raise UnknownNameError("command", argv[0], known)
    return known[argv[0]]()(argv[1:])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``quantdg`` script and return its exit code."""
    open_streams()
    try:
        code = dispatch(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except QuantDGError as error:
        say(in_a_line(f"quantdg: error: {error}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("quantdg: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        drop_output()
        return 141
    except OSError as error:
        drop_output()
        place = repr(error.filename) if error.filename else "the output or a connection"
        say(
            f"quantdg: error: cannot use {place} ({error.strerror or error}); repair that and try again",
            file=sys.stderr,
        )
        return 2
