"""``quantdg run``: a grid of cells, then its tables."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from typing import Any

from ...core.errors import ConfigError
from ...core.text import say
from ..sweep.rerun import RerunPolicy

_POLICY = ("overwrite", "retry", "force")


def run(argv: Sequence[str]) -> int:
    """Train the cells of a grid that have no record yet, then print the tables.

    ``quantdg run [--plan [--measure]] [--debug] [--retry failed] [--force PATTERN] [group=choice] [setting=value] ...``
    """
    from ...core.cli import dispatch
    from ..cells.failure import CellFailedError
    from ..engines.capacity import jobs_of
    from ..experiment import load as config
    from ..results.store import RunStore
    from ..sweep import session
    from ..tracking.tracking import track_report

    parser = run_parser()
    options = parser.parse_intermixed_args(argv)
    if options.help:
        say(parser.format_help())
        say(config.help_text())
        return 0
    policy, overrides = read_policy(options)
    experiment = config.load(overrides)
    if options.measure and not options.plan:
        raise ConfigError("--measure goes with --plan, which starts nothing; write quantdg run --plan --measure ...")
    if options.plan:
        launcher = experiment.launcher
        plan, accelerator = session.plan_run(experiment, policy, options.measure), launcher.device.startswith("cuda")
        say(plan.text(jobs_of(launcher), accelerator, launcher.processes))
        return 0
    try:
        failed = session.run_experiment(experiment, policy=policy, debug=options.debug)
    except CellFailedError as failure:
        return _show_failure(failure)
    dispatch(["report", str(experiment.paths.out), *(["--full"] if options.full else [])])
    if experiment.tracking:
        track_report(RunStore(experiment.paths.out), experiment.tracking, partial(say, file=sys.stderr))
    return 1 if failed else 0


def _show_failure(failure: Exception) -> int:
    """Print what went wrong, and where somebody sits at a terminal open the debugger there."""
    import pdb  # noqa: T100 - for whoever asked for --debug

    error = failure.__cause__ or failure
    traceback.print_exception(error)
    say(str(failure), sys.stderr)
    if sys.stdin is not None and sys.stdin.isatty():
        pdb.post_mortem(error.__traceback__)
    return 1


def run_parser() -> argparse.ArgumentParser:
    """Return the options of ``quantdg run``; all other words are settings."""
    parser = argparse.ArgumentParser("quantdg run", description=run.__doc__, add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--full", action="store_true", help="end with every table instead of the answer")
    parser.add_argument("--plan", action="store_true", help="say what would run and what it would cost, then stop")
    parser.add_argument(
        "--measure", action="store_true", help="with --plan: time some steps where no cell has been run"
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="run cells in this process and stop at the first that fails, with its traceback, in a terminal in the debugger",
    )
    parser.add_argument("--retry", default=None, help="failed: run failed cells again")
    parser.add_argument("--force", default=[], action="append", metavar="PATTERN", help="run these cells again")
    parser.add_argument("--overwrite", default=None, help="only-missing, never or always")
    parser.add_argument("overrides", nargs="*")
    return parser


def run_words(words: Sequence[str]) -> list[str]:
    """What the last word may become, for completion."""
    from ..experiment.words import continuations

    return continuations(words)


def read_policy(options: argparse.Namespace) -> tuple[RerunPolicy, list[str]]:
    """Read the policy from options or from words such as ``retry=failed``; returns it and the words left."""
    words = {name: value for name, _, value in (w.partition("=") for w in options.overrides) if name in _POLICY}
    rest = [w for w in options.overrides if w.partition("=")[0] not in _POLICY]
    force = [*options.force, *([words["force"]] if "force" in words else [])]
    overwrite: Any = options.overwrite or words.get("overwrite") or "only-missing"
    return RerunPolicy(overwrite, options.retry or words.get("retry"), tuple(force)), rest
