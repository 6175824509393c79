"""Scales per group of input channels: by hand, against one layer for each group, and against torchao."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from quantdg.core.errors import ConfigError, QuantizerError
from quantdg.quantizers.dorefa import DoReFa
from quantdg.quantizers.export import QTensor
from quantdg.quantizers.fake_quant import FakeQuant, codes_of
from quantdg.quantizers.gptq import GPTQ
from quantdg.quantizers.grid_pull import GridPull
from quantdg.quantizers.groups import GroupedQuant, quantizer_of, split
from quantdg.quantizers.layers import choose, sites_of
from quantdg.quantizers.lsq import LSQ, LSQQuant
from quantdg.quantizers.min_max import MinMax
from quantdg.quantizers.mse import MSE
from quantdg.quantizers.obc import OBC
from quantdg.quantizers.pact import PACT, SAWBQuant
from quantdg.quantizers.percentile import Percentile
from quantdg.quantizers.sites import SiteQuantizer
from quantdg.quantizers.spec import QuantSpec, Rule, SiteSpec
from quantdg.quantizers.statsq import StatsQ
from quantdg.quantizers.torch_ao import TorchAO
from quantdg.quantizers.uniform_noise import UniformNoise


def weights(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)) * torch.linspace(0.1, 2, shape[1]).reshape(
        1, -1, *[1] * (len(shape) - 2)
    )


def by_group(bits: int, size: int, **options) -> QuantSpec:
    return QuantSpec(bits, granularity="per_group", group_size=size, **{"rules": (), **options})


def grouped(kind: type[SiteQuantizer], weight: Tensor, spec: QuantSpec) -> FakeQuant:
    site = spec.site("layer")
    assert site is not None
    return quantizer_of(kind(spec).weight_quantizer, weight, site).eval()


def test_min_max_by_hand() -> None:
    w = torch.tensor([[3.5, 1.2, 0.3, -0.7], [0.0, -7.0, 1.4, 0.5]])
    quant = grouped(MinMax, w, by_group(3, 2))  # codes -4 .. 3, scales max / 3.5
    q = quant.qparams(w)
    assert torch.allclose(q.scale, torch.tensor([[1.0, 0.2], [2.0, 0.4]]))
    assert torch.allclose(quant(w), torch.tensor([[3.0, 1.0, 0.4, -0.8], [0.0, -8.0, 1.2, 0.4]]))
    stored = codes_of(quant, w, 3)
    assert stored.codes.tolist() == [[3, 1, 2, -4], [0, -4, 3, 1]]
    assert stored.group_size == 2
    assert torch.equal(stored.dequantize(), quant(w))


def test_the_gradient_of_a_learned_scale_is_that_of_its_group() -> None:
    w = torch.tensor([[0.2, 0.9, 4.0, 8.0]])
    quant = grouped(LSQ, w, by_group(2, 2))
    assert isinstance(quant, GroupedQuant)
    scale = quant.inner.get_parameter("step_size")
    assert torch.allclose(scale.flatten(), torch.tensor([1.1, 12.0]))  # 2 E|w| / sqrt(1)
    quant(w).sum().backward()  # round(v) - v of .1818 .8182 and .3333 .6667, over sqrt(2 * 1)
    assert scale.grad is not None
    assert torch.allclose(scale.grad.flatten(), torch.zeros(2), atol=1e-6)
    scale.grad = None
    (quant(w) * torch.tensor([[1.0, 0.0, 0.0, 1.0]])).sum().backward()
    assert torch.allclose(scale.grad.flatten(), torch.tensor([-0.2 / 1.1, 1 / 3]) / 2**0.5)


@pytest.mark.parametrize("kind", [LSQ, MinMax, MSE, Percentile, DoReFa, TorchAO])
@pytest.mark.parametrize("shape", [(3, 8, 3, 3), (4, 8), (2, 8, 5)])
def test_each_group_is_what_a_layer_of_these_inputs_alone_gets(kind, shape) -> None:
    w, spec = weights(*shape), by_group(4, 4)
    found, alone = grouped(kind, w, spec)(w), QuantSpec(4, rules=()).site("layer")
    for start in (0, 4):
        part = w[:, start : start + 4].contiguous()
        expected = kind(QuantSpec(4, rules=())).weight_quantizer(part, alone).eval()(part)
        assert torch.equal(found[:, start : start + 4], expected)


def test_a_layer_with_few_input_channels_has_a_scale_for_each_output_channel() -> None:
    w = weights(3, 4, 3, 3)
    quant = grouped(MinMax, w, by_group(4, 8))
    assert quant.qparams(w).group_size is None
    assert quant.qparams(w).scale.shape == (3,)


def test_a_group_size_that_does_not_divide_is_refused_with_what_does() -> None:
    model = nn.Sequential(nn.Conv2d(3, 24, 3), nn.Flatten(), nn.Linear(24, 4))
    support = LSQ(by_group(4, 16)).supports(model, by_group(4, 16))
    assert not support.ok
    assert support.reason == (
        "2: group_size must divide the 24 input channels, got 16; write group_size=12, or a rule for this layer, "
        "{pattern: 2, granularity: per_channel}"
    )
    ruled = by_group(4, 16, rules=(Rule("2", granularity="per_channel"),))
    assert LSQ(ruled).supports(model, ruled).ok


def test_a_method_without_groups_says_so() -> None:
    class Whole(LSQ):
        groups = "none"

    model = nn.Linear(8, 2)
    with pytest.raises(QuantizerError, match=r"none per group; write granularity=per_channel"):
        Whole(by_group(4, 4)).prepare(model, torch.randn(2, 8))
    assert not PACT(by_group(4, 4)).supports(model, by_group(4, 4)).ok  # for its inputs


class OneScale(LSQ):
    """This method has one scale for the weight, whatever the spec asks for, and does not say so."""

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        quant = LSQQuant(site.weight_bits)
        quant.start_from(weight)
        return quant


def test_a_method_with_one_scale_for_the_weight_is_told_to_say_so() -> None:
    model, quantizer = nn.Linear(8, 2), OneScale(by_group(4, 4))
    quantizer.prepare(model, torch.randn(2, 8))
    with pytest.raises(QuantizerError, match=r"LSQQuant has scales along None; write groups = 'none'"):
        quantizer.export(model)


def test_tied_weights_of_two_group_sizes_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[1].weight = model[0].weight
    sites, skipped = choose(model, by_group(4, 4, rules=(Rule("1", group_size=2),)))
    assert (len(sites), len(skipped)) == (0, 2)
    assert len(choose(model, by_group(4, 4))[0]) == 2


class Halving(FakeQuant):
    def forward(self, x: Tensor) -> Tensor:
        return x

    def advance(self, weight: Tensor, step: int) -> None:
        weight.mul_(0.5)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_schedule_moves_the_weight_itself_in_any_layout(memory) -> None:
    w = weights(4, 8, 3, 3).contiguous(memory_format=memory)
    expected = w / 2
    GroupedQuant(Halving(), 4, 4).advance(w, 1)
    assert torch.equal(w, expected)
    assert split(w, 4).shape == (8, 4, 3, 3)


def test_noise_has_the_width_of_each_groups_scale() -> None:
    torch.manual_seed(0)
    spec, model = by_group(4, 4), nn.Linear(8, 256)
    with torch.no_grad():
        model.weight[:, 4:] *= 100
    noise = UniformNoise(spec)
    noise.prepare(model, torch.randn(2, 8))
    drawn = (model.train().weight - dict(sites_of(model))[""].latent).abs().detach()
    assert 50 < float(drawn[:, 4:].mean() / drawn[:, :4].mean()) < 200
    assert 0 < noise.audit(model).sites[""].noise_to_signal < 1


def pulled(spec: QuantSpec, weight: Tensor) -> float:
    model = nn.Linear(weight.shape[1], weight.shape[0])
    model.weight.data.copy_(weight)
    pull = GridPull(spec, weight=1.0, base="min_max")
    pull.prepare(model, torch.randn(2, weight.shape[1]))
    term = pull.penalty(model)
    assert term is not None
    return float(term.detach())


def test_a_pull_is_the_sum_over_the_groups() -> None:
    w = weights(3, 8)
    parts = [pulled(QuantSpec(4, rules=()), w[:, start : start + 4]) for start in (0, 4)]
    assert pulled(by_group(4, 4), w) == pytest.approx(sum(parts), rel=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: QuantSpec(granularity="per_group"),
            "spec.group_size must be a whole number of input channels.*group_size=32",
        ),
        (lambda: QuantSpec(granularity="per_group", group_size=0), "at least 1"),
        (lambda: QuantSpec(granularity="per_group", group_size=True), "got True"),
        (
            lambda: QuantSpec(group_size=8),
            "group_size is for granularity=per_group, got 8 for per_channel; leave it out",
        ),
        (lambda: Rule("a", granularity="per_tensor", group_size=8), "rule.group_size is for granularity=per_group"),
        (lambda: QuantSpec(rules=(Rule("a", granularity="per_group"),)), "rule 'a': rule.group_size must be"),
        (lambda: QuantSpec(rules=(Rule("a", group_size=8),)), "rule 'a': rule.group_size is for"),
    ],
)
def test_a_group_size_stands_where_it_means_something(build, message) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def test_groups_are_part_of_an_identity_only_where_there_are_some() -> None:
    assert "group_size" not in QuantSpec().identity
    assert by_group(4, 8).identity["group_size"] == 8
    rule = Rule("a", granularity="per_group", group_size=4)
    assert rule.identity["group_size"] == 4
    assert "group_size" not in Rule("a").identity
    site = QuantSpec(rules=(rule,)).site("a")
    assert site is not None
    assert (site.granularity, site.group_size) == ("per_group", 4)
    back = by_group(4, 8, rules=(Rule("a", granularity="per_channel"),)).site("a")
    assert back is not None
    assert back.group_size is None


@pytest.mark.parametrize("kind", [LSQ, MinMax, MSE, StatsQ])
def test_the_noise_printed_is_the_noise_measured(kind) -> None:
    page = (Path(__file__).parents[2] / "docs" / "quantizers.md").read_text(encoding="utf-8")
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {kind.name} |"))
    w = 0.02 * torch.randn(64, 1152, generator=torch.Generator().manual_seed(0))
    found = [grouped(kind, w, by_group(4, size))(w).detach() - w for size in (1152, 128, 64, 32, 16)]
    assert [cell.strip() for cell in line.strip("|").split("|")][1:] == [
        f"{float(e.std() / w.std()):.3f}" for e in found
    ]


@pytest.mark.parametrize("bits", [2, 4, 7, 8])
def test_min_max_is_torchaos_per_group_fake_quantizer(bits: int) -> None:
    qat = pytest.importorskip("torchao.quantization.qat")
    granularity = pytest.importorskip("torchao.quantization.granularity")
    w = weights(6, 32)
    config = qat.IntxFakeQuantizeConfig(getattr(torch, f"int{bits}"), granularity=granularity.PerGroup(8))
    theirs = qat.IntxFakeQuantizer(config)
    expected = theirs(w)
    quant = grouped(MinMax, w, by_group(bits, 8))
    q = quant.qparams(w)
    assert torch.equal(q.scale, theirs.scale)  # the same layout, (channels, groups)
    units = w / q.against(w)[0]
    tie = ((units - units.floor()) - 0.5).abs() < 1e-4  # the largest weight lies on one: theirs multiplies by 1 / s
    assert torch.allclose(quant(w)[~tie], expected[~tie], atol=1e-6)
    assert int(tie.sum()) < 40


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("shape", [(6, 32), (4, 16, 3, 3)])
def test_a_stored_weight_is_what_torchao_dequantizes(symmetric: bool, shape: tuple[int, ...]) -> None:
    primitives = pytest.importorskip("torchao.quantization.quant_primitives")
    w = weights(*shape)
    quant = grouped(MinMax, w, by_group(4, 8, symmetric=symmetric))
    stored: QTensor = codes_of(quant, w, 4)
    block, zero = (1, 8, *shape[2:]), stored.zero_point.to(torch.int32)
    out = primitives.dequantize_affine(stored.codes.to(torch.int8), block, stored.scale, zero, torch.int8, -8, 7)
    assert torch.allclose(out, stored.dequantize(), atol=1e-6)


@pytest.mark.parametrize("kind", [GPTQ, OBC])
def test_codes_chosen_from_inputs_are_better_than_the_nearest_on_scales_of_groups(kind) -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(16, 6), torch.randn(64, 4) @ torch.randn(4, 16)
    quantizer = kind(by_group(3, 4), base="min_max")
    quantizer.prepare(model, x)
    quantizer.calibrate(model, [x])
    weight = quantizer.export(model)[""].weight
    assert weight.scale.shape == (6, 4)
    latent = dict(sites_of(model))[""].latent.detach()
    alone = grouped(MinMax, latent, by_group(3, 4))
    assert torch.equal(weight.scale, alone.qparams(latent).scale)
    better, nearest = ((x @ (w - latent).T).square().sum() for w in (weight.dequantize(), alone(latent)))
    assert float(better) < 0.8 * float(nearest)


def test_groups_that_sawb_does_not_fit_are_counted():
    quant = GroupedQuant(SAWBQuant(7, per_channel=True), group_size=27, channels=64)
    weight = torch.rand((64, 54), generator=torch.Generator().manual_seed(0)) * 2 - 1  # uniform: ill conditioned
    found = quant.unfit(weight)
    assert found == SAWBQuant(7, per_channel=True).unfit(weight.reshape(128, 27))
    assert found > 0
