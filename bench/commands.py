"""The commands of the harness. Each imports what it needs when it runs, so that ``quantdg --help`` stays instant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def list_components(argv: Sequence[str]) -> int:
    """List every component with its reference and, where it cannot run here, the reason."""
    from quantdg.bench import listing

    argparse.ArgumentParser("quantdg list", description=list_components.__doc__).parse_args(argv)
    print(listing.text())
    return 0


def check(argv: Sequence[str]) -> int:
    """Run the contract tests on a quantizer class given as PACKAGE.MODULE:CLASS."""
    from quantdg.bench import listing

    parser = argparse.ArgumentParser("quantdg check", description=check.__doc__)
    parser.add_argument("quantizer", help="PACKAGE.MODULE:CLASS, or the name of an installed quantizer")
    return listing.check(parser.parse_args(argv).quantizer)


def prepare(argv: Sequence[str]) -> int:
    """Check the files of a data set, or fetch them where a public source still serves them; prints what is there.

    ``quantdg prepare dataset=NAME data.root=DIR``
    """
    from quantdg.bench import config, listing
    from quantdg.bench.run import load_dataset
    from quantdg.datasets.prepare import inspect
    from quantdg.datasets.prepare import prepare as fetch

    parser = argparse.ArgumentParser("quantdg prepare", description=prepare.__doc__)
    parser.add_argument("overrides", nargs="+")
    experiment = config.load(parser.parse_args(argv).overrides)
    fetch(experiment.dataset.name, experiment.paths.data_root)
    print(listing.inventory_text(inspect(load_dataset(experiment.dataset, experiment.paths))))
    return 0
