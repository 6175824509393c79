"""Flatness of real networks: the deployed weights are the ones measured, twice the same, and nothing is changed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import nn

from quantdg.bench.experiment.flatness import FlatnessSettings
from quantdg.bench.flatness.deployed import flatness_of
from quantdg.bench.flatness.measure import domain_batches, measure_flatness
from quantdg.bench.flatness.network import activation_grids, deployed_state
from quantdg.bench.training.branch import insert_quantizer
from quantdg.bench.training.checkpoint import capture
from quantdg.bench.training.float_phase import build, train_step
from quantdg.core.errors import ConfigError
from quantdg.quantizers.export import ActQuant

SMALL = FlatnessSettings(
    "small", radii=(0.01, 0.05), directions=3, latent=True, examples=20, probes=3, iterations=4, tolerance=0.01,
    rhos=(0.05,), tangent_examples=4,
)  # fmt: skip
CONF = Path(__file__).parents[3] / "bench" / "conf" / "flatness"


@pytest.fixture
def trained(cell):
    """(prepared network after three steps, its float twin with dequantized weights, its input grids, data)."""

    def make(quantizer):
        chosen, data = cell(f"quantizer=[{quantizer}]")
        algorithm, method, names = insert_quantizer(chosen, data, capture(build(chosen.group, data)))
        for step in (6, 7, 8):
            train_step(algorithm, data, step)
            method.on_step(algorithm.network, step - 5)
        network = algorithm.network
        sites = method.export(network)
        plain = chosen.group.model.build(data.dataset.shape, len(data.dataset.classes))
        state = deployed_state(network.state_dict(), sites)
        plain.load_state_dict({n: t for n, t in state.items() if n in names})
        return network, plain, {n: s.act for n, s in sites.items() if s.act is not None}, data

    return make


@pytest.mark.parametrize("quantizer", ["lsq", "pact", "torch_ao", "nni_qat", "round_freeze"])
def test_deployed_and_latent_are_one_function_at_the_point(trained, quantizer):
    network, plain, grids, data = trained(quantizer)
    settings = replace(SMALL, probes=0, rhos=(), tangent_examples=0)
    found = measure_flatness(plain, data, settings, grids, network)
    assert bool(grids) == (quantizer == "pact")
    assert found["latent"]["loss"] == pytest.approx(found["deployed"]["loss"], rel=1e-5)
    assert found["latent"]["local_source"] != found["deployed"]["local_source"]
    i = data.target
    x = torch.cat([x for x, _ in domain_batches(data, 20)[i]])
    y = torch.cat([y for _, y in domain_batches(data, 20)[i]])
    with torch.no_grad():
        loss = float(F.cross_entropy(network(x), y))
    assert found["deployed"]["loss"]["thick"] == pytest.approx(loss, rel=1e-5)


def test_two_measurements_agree_and_nothing_is_changed(trained):
    network, plain, grids, data = trained("pact")
    before = [{n: t.clone() for n, t in net.state_dict().items()} for net in (network, plain)]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = measure_flatness(plain, data, SMALL, grids, network)
    second = measure_flatness(plain, data, SMALL, grids, network)
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)
    for net, state in zip((network, plain), before, strict=True):
        assert all(torch.equal(t, state[n]) for n, t in net.state_dict().items())
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert not any(module._forward_pre_hooks for module in plain.modules())


def test_chunks_agree(trained):
    _, plain, grids, data = trained("pact")
    one, many = (measure_flatness(plain, data, replace(SMALL, chunk=c), grids) for c in (1, 2))
    for key in ("local_source", "local_target", "sam_source", "sam_target"):
        assert many["deployed"][key] == pytest.approx(one["deployed"][key], rel=1e-3, abs=1e-5)
    for key in ("trace_source", "trace_target", "top_target"):
        kind = "mean" if "trace" in key else "value"
        assert many["deployed"][key][kind] == pytest.approx(one["deployed"][key][kind], rel=1e-3)


def test_source_is_the_mean_of_its_domains_and_radii_are_per_parameter(trained):
    _, plain, _, data = trained("lsq")
    found = measure_flatness(plain, data, SMALL)
    local = found["deployed"]["local"]
    sources = [data.dataset.domains[i].name for i in data.sources]
    assert set(local) == {*sources, "thick"}
    assert "thick" not in sources
    expected = np.mean([local[name]["rise"] for name in sources], axis=0)
    assert found["deployed"]["local_source"] == pytest.approx(expected.tolist())
    assert found["deployed"]["local_target"] == local["thick"]["rise"]
    count = sum(p.numel() for p in plain.parameters())
    assert found["parameters"] == count
    assert found["gammas"] == pytest.approx([0.01 * count**0.5, 0.05 * count**0.5])


def test_examples_come_from_source_training_parts(trained):
    _, _, _, data = trained("float")
    batches = domain_batches(data, 10**6)
    for i in data.sources:
        assert sum(len(y) for _, y in batches[i]) == len(data.train[i])
    assert sum(len(y) for _, y in batches[data.target]) == len(data.target_in) + len(data.target_out)
    first, again = domain_batches(data, 7)[data.target], domain_batches(data, 7)[data.target]
    assert sum(len(y) for _, y in first) == 7
    assert torch.equal(first[0][0], again[0][0])


def test_what_is_not_asked_for_is_not_measured(trained):
    network, plain, _, data = trained("lsq")
    settings = replace(SMALL, probes=0, rhos=(), tangent_examples=0, latent=False)
    found = measure_flatness(plain, data, settings, latent=network)
    assert "latent" not in found
    assert set(found["deployed"]) == {"loss", "local", "local_source", "local_target"}


def test_a_number_that_is_not_finite_is_none(trained):
    _, plain, _, data = trained("float")
    with torch.no_grad():
        plain.classifier.bias[0] = torch.nan
    found = measure_flatness(plain, data, replace(SMALL, probes=0, rhos=(), tangent_examples=0))
    assert found["deployed"]["local_source"] == [None, None]
    json.dumps(found, allow_nan=False)


def test_a_prepared_network_is_measured_through_its_twin(trained, cell):
    network, plain, grids, data = trained("pact")
    chosen, _ = cell("quantizer=[pact]")
    method = chosen.quantizer.create(0)
    other = chosen.group.model.build(data.dataset.shape, len(data.dataset.classes))
    method.prepare(other, next(data.calibration()))
    other.load_state_dict(network.state_dict())
    twin = chosen.group.model.build(data.dataset.shape, len(data.dataset.classes))
    settings = replace(SMALL, probes=0, rhos=(), tangent_examples=0)
    found = flatness_of(other, method, twin, plain.state_dict().keys(), data, settings)
    assert found == measure_flatness(plain, data, settings, grids, network)


def test_the_criterion_measures_from_the_first_weights_with_the_dequantized_ones(trained, cell):
    network, plain, _, data = trained("lsq")
    chosen, _ = cell("quantizer=[lsq]")
    method = chosen.quantizer.create(0)
    other = chosen.group.model.build(data.dataset.shape, len(data.dataset.classes))
    method.prepare(other, next(data.calibration()))
    other.load_state_dict(network.state_dict())
    first = data.initial_network(chosen.group.model)
    settings = replace(SMALL, probes=0, rhos=(), latent=False)
    found = flatness_of(other, method, data.initial_network(chosen.group.model), plain.state_dict(), data, settings)
    parameters = zip(plain.parameters(), first.parameters(), strict=True)
    distance = sum(float((p - q).detach().double().square().sum()) for p, q in parameters) / 2
    iic, tangent = found["deployed"]["iic_source"], found["deployed"]["tangent_source"]
    assert iic["log_distance"] == pytest.approx(np.log(distance), rel=1e-9)
    assert (iic["log_det"], iic["rank"], iic["rows"]) == (tangent["value"], tangent["rank"], tangent["rows"])
    assert iic["value"] == pytest.approx(np.log(distance) + tangent["value"] - np.log(tangent["rows"]))
    assert found["deployed"]["iic_target"]["log_distance"] == iic["log_distance"]


@pytest.mark.parametrize("rounding", [True, False])
def test_input_grids(rounding):
    network = nn.Sequential(nn.Identity())
    x = torch.tensor([-0.2, 0.13, 0.3, 5.0])
    with activation_grids(network, {"0": ActQuant(scale=0.1, zero_point=2, qmin=0, qmax=15, bits=4)}, {}, rounding):
        out = network(x)
    expected = [-0.2, 0.1 if rounding else 0.13, 0.3, 1.3]
    assert out.tolist() == pytest.approx(expected)
    assert torch.equal(network(x), x)


@pytest.mark.parametrize("name", ["quick", "full"])
def test_the_configurations_are_valid(name):
    settings = FlatnessSettings(**OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml")))
    assert settings.name == name


@pytest.mark.parametrize(
    "change, message",
    [
        ({"radii": (0.0,)}, r"flatness.radii must be above 0, got \[0.0\]"),
        ({"radii": ()}, "flatness=none"),
        ({"rhos": (-1.0,)}, "flatness.rhos"),
        ({"directions": 1}, "flatness.directions must be at least 2, got 1"),
        ({"probes": 1}, "0 or at least 2, got 1"),
        ({"tolerance": 0}, "flatness.tolerance"),
        ({"chunk": 0}, "flatness.chunk must be at least 1, got 0"),
        ({"tangent_examples": -1}, "flatness.tangent_examples"),
    ],
)
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(SMALL, **change)
