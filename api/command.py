"""``quantdg run`` as a function."""

from __future__ import annotations

from os import PathLike, fspath

from hydra.core.override_parser.types import Quote, QuotedString
from rich.console import Console

from quantdg.bench.commands.run import read_policy, run_parser
from quantdg.bench.experiment import load as config
from quantdg.bench.sweep import session
from quantdg.core.errors import ConfigError

from .runs import Runs, load


def run(*words: str, out: str | PathLike[str] | None = None, quiet: bool = False) -> Runs:
    """Train the cells of a grid that have no record yet and read the folder: the command ``quantdg run``.

    Failed cells are no error, they are in ``failures`` of the result. A script that calls this does so below
    ``if __name__ == "__main__":``, since cells are trained in processes of their own; a notebook needs nothing.

    Args:
        words: as on the command line: ``"experiment=demo"``, ``"quantizer=[float,lsq]"``, ``"seeds=1"``, also
            ``"retry=failed"``; no options.
        out: folder of the run, as ``out=`` among the words; None: as the words or the configuration say.
        quiet: print nothing.

    Raises:
        ConfigError: a setting is unknown, with the nearest that exists, or out of range.
        RecordError: the folder cannot be written; the cells stored so far stay.
    """
    for word in words:
        if word.startswith("-"):
            raise ConfigError(f"a word must be NAME=VALUE, got {word!r}; options are the command's, quantdg run --help")
        if out is not None and word.startswith("out="):
            raise ConfigError(f"out is given once, got {word!r} and out={fspath(out)!r}; leave one of them out")
    policy, overrides = read_policy(run_parser().parse_args([*words]))
    if out is not None:
        overrides.append(f"out={QuotedString(fspath(out), Quote.single).with_quotes()}")
    experiment = config.load(overrides)
    session.run_experiment(experiment, Console(stderr=True, quiet=quiet), policy)
    return load(experiment.paths.out)
