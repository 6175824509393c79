"""Gradual bits: which width when, over every base that has several."""

import copy

import pytest
import torch
from torch import Tensor, nn

from quantdg.core.errors import ConfigError
from quantdg.quantizers.gradual_bits import GradualBits, GradualQuant
from quantdg.quantizers.insertion import sites_of
from quantdg.quantizers.over import bases
from quantdg.quantizers.spec import QuantSpec

W = torch.randn(4, 200, generator=torch.Generator().manual_seed(0))


def prepared(bits: int, act_bits: int | None = None, **options) -> tuple[nn.Module, GradualBits, GradualQuant]:
    layer = nn.Linear(200, 4)
    layer.weight.data = W.clone()
    model = nn.Sequential(layer)
    quantizer = GradualBits(QuantSpec(bits, act_bits, rules=()), **options)
    quantizer.prepare(model, torch.ones(1, 200))
    quantizer.calibrate(model, [torch.ones(1, 200)])
    return model.train(), quantizer, next(sites_of(model))[1].weight_quant


def levels(quant: GradualQuant, weight: Tensor) -> int:
    return max(len(row.unique()) for row in quant(weight).detach())


def test_a_bit_is_lost_after_every_phase_in_training_alone() -> None:
    model, quantizer, quant = prepared(3, base="min_max", start=6, every=2)
    seen = []
    for step in range(1, 8):
        seen.append(levels(quant.train(), W))
        assert levels(quant.eval(), W) <= 8
        quantizer.on_step(model, step)
    assert [n <= 2**b and n > 2 ** (b - 1) for n, b in zip(seen, [6, 6, 5, 5, 4, 4, 3], strict=True)] == [True] * 7


@pytest.mark.parametrize("base", sorted(set(bases()) - {"pact"}))
def test_every_base_ends_as_itself_started_from_the_weights_of_then(base: str) -> None:
    model, quantizer, quant = prepared(3, base=base, start=5, every=1)
    moved = 3 * W
    with torch.no_grad():
        next(sites_of(model))[1].latent.copy_(moved)
    for step in (1, 2):
        assert levels(quant.train(), moved) > 8
        quantizer.on_step(model, step)
    fresh = quantizer.base.weight_quantizer(moved, quantizer.plan.sites[0]).train()
    assert torch.equal(quant.train()(moved), fresh(moved))


def test_what_the_base_learns_learns_at_the_last_width() -> None:
    model, quantizer, _ = prepared(4, start=5, every=1)
    assert quantizer.plan.parameters == ("0.weight_quant.inner.step_size",)
    scale = model.get_parameter("0.weight_quant.inner.step_size")
    for step, learns in ((1, False), (2, True)):
        scale.grad = None
        model(torch.ones(1, 200)).sum().backward()
        assert (scale.grad is not None) is learns
        quantizer.on_step(model, step)


def test_widths_that_the_base_lacks_are_left_out() -> None:
    _, _, quant = prepared(4, 8, base="pact", every=1)
    assert [site.weight_bits for site in quant.sites] == [8, 7, 4]


def test_a_copy_loaded_from_the_state_goes_on_in_its_phase() -> None:
    model, quantizer, quant = prepared(4, start=6, every=2)
    twin, _, other = prepared(4, start=6, every=2)
    quantizer.on_step(model, 1)
    quantizer.on_step(model, 2)
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(other.train()(W), quant.train()(W))
    assert levels(other, W) <= 32


def test_where_no_width_is_finer_it_is_its_base() -> None:
    _, quantizer, quant = prepared(8)
    assert torch.equal(quant.train()(W), quantizer.base.weight_quantizer(W, quantizer.plan.sites[0])(W))


def test_what_it_refuses() -> None:
    with pytest.raises(ConfigError, match="every must be at least 1"):
        GradualBits(every=0)
    with pytest.raises(ConfigError, match="start must be a whole number from 2 to 8"):
        GradualBits(start=9)
