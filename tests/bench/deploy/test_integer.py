"""The integer module computes what the quantizer's own network computes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from quantdg.bench.deploy.integer import IntegerLayer, build_integer, not_exportable
from quantdg.bench.packed.twin import Twin, load_float
from quantdg.core.errors import QuantizerError, RecordError
from quantdg.quantizers.export import ActQuant, OutputExport, QTensor, SiteExport


@torch.no_grad()
def outputs(t, build):
    return build(t.network, t.model.state(), t.model.sites)


@pytest.mark.parametrize("arch", ["convnet", "resnet18", "mobilenet_v2", "squeezenet"])
@torch.no_grad()
def test_weights_alone(trained, arch):
    t = trained(arch, act_bits=None, size=64, count=4)
    integer = build_integer(t.network, t.model.state(), t.model.sites)
    assert (integer.module(t.images) - t.prepared(t.images)).abs().max() < 1e-4
    assert integer.unfolded == {}
    bare = [m for m in integer.module.modules() if isinstance(m, nn.BatchNorm2d)]
    assert bare == []
    assert {m.codes.dtype for m in integer.module.modules() if isinstance(m, IntegerLayer)} == {torch.int8}


@pytest.mark.parametrize(("quantizer", "weight_bits"), [("lsq", 7), ("pact", 7), ("torch_ao", 8), ("nni_qat", 8)])
@torch.no_grad()
def test_the_reference_is_the_quantizers_own_network(trained, quantizer, weight_bits):
    t = trained("convnet", quantizer, weight_bits)
    reference = Twin(t.network, t.model.state(), t.model.sites).network
    difference = (reference(t.images) - t.prepared(t.images)).abs()
    assert difference.max() < 1e-3
    assert difference.median() < 1e-6


@torch.no_grad()
def test_minus_128_keeps_the_batchnorm(trained):
    t = trained("convnet", "torch_ao", 8)
    integer = build_integer(t.network, t.model.state(), t.model.sites)
    lowest = {name for name, s in t.model.sites.items() if int(s.weight.codes.min()) == -128}
    assert integer.unfolded
    assert set(integer.unfolded) <= lowest
    reference = Twin(t.network, t.model.state(), t.model.sites).network
    assert (integer.module(t.images) - reference(t.images)).abs().max() < 1e-3


@pytest.mark.parametrize(
    "act",
    [
        ActQuant(0.05, 0, -8, 7, bits=4),
        ActQuant(0.05, 3, 0, 15, bits=4),
        ActQuant(0.02, 0, -127, 127, bits=8),
        ActQuant(0.02, 0, -128, 127, bits=8),
        ActQuant(0.02, 100, 0, 255, bits=8),
    ],
)
@torch.no_grad()
def test_input_grids(act):
    network = nn.Sequential(nn.Linear(6, 4))
    q = QTensor(torch.randint(-8, 8, (4, 6), dtype=torch.int16), torch.tensor(0.1), torch.tensor(0.0), 4)
    sites = {"0": SiteExport(q, act)}
    state = {"0.weight": q.dequantize(), "0.bias": torch.randn(4)}
    x = torch.linspace(-4, 4, 600).reshape(100, 6) + 1e-3
    expected = Twin(network, state, sites).logits(x)
    torch.testing.assert_close(build_integer(network, state, sites).module(x), expected)


def test_the_network_given_is_not_changed(trained):
    t = trained()
    before = {n: p.clone() for n, p in t.network.state_dict().items()}
    outputs(t, build_integer)
    outputs(t, Twin)
    assert all(torch.equal(p, before[n]) for n, p in t.network.state_dict().items())
    assert type(t.network.featurizer[0]) is nn.Conv2d


def test_weights_of_another_network_are_refused(trained):
    with pytest.raises(RecordError, match="must fit the network"):
        load_float(trained().network, trained("squeezenet", act_bits=None, size=64, count=4).model.state())


def test_a_layer_that_computes_otherwise_is_refused():
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"))
    q = QTensor(torch.ones(2, 3, 3, 3, dtype=torch.int16), torch.tensor(0.1), torch.tensor(0.0), 4)
    state = {"0.weight": q.dequantize(), "0.bias": torch.zeros(2)}
    with pytest.raises(QuantizerError, match="an integer layer is a plain convolution"):
        build_integer(network, state, {"0": SiteExport(q)})


def test_the_reason_names_the_layer(trained):
    sites = dict(trained().model.sites)
    name = next(iter(sites))
    book = replace(sites[name].weight, levels=torch.linspace(-1, 1, 128))
    sites[name] = SiteExport(book)
    assert not_exportable(trained().model.sites) == ""
    assert not_exportable(sites).startswith(f"{name}: a code book of 128 levels")


def test_an_output_between_two_codes_is_refused_as_an_input_is():
    """Its fraction would be cut off, and no layer need read it."""
    act = ActQuant(0.1, 7.34, 0, 15, bits=4)
    network, state = nn.Sequential(nn.Identity()), {}
    assert not_exportable({}, {"0": OutputExport(act)}).startswith(
        "the output of 0: an input's zero point must be a whole"
    )
    with pytest.raises(QuantizerError, match=r"an output cannot be rounded to integers: .* this one is 7\.34"):
        build_integer(network, state, {}, {"0": OutputExport(act)})
    whole = OutputExport(replace(act, zero_point=7))
    assert not_exportable({}, {"0": whole}) == ""
    x = torch.linspace(-2, 2, 99)
    assert torch.equal(build_integer(network, state, {}, {"0": whole}).module(x), whole.act.quantize(x))
