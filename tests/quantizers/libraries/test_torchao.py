"""The torchao adapters against torchao used directly, and against values by hand (reference: 4 bit, absmax / 7.5)."""

import sys

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError, MissingPackageError
from quantdg.quantizers.spec import QuantSpec
from quantdg.quantizers.torchao_affine import TorchaoAffine
from quantdg.quantizers.torchao_intx import TorchaoIntx
from quantdg.quantizers.torchao_learnable import TorchaoLearnable

pytest.importorskip("torchao", reason="pip install 'quantdg[torchao]'")

ROWS = [[0.7, -0.21, 0.12, -0.8], [0.05, 0.02, -0.14, 0.07]]


def clamp_at_its_bound():
    """The derivative of torch.clamp at its bound: 1 up to torch 2.12, 0 in 2.15."""
    at = torch.tensor(7.0, requires_grad=True)
    at.clamp(-8, 7).backward()
    return float(at.grad)


class Flat(nn.Module):
    """A convolution's weight as the matrix that IntxFakeQuantizer wants."""

    def __init__(self, fake):
        super().__init__()
        self.fake = fake

    def forward(self, x):
        return self.fake(x.flatten(1)).view_as(x)


def intx(dtype, **how):
    from torchao.quantization.qat import IntxFakeQuantizeConfig, IntxFakeQuantizer  # noqa: PLC0415

    return Flat(IntxFakeQuantizer(IntxFakeQuantizeConfig(dtype, "per_channel", is_symmetric=True, **how)))


def affine(bits, observer, symmetric):
    from torchao.quantization import MappingType, PerAxis, PerTensor  # noqa: PLC0415
    from torchao.quantization.pt2e import _affine_quantization as observers  # noqa: PLC0415
    from torchao.quantization.pt2e.fake_quantize import AffineFakeQuantize  # noqa: PLC0415

    return AffineFakeQuantize(
        observer=getattr(observers, observer),
        mapping_type=MappingType.SYMMETRIC if symmetric else MappingType.ASYMMETRIC,
        target_dtype=torch.int8 if symmetric else torch.uint8,
        granularity=PerAxis(0) if symmetric else PerTensor(),
        quant_min=-(2 ** (bits - 1)) if symmetric else 0,
        quant_max=2 ** (bits - 1) - 1 if symmetric else 2**bits - 1,
    )


def learnable(bits, weight):
    from torchao.quantization import pt2e  # noqa: PLC0415

    return pt2e.LearnableFakeQuantize(
        observer=pt2e.PerChannelMinMaxObserver if weight else pt2e.MinMaxObserver,
        quant_min=-(2 ** (bits - 1)) if weight else 0,
        quant_max=2 ** (bits - 1) - 1 if weight else 2**bits - 1,
        dtype=torch.int8 if weight else torch.uint8,
        qscheme=torch.per_channel_symmetric if weight else torch.per_tensor_affine,
        use_grad_scaling=True,
        **({"ch_axis": 0} if weight else {}),
    )


def start_learning(model):
    """Range learning on; the zero point of a symmetric scheme, which each forward sets to 0, does not train."""
    for module in model.modules():
        if hasattr(module, "enable_range_learning"):
            module.enable_range_learning()
            if module.qscheme is torch.per_channel_symmetric:
                module.zero_point.requires_grad_(False)


def test_intx_equals_torchao_bit_for_bit(same_as_direct, direct):
    same_as_direct(TorchaoIntx, (2,), lambda layer: direct(layer, intx(torch.int2)))


def test_intx_with_a_learned_range_equals_torchao_bit_for_bit(same_as_direct, direct):
    from torchao.quantization.qat import initialize_fake_quantizers  # noqa: PLC0415

    def module(layer):
        made = intx(torch.int4, is_dynamic=False, range_learning=True)
        initialize_fake_quantizers(made, (layer.weight,))
        return direct(layer, made)

    same_as_direct(TorchaoIntx, (4,), module, range_learning=True)


@pytest.mark.parametrize(
    "observer, kind",
    [
        ("min_max", "AffineQuantizedMinMaxObserver"),
        ("moving_average", "AffineQuantizedMovingAverageMinMaxObserver"),
    ],
)
def test_affine_equals_torchao_bit_for_bit(same_as_direct, direct, observer, kind):
    def module(layer):
        return direct(layer, affine(3, kind, symmetric=True), affine(8, kind, symmetric=False))

    ours, _ = same_as_direct(TorchaoAffine, (3, 8), module, observer=observer)
    whole = ours.eval()(torch.ones(3, 3, 10, 10))  # a batch of another size
    assert torch.allclose(whole[0], ours(torch.ones(1, 3, 10, 10))[0])


def test_learnable_equals_torchao_bit_for_bit(same_as_direct, direct):
    def module(layer):
        return direct(layer, learnable(4, weight=True), learnable(8, weight=False))

    same_as_direct(TorchaoLearnable, (4, 8), module, after_first=start_learning)


