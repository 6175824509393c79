"""``quantdg check``: the contract of quantizers, line by line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def check(argv: Sequence[str]) -> int:
    """Run the contract tests on a quantizer class given as PACKAGE.MODULE:CLASS."""
    parser = argparse.ArgumentParser("quantdg check", description=check.__doc__)
    parser.add_argument("quantizer", help="PACKAGE.MODULE:CLASS, or the name of an installed quantizer")
    name = parser.parse_args(argv).quantizer
    from ...quantizers.contract.checks import run_checks
    from ..experiment.catalogue import find_quantizer

    results = run_checks(find_quantizer(name))
    for result in results:
        print(f"{result.status:8} {result.name}" + (f": {result.message}" if result.message else ""))
    return int(any(r.status == "failed" for r in results))
