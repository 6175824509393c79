"""The commands of sweeps. Each imports what it needs when it runs, so that ``quantdg --help`` stays instant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quantdg.bench.sweep.choose import Choice
from quantdg.core.errors import ConfigError

_CHOICE = ("overwrite", "retry", "force")


def run(argv: Sequence[str]) -> int:
    """Train the cells of a grid that have no record yet, then print the tables.

    ``quantdg run [--plan [--measure]] [--retry failed] [--force PATTERN] [group=choice] [setting=value] ...``
    """
    from quantdg.bench import config, session
    from quantdg.bench.sweep.room import jobs_of
    from quantdg.core.cli import dispatch

    parser = run_parser()
    options = parser.parse_intermixed_args(argv)
    if options.help:
        print(parser.format_help())
        print(config.help_text())
        return 0
    choice, overrides = read_choice(options)
    experiment = config.load(overrides)
    if options.measure and not options.plan:
        raise ConfigError("--measure goes with --plan, which starts nothing; write quantdg run --plan --measure ...")
    if options.plan:
        launcher = experiment.launcher
        print(
            session.plan_run(experiment, choice, options.measure).text(
                jobs_of(launcher), launcher.device.startswith("cuda")
            )
        )
        return 0
    failed = session.run_experiment(experiment, choice=choice)
    dispatch(["report", str(experiment.paths.out)])
    return 1 if failed else 0


def run_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg run``; all other words are settings."""
    parser = argparse.ArgumentParser("quantdg run", description=run.__doc__, add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--plan", action="store_true", help="say what would run and what it would cost, then stop")
    parser.add_argument(
        "--measure", action="store_true", help="with --plan: time some steps where no cell has been run"
    )
    parser.add_argument("--retry", default=None, help="failed: run failed cells again")
    parser.add_argument("--force", default=[], action="append", metavar="PATTERN", help="run these cells again")
    parser.add_argument("--overwrite", default=None, help="only-missing, never or always")
    parser.add_argument("overrides", nargs="*")
    return parser


def read_choice(options: argparse.Namespace) -> tuple[Choice, list[str]]:
    """The choice from options or from words such as ``retry=failed``, and the words that are left."""

    words = {name: value for name, _, value in (w.partition("=") for w in options.overrides) if name in _CHOICE}
    rest = [w for w in options.overrides if w.partition("=")[0] not in _CHOICE]
    force = [*options.force, *([words["force"]] if "force" in words else [])]
    overwrite: Any = options.overwrite or words.get("overwrite") or "only-missing"
    return Choice(overwrite, options.retry or words.get("retry"), tuple(force)), rest


def status(argv: Sequence[str]) -> int:
    """Say how far a sweep is: its grid, speed, time left and failures; also while it runs."""
    from quantdg.bench.store import RunStore
    from quantdg.bench.sweep.status import read_status

    parser = argparse.ArgumentParser("quantdg status", description=status.__doc__)
    parser.add_argument("folder", type=Path, help="a run folder, as given with out=")
    print(read_status(RunStore(parser.parse_args(argv).folder)).text())
    return 0


def merge(argv: Sequence[str]) -> int:
    """Merge run folders of several machines into one; exit code 1 where results differ."""
    from quantdg.bench.sweep.merge import merge as merge_folders

    parser = argparse.ArgumentParser("quantdg merge", description=merge.__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="run folders; never changed")
    parser.add_argument("--out", required=True, type=Path, help="a new folder, or one to add to")
    options = parser.parse_args(argv)
    merged = merge_folders(options.folders, options.out)
    print(merged.text())
    return 1 if merged.conflicts else 0
