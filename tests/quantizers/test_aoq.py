"""AOQ by hand: cells, gradients, the shrinking grid, the term that holds weights in their cells."""

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError
from quantdg.quantizers.aoq import AOQ, AOQQuant
from quantdg.quantizers.insertion import sites_of
from quantdg.quantizers.spec import QuantSpec

X = torch.tensor([-1.2, -0.4, 0.3, 2.0])


def quant(steps: int = 60, step: int = 0) -> AOQQuant:
    made = AOQQuant(X, per_channel=False, scale_factor=1.0, steps=steps, shrink=0.3)
    made.thresholds.fill_(1.0)
    made.interval.data.fill_(1.0)
    made.advance(X, step)
    return made.train()


def test_values_by_hand() -> None:
    assert quant()(X).tolist() == [-1.5, -0.5, 0.5, 1.5]


def test_thresholds_and_levels_part_ways() -> None:
    learned = quant()
    learned.interval.data.fill_(0.5)
    assert learned(X).tolist() == [-0.75, -0.25, 0.25, 0.75]  # the cells stay
    learned.thresholds.fill_(0.25)
    assert learned(X).tolist() == [-0.75, -0.75, 0.75, 0.75]


@pytest.mark.parametrize(("step", "interval"), [(0, None), (10, 0.3 * (-1.5 - 2 * 1.5 + 3 * 1.5 + 4 * 1.5))])
def test_gradients_by_hand(step: int, interval: float | None) -> None:
    made, x = quant(step=step), X.clone().requires_grad_()  # from step 10 on alpha is .3: cells 0, 0, 2 or 3, 3
    (made(x) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 2, 3, 4]
    got = None if made.interval.grad is None else made.interval.grad.item()
    assert got == (None if interval is None else pytest.approx(interval, rel=1e-5))


def test_the_grid_shrinks_in_ten_stairs_of_a_cosine() -> None:
    seen = [quant(steps=600, step=step).alpha.item() for step in (0, 9, 10, 19, 50, 90, 100, 500)]
    assert seen == pytest.approx([1, 1, 0.98287, 0.98287, 0.65, 0.31713, 0.3, 0.3], abs=1e-5)
    assert [quant(steps=600, step=s).phase for s in (0, 99, 100, 299, 300)] == [1, 1, 2, 2, 3]


def test_the_term_of_the_third_phase_by_hand() -> None:
    layer = nn.Linear(4, 1, bias=False)
    layer.weight.data = X[None].clone()
    model, quantizer = nn.Sequential(layer), AOQ(QuantSpec(2, granularity="per_tensor", rules=()), steps=60, pull=0.1)
    quantizer.prepare(model, torch.ones(1, 4))
    _, site = next(sites_of(model))
    site.weight_quant.thresholds.fill_(1.0)
    quantizer.on_step(model, 29)
    assert quantizer.penalty(model) is None
    quantizer.on_step(model, 30)
    term = quantizer.penalty(model)
    assert term is not None
    centres = torch.tensor(
        [-0.45, -0.45, 0.45, 0.45]
    )  # alpha .3; .3 lies on the threshold and belongs to the cell above
    away = X - centres
    assert term.item() == pytest.approx(0.1 * away.norm().item(), rel=1e-5)
    term.backward()
    assert site.latent.grad.flatten().tolist() == pytest.approx((0.1 * away / away.norm()).tolist(), rel=1e-5)


def test_the_audit_counts_by_phase_which_weights_change_their_cell() -> None:
    layer = nn.Linear(4, 1, bias=False)
    layer.weight.data = torch.tensor([[-1.0, -1.0, 1.0, 1.0]]) * 0.75**0.5  # deviation 1
    model, quantizer = nn.Sequential(layer), AOQ(QuantSpec(2, granularity="per_tensor", rules=()), steps=12)
    quantizer.prepare(model, torch.ones(1, 4))
    _, site = next(sites_of(model))
    steps = [
        [-0.6, -0.6, -0.6, -2.0],  # phase 1, thresholds -.65, 0 and .65: the last two cross
        [-0.6, -0.6, -0.6, -2.0],  # the same weights, thresholds -.3, 0 and .3: the first three cross
        [-0.6, -0.6, -0.1, -2.0],  # phase 2: one crosses
        *[[-0.6, -0.6, -0.1, -2.0]] * 3,
        [0.6, 0.6, 0.6, 0.6],  # phase 3: all cross
        *[[0.6, 0.6, 0.6, 0.6]] * 3,
    ]
    assert quantizer.audit(model).sites["0"].own == {}
    for number, weights in enumerate(steps, 1):
        site.latent.data = torch.tensor([weights])
        quantizer.on_step(model, number)
    assert quantizer.audit(model).sites["0"].own == {
        "crossings_1": pytest.approx((2 / 4 + 3 / 4) / 2),
        "crossings_2": pytest.approx(1 / 4 / 4),
        "crossings_3": pytest.approx(1 / 4),
    }


def test_a_resumed_training_is_in_its_phase() -> None:
    made = quant(step=31)
    other = quant()
    other.load_state_dict(made.state_dict())
    assert other.phase == 3
    assert torch.equal(other(X), made(X))


def test_what_it_refuses() -> None:
    spec = QuantSpec(3, rules=())
    assert "AOQ is defined for 2 bits" in AOQ(spec).supports(nn.Sequential(nn.Linear(2, 2)), spec).reason
    with pytest.raises(ConfigError, match="steps must be at least 6"):
        AOQ(steps=5)
