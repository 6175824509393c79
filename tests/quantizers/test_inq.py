"""INQ against levels, portions and held values worked out by hand."""

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError
from quantdg.quantizers.inq import INQ, INQQuant, powers_of_two
from quantdg.quantizers.insertion import latent_parameter
from quantdg.quantizers.spec import QuantSpec


def test_the_code_book():
    assert powers_of_two(2).tolist() == [-1, 0, 1]
    assert powers_of_two(4).tolist() == [-1, -0.5, -0.25, -0.125, 0, 0.125, 0.25, 0.5, 1]
    assert len(powers_of_two(7)) == 65


@pytest.mark.parametrize(("largest", "top"), [(1.0, 1.0), (1.49, 1.0), (1.5, 2.0), (0.74, 0.5), (0.75, 1.0)])
def test_the_top_is_the_power_of_two_whose_range_encloses_the_largest_weight(largest, top):
    assert INQQuant(torch.tensor([0.1, -largest]), 4, per_channel=False).top.item() == top


def test_weights_go_to_the_level_between_whose_neighbours_midpoints_they_lie():
    quant = INQQuant(torch.tensor([1.2]), 3, per_channel=False).eval()  # levels 0, .5, 1 of either sign
    w = torch.tensor([1.2, 0.76, 0.74, 0.26, 0.24, -0.24, -0.26, -0.8])
    assert quant(w).tolist() == [1, 1, 0.5, 0.5, 0, 0, -0.5, -1]


def test_a_weight_in_the_middle_goes_outward_on_either_side():
    quant = INQQuant(torch.tensor([1.2]), 3, per_channel=False).eval()  # midpoints .25 and .75
    assert quant(torch.tensor([0.75, -0.75, 0.25, -0.25, 0.0])).tolist() == [1, -1, 0.5, -0.5, 0]


def test_the_noise_of_gaussian_weights_is_a_fifth_at_any_width():
    w = 0.02 * torch.randn(64, 4096, generator=torch.Generator().manual_seed(0))
    for bits, noise in ((8, 0.197), (7, 0.197), (5, 0.197)):
        error = INQQuant(w, bits, per_channel=True).eval()(w) - w
        assert (error.std() / w.std()).item() == pytest.approx(noise, abs=0.02)


def prepared(**options):
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    model[0].weight.data = torch.tensor([[0.9, -0.4, 0.3, 0.1]])
    quantizer = INQ(QuantSpec(4, rules=()), every=2, **options)
    quantizer.prepare(model, torch.ones(1, 4))
    return model.train(), quantizer


def test_the_largest_half_is_held_and_the_rest_trains_until_its_turn():
    model, quantizer = prepared(portions=(0.5, 0.75, 1.0))
    weight, optimizer = latent_parameter(model, "0.weight"), torch.optim.Adam(model.parameters(), lr=0.01)
    held = []
    for step in range(1, 6):
        optimizer.zero_grad()
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        quantizer.on_step(model, step)
        held.append(torch.isfinite(model[0].weight_quant.kept).sum().item())
    assert held == [2, 3, 3, 4, 4]
    assert weight[0, :2].tolist() == [1.0, -0.5]
    # 0.3 went to 0.28 in two steps of 0.01 and was held at .25; 0.1 trained two steps more: 0.06, below the midpoint
    assert weight[0, 2:].tolist() == [0.25, 0.0]
    assert torch.equal(model[0].weight_quant.eval()(weight), weight)


def test_held_weights_get_no_gradient_and_evaluation_quantizes_all():
    model, _ = prepared()
    model(torch.ones(1, 4)).sum().backward()
    assert latent_parameter(model, "0.weight").grad.tolist() == [[0, 0, 1, 1]]
    model.eval()
    assert model(torch.ones(1, 4)).item() == pytest.approx(1 - 0.5 + 0.25 + 0.125)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"portions": (0.5, 0.9)}, "portions must rise from above 0 to 1"),
        ({"portions": (0.5, 0.5, 1)}, "portions must rise"),
        ({"portions": ()}, "portions must rise"),
        ({"every": 0}, "every must be at least 1, got 0"),
        ({"scale_factor": 2.0}, "cannot be multiplied"),
    ],
)
def test_what_it_refuses(options, message):
    with pytest.raises(ConfigError, match=message):
        INQ(**options)