@pytest.mark.parametrize("kind", [TorchaoIntx, TorchaoAffine, TorchaoLearnable])
def test_the_grid_by_hand(kind):
    """All 16 codes at 4 bit: scale = absmax / 7.5, and +absmax is clipped to 7 steps."""
    model = nn.Sequential(nn.Linear(4, 2))
    model[0].weight.data = torch.tensor(ROWS)
    quantizer = kind(QuantSpec(4, rules=()))
    quantizer.prepare(model, torch.ones(1, 4))
    weight = quantizer.export(model)["0"].weight
    assert weight.scale.tolist() == pytest.approx([0.8 / 7.5, 0.14 / 7.5])
    assert weight.codes.tolist() == [[7, -2, 1, -8], [3, 1, -8, 4]]


@pytest.mark.parametrize("kind", [TorchaoIntx, TorchaoAffine, TorchaoLearnable])
def test_the_gradient_of_a_weight_on_an_outer_code_is_the_librarys(kind):
    model = nn.Sequential(nn.Linear(4, 2))
    model[0].weight.data = torch.tensor(ROWS)
    kind(QuantSpec(4, rules=())).prepare(model, torch.ones(1, 4))
    latent = model[0]._parameters["weight"]
    model[0].weight.sum().backward()
    outer = 1.0 if kind is TorchaoLearnable else clamp_at_its_bound()
    expected = [[outer, 1, 1, outer], [1, 1, outer, 1]]
    assert latent.grad.tolist() == [pytest.approx(row) for row in expected]


def test_a_learned_range_by_hand():
    model = nn.Sequential(nn.Linear(4, 2))
    model[0].weight.data = torch.tensor(ROWS)
    quantizer = TorchaoIntx(QuantSpec(4, rules=()), range_learning=True)
    plan = quantizer.prepare(model, torch.ones(1, 4))
    assert plan.parameters == ("0.weight_quant.fake.scale",)
    model[0].weight.sum().backward()
    scale = model.get_parameter(plan.parameters[0])
    outer = clamp_at_its_bound()  # code - w / s inside, the code where clamp has no gradient
    expected = [
        7 - 6.5625 * outer - 2 + 1.96875 + 1 - 1.125 - 8 + 7.5 * outer,
        3 - 2.67857 + 1 - 1.07143 - 8 + 7.5 * outer + 0.25,
    ]
    assert scale.grad.flatten().tolist() == pytest.approx(expected, abs=1e-4)
    scale.data.fill_(-1.0)
    quantizer.on_step(model, 1)
    assert (scale > 0).all()


def test_a_min_max_range_never_shrinks_and_a_moving_one_follows():
    for observer, expected in (("min_max", 0.8 / 7.5), ("moving_average", (0.8 - 0.01 * 0.4) / 7.5)):
        model = nn.Sequential(nn.Linear(4, 2))
        model[0].weight.data = torch.tensor(ROWS)
        quantizer = TorchaoAffine(QuantSpec(4, rules=()), observer=observer)
        quantizer.prepare(model, torch.ones(1, 4))
        model[0]._parameters["weight"].data.mul_(0.5)
        model.train()(torch.ones(1, 4))
        assert float(quantizer.export(model)["0"].weight.scale[0]) == pytest.approx(expected)


def test_what_the_library_cannot_do_is_refused():
    model = nn.Sequential(nn.Linear(4, 2))
    for spec, why in (
        (QuantSpec(4, granularity="per_tensor", rules=()), "no scale of a whole tensor"),
        (QuantSpec(4, symmetric=False, rules=()), "zero point"),
        (QuantSpec(4, 8, rules=()), "weights only"),
    ):
        assert why in TorchaoIntx(spec).supports(model, spec).reason
    with pytest.raises(ConfigError, match="min_max"):
        TorchaoAffine(observer="mean")


@pytest.mark.parametrize("kind", [TorchaoIntx, TorchaoAffine, TorchaoLearnable])
def test_without_torchao_the_pip_line_is_named(kind, monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchao"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'quantdg\[torchao\]'"):
        kind(QuantSpec(rules=())).prepare(nn.Sequential(nn.Linear(4, 2)), torch.ones(1, 4))


@pytest.mark.parametrize("kind", [TorchaoIntx, TorchaoAffine, TorchaoLearnable])
def test_the_audit_shows_the_share_of_weights_that_stand_still(kind):
    """2 bit, Gaussian, grid -2 .. 1: all that rounds to an outer code from inside stands still."""
    model = nn.Sequential(nn.Linear(1000, 2))
    model[0].weight.data = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    quantizer = kind(QuantSpec(2, rules=()))
    quantizer.prepare(model, torch.ones(1, 1000))
    dead, v = quantizer.audit(model).sites["0"].dead, model[0]._parameters["weight"].detach()
    if kind is TorchaoLearnable:
        assert dead is None
    else:
        v = v / (v.abs().amax(1, keepdim=True) / 1.5)
        stands = ((v > 0.5) & (v < 1)) | ((v < -1.5) & (v > -2))
        assert dead == pytest.approx(float(stands.float().mean()) * (1 - clamp_at_its_bound()), abs=2e-3)
