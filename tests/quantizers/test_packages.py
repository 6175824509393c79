"""What a quantizer of another library requires is known without importing it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from quantdg.bench.experiment.catalogue import find_quantizer, unusable_reason
from quantdg.bench.experiment.offers import offers
from quantdg.quantizers.packages import missing_of, required_by

OURS = {name: offer.target for name, offer in offers("quantizer").items() if not offer.origin}


@pytest.mark.parametrize("name", OURS)
def test_the_table_says_what_the_class_does(name: str) -> None:
    kind = find_quantizer(name)
    assert required_by(kind.__name__) == kind.requires
    assert unusable_reason(name) == (f"unavailable: {kind.missing()}" if kind.missing() else "")


def test_what_is_missing_is_named_with_its_pip_line() -> None:
    there, absent = {"json": "pip install a"}, {"no_such_package": "pip install b", "no_such.package": "pip install c"}
    assert missing_of(there) == ""
    assert missing_of({**there, **absent}) == "pip install b and pip install c"


def test_importing_the_adapters_imports_no_library() -> None:
    modules = sorted({target.rpartition(".")[0] for target in OURS.values()})
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"nni", "torchao", "brevitas", "optimum", "aimet_torch"} & set(done.stdout.split())
