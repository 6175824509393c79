"""The packed file of a cell gives the logits that were measured, or the cell fails."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from quantdg.bench.cells.execute import open_data
from quantdg.bench.packed.file import read_model
from quantdg.bench.packed.twin import Twin
from quantdg.bench.results.logits import Logits, spread
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.core.errors import RecordError
from quantdg.quantizers.lsq import LSQ, LSQQuant
from quantdg.quantizers.sites import SiteQuantizer
from quantdg.quantizers.spec import QuantSpec


class Lies(LSQ):
    """Tells the truth until it trains: what is known before training is found before training."""

    trained = False

    def on_step(self, model, step):
        super().on_step(model, step)
        self.trained = True

    def lie(self, site):
        return site

    def export(self, model):
        out = super().export(model)
        return {name: self.lie(site) for name, site in out.items()} if self.trained else out


class OtherWeights(Lies):
    """Exports its scales 2 % too large."""

    def lie(self, site):
        return replace(site, weight=replace(site.weight, scale=1.02 * site.weight.scale))


class OtherInputs(Lies):
    """Exports input grids that are shifted by a third of a code."""

    def lie(self, site):
        return replace(site, act=replace(site.act, zero_point=site.act.zero_point + 0.34))


class NoInputs(Lies):
    """Exports float inputs."""

    def lie(self, site):
        return replace(site, act=None)


class Ignoring(LSQQuant):
    """Rounds until it has trained, but then in training only, so that an evaluation reads the float weight."""

    ignored = False

    def forward(self, x):
        rounded = super().forward(x)
        return x if self.ignored and not self.training else rounded


class OneUnusedWeight(LSQ):
    """Plans, stores and counts a weight that no evaluation uses, as a fused path that reads the layer's float weight."""

    def weight_quantizer(self, weight, site):
        quant = super().weight_quantizer(weight, site)
        if site.name == "featurizer.0":
            quant.__class__ = Ignoring
        return quant

    def on_step(self, model, step):
        super().on_step(model, step)
        model.featurizer[0].weight_quant.ignored = True

    def export(self, model):
        quant = model.featurizer[0].weight_quant
        before, quant.ignored = quant.ignored, False
        out = super().export(model)
        quant.ignored = before
        return out


def with_quantizer(kind, spec):
    return f"+quantizer.{kind.__name__.lower()}={{_target_: {kind.__module__}.{kind.__name__}, spec: {spec}}}"


def records(experiment):
    store = RunStore(experiment.paths.out)
    return {r.labels.quantizer: r for r in store.records() if isinstance(r, Record)}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (OtherWeights, "{weight_bits: 7}"),
        (OtherInputs, "{weight_bits: 7, act_bits: 8}"),
        (OtherInputs, "{weight_bits: 4, act_bits: 4}"),
        (NoInputs, "{weight_bits: 7, act_bits: 8}"),
        (OneUnusedWeight, "{weight_bits: 4}"),
    ],
)
def test_a_model_that_is_not_the_one_measured_fails_its_cell(quick, kind, spec):
    experiment = quick(with_quantizer(kind, spec), "quantizer=[lsq]")
    assert session.run_experiment(experiment) == 1
    got = records(experiment)
    bad = got[kind.__name__.lower()]
    assert bad.status == "failed"
    assert bad.reason.startswith("the packed model gives other logits, largest difference ")
    assert bad.sizes is None
    assert not (experiment.paths.out / "models" / f"{bad.key}.safetensors").exists()
    assert got["lsq"].status == "done"


METHODS = ["float", "freeze", "round_freeze", "uniform_noise", "lsq", "pact", "torch_ao", "torch_ao_learnable"]
METHODS += ["dorefa", "apot", "inq", "nni_qat", "nni_lsq", "nni_lsq_paper"]


@pytest.mark.parametrize("act_bits", ["null", "8", "2"])
def test_every_method_is_stored_as_it_was_measured(quick, act_bits):
    """And the logits in its record are those of its file."""
    experiment = quick(f"quantizer=[{','.join(METHODS)}]", f"act_bits={act_bits}", "bits=4")
    session.run_experiment(experiment)
    got = records(experiment)
    for name, record in got.items():
        assert record.status in ("done", "unsupported", "unavailable"), (name, record.reason)
    done = [r for r in got.values() if r.status == "done"]
    assert len(done) >= 5
    cell = session.load_and_plan(experiment)[0]
    data = open_data(cell.group, experiment.paths, "cpu")
    for record in done:
        model = read_model(experiment.paths.out / record.sizes.path)
        index, expected = record.logits.index(), record.logits.array()
        x = torch.cat([x for x, _ in data.evaluation(data.target, index)])
        twin = Twin(data.initial_network(cell.group.model), model.state(), model.sites)
        assert expected.shape == (32, 10)
        assert np.abs(twin.logits(x).numpy() - expected).max() <= twin.limit(x)
        most = 0.6 if act_bits == "2" else 0.2  # a code of two bits that turns is a large step
        assert twin.limit(x) < most * np.abs(expected).max()
        assert len(record.logits.values) + len(record.logits.images) < 2000


@torch.no_grad()
def test_a_weights_only_twin_is_exact_and_a_tie_is_allowed_for():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(64, 4)
    quantizer: SiteQuantizer = LSQ(QuantSpec(rules=()))
    quantizer.prepare(model := nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), x)
    model.eval()
    floats = {name: t for name, t in model.state_dict().items() if name in net.state_dict()}
    sites = quantizer.export(model)
    state = {**floats, **{f"{n}.weight": s.weight.dequantize() for n, s in sites.items()}}
    twin = Twin(net, state, sites)
    assert torch.equal(twin.logits(x), model(x))
    assert twin.limit(x) == pytest.approx(1e-4 * float(model(x).abs().max()))


def test_logits_in_text():
    values = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    kept = Logits.of(np.array([0, 7, 1000]), values)
    assert (kept.array() == values).all()
    assert kept.index().tolist() == [0, 7, 1000]
    assert (len(spread(1000, 10)), len(spread(1000, 65)), len(spread(9, 10)), len(spread(999, 345))) == (32, 15, 9, 4)
    with pytest.raises(RecordError, match="must be whole"):
        replace(kept, values=kept.values[:-4]).array()
