"""The modules of FX and PT2E in the model itself, against the rewritten graphs."""

import pytest
import torch
from torch import nn

from quantdg.quantizers.insertion import latent_parameter
from quantdg.quantizers.spec import QuantSpec
from quantdg.quantizers.torch_ao_fx import TorchAOFX, TorchaoPT2E


def net():
    torch.manual_seed(3)
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 6)
    return nn.Sequential(*layers)


def batch(seed):
    return torch.randn(4, 3, 10, 10, generator=torch.Generator().manual_seed(seed))


def by_fx():
    from torch.ao.quantization import get_default_qat_qconfig_mapping  # noqa: PLC0415
    from torch.ao.quantization.quantize_fx import prepare_qat_fx  # noqa: PLC0415

    graph = prepare_qat_fx(net().train(), get_default_qat_qconfig_mapping("x86"), (batch(0),))
    names = [name for name, _ in graph.named_children() if name.startswith("activation_post_process")]
    setattr(graph, names[-1], nn.Identity())  # the output of the net, which is no layer's input
    return graph


def by_pt2e():
    pytest.importorskip("torchao", reason="pip install 'quantdg[torchao]'")
    from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e  # noqa: PLC0415
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86  # noqa: PLC0415

    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config(is_qat=True))
    return prepare_qat_pt2e(torch.export.export(net().train(), (batch(0),)).module(), quantizer)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "rewritten"), [(TorchAOFX, by_fx), (TorchaoPT2E, by_pt2e)])
def test_training_equals_that_of_the_rewritten_graph_bit_for_bit(kind, rewritten, train):
    theirs, ours = rewritten(), net()
    quantizer = kind(QuantSpec(8, 8, rules=()))
    with torch.no_grad():
        theirs(batch(0))
    quantizer.prepare(ours, batch(0))
    ours.train()
    batches = [batch(step) for step in range(1, 4)]
    for expected, got in zip(*(train(model, batches, rate=0.05) for model in (theirs, ours)), strict=True):
        assert torch.equal(expected, got)
    for layer in ("0", "2", "4"):
        assert torch.equal(latent_parameter(ours, f"{layer}.weight"), theirs.get_parameter(f"{layer}.weight"))


@pytest.mark.parametrize("kind", [TorchAOFX, TorchaoPT2E])
def test_the_symmetric_grid_by_hand(kind):
    """4 bit: max(.8 / 8, .6 / 7) = .1 and max(.04 / 8, .07 / 7) = .01; the plain module of torch.ao has max|w| / 7.5."""
    if kind.missing():
        pytest.skip(kind.missing())
    model, quantizer = nn.Sequential(nn.Linear(4, 2)), kind(QuantSpec(4, rules=()))
    model[0].weight.data = torch.tensor([[0.6, -0.21, 0.12, -0.8], [0.05, 0.02, -0.04, 0.07]])
    quantizer.prepare(model, torch.ones(1, 4))
    weight = quantizer.export(model)["0"].weight
    assert weight.scale.tolist() == pytest.approx([0.1, 0.01])
    assert weight.codes.tolist() == [[6, -2, 1, -8], [5, 2, -4, 7]]


def test_the_smallest_scale_of_pt2e_survives_a_state_dict_without_versions():
    pytest.importorskip("torchao", reason="pip install 'quantdg[torchao]'")
    model = nn.Sequential(nn.Linear(2, 1))
    TorchaoPT2E(QuantSpec(8, rules=())).prepare(model, torch.ones(1, 2))
    model.load_state_dict(dict(model.state_dict()))
    assert float(model[0].weight_quant.fake.activation_post_process.eps) == 2**-12


def test_fx_uses_half_the_codes_of_inputs_and_pt2e_all():
    for kind, top in ((TorchAOFX, 127), (TorchaoPT2E, 255)):
        if kind.missing():
            continue
        model, quantizer = nn.Sequential(nn.Linear(2, 1)), kind(QuantSpec(8, 8, rules=()))
        quantizer.prepare(model, torch.tensor([[0.0, 2.0]]))
        act = quantizer.export(model)["0"].act
        assert (act.qmin, act.qmax, act.scale) == (0, top, pytest.approx(2 / top))
