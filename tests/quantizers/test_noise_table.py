"""The table of docs/quantizers.md, computed anew."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from quantdg.bench.experiment.component import import_object
from quantdg.bench.experiment.load import load
from quantdg.quantizers.noise_matching import inserted_noise

DOC = Path(__file__).parents[2] / "docs" / "quantizers.md"
LINES = DOC.read_text(encoding="utf-8").partition("## Noise")[2].splitlines()
POST_TRAINING = DOC.read_text(encoding="utf-8").partition("## Post-training")[2].partition("\n## ")[0].splitlines()
ROWS = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in LINES if line.startswith("| `")]
BITS = range(8, 1, -1)


def noise(quantizer, bits):
    layer = nn.Linear(1152, 64)
    layer.weight.data = 0.02 * torch.randn(64, 1152, generator=torch.Generator().manual_seed(0))
    model, spec = nn.Sequential(layer), replace(quantizer.spec, weight_bits=bits, rules=())
    kind = import_object(quantizer.target)
    if kind.missing():
        pytest.skip(kind.missing())
    made = kind(spec=spec, seed=0, **quantizer.options)
    if not made.supports(model, spec).ok:
        return "-"
    return f"{inserted_noise(model, made, [torch.ones(1, 1152)]):.3f}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_noise_printed_is_the_noise_measured(row):
    name, *printed = row
    (quantizer,) = load([f"quantizer=[{name}]"]).quantizers
    assert [noise(quantizer, bits) for bits in BITS] == printed


def test_every_quantizer_with_noise_is_in_the_table():
    files = (Path(__file__).parents[2] / "bench" / "conf" / "quantizer").glob("*.yaml")
    by_inputs = {row.split("`")[1] for row in POST_TRAINING if row.startswith("| `")}
    assert {row[0] for row in ROWS} == {f.stem for f in files} - {"float", "freeze", "brecq", "zaq", "zsaq"} - by_inputs
