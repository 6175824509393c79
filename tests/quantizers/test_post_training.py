"""Post-training methods: values by hand, torch's own unfold, random layers against rounding to the nearest."""

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from quantdg.bench.experiment.load import load
from quantdg.core.errors import ConfigError, QuantizerError
from quantdg.quantizers.contract.toy_net import ToyNet, calibration, float_net, images, logits
from quantdg.quantizers.gptq import GPTQ, round_columns
from quantdg.quantizers.layer_wise import columns, damped, hessian_of, inverse, layer_error
from quantdg.quantizers.mse import MSE
from quantdg.quantizers.obc import OBC, round_greedily
from quantdg.quantizers.post_training import PostTrainingQuant, Rows
from quantdg.quantizers.round_to_nearest import RoundToNearest
from quantdg.quantizers.spec import IntegerRange, QuantSpec, Rule

DOC = Path(__file__).parents[2] / "docs" / "quantizers.md"
LINES = DOC.read_text(encoding="utf-8").partition("## Post-training")[2].partition("\n## ")[0].splitlines()
ROWS = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in LINES if line.startswith("| `")]
H = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]], dtype=torch.float64)


def rows_of(weight, scale=1.0, codes=(-4, 3)):
    weight = torch.as_tensor(weight, dtype=torch.float64).reshape(1, -1, len(weight[0]))
    return Rows(weight, torch.full_like(weight, scale), torch.zeros_like(weight), IntegerRange(*codes))


def random_layer(seed, bits=3, channels=8, size=24):
    """A layer whose inputs are correlated, and its grid by largest weight."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(1, channels, size, generator=generator, dtype=torch.float64)
    mix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    x = mix @ torch.randn(size, 200, generator=generator, dtype=torch.float64)
    scale = 2 * weight.abs().amax(2, keepdim=True) / (2**bits - 1)
    rows = Rows(
        weight, scale.expand_as(weight), torch.zeros_like(weight), IntegerRange(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    return rows, (2 / 200 * x @ x.T)[None]


@pytest.mark.parametrize(
    ("w", "codes", "error", "nearest"), [((0.6, 0.55), [1, 0], 0.485, 1.085), ((0.6, 0.6), [1, 0], 0.56, 0.96)]
)
def test_gptq_and_obc_by_hand(w, codes, error, nearest):
    rows = rows_of([w])
    assert torch.allclose(
        torch.linalg.cholesky(inverse(H)).mT[0].flatten(), torch.tensor([0.8164966, -0.4082483, 0, 0.7071068]).double()
    )
    assert round_columns(rows, H).flatten().tolist() == codes
    for found in (round_columns(rows, H), round_greedily(rows.at(0), inverse(H)[0])):
        assert layer_error(rows, found.reshape(1, 1, 2), H) == pytest.approx(error)
    assert layer_error(rows, rows.nearest(), H) == pytest.approx(nearest)


def test_the_layer_errors_of_gptq_sum_to_the_error_of_the_codes():
    rows, h = random_layer(0)
    upper, weight, total = torch.linalg.cholesky(torch.linalg.inv(h[0])).mT, rows.weight[0].clone(), 0.0
    for i in range(weight.shape[1]):
        error = (
            weight[:, i] - rows.at((0, slice(None), i)).value(rows.at((0, slice(None), i)).nearest(weight[:, i]))
        ) / upper[i, i]
        weight[:, i:] -= error[:, None] * upper[i, i:]
        total += float(error.square().sum())
    assert layer_error(rows, round_columns(rows, h), h) == pytest.approx(total)


def test_blocks_of_columns_change_no_code():
    rows, h = random_layer(1)
    whole = round_columns(rows, h, block=1000)
    assert all(torch.equal(round_columns(rows, h, block=block), whole) for block in (1, 5, 24))


def test_obc_rounds_what_lies_beyond_the_grid_first_and_then_the_cheapest():
    rows = rows_of([(0.4, 9.0, 0.1)])
    h = torch.eye(3, dtype=torch.float64)
    h[0, 1] = h[1, 0] = 0.5
    codes = round_greedily(rows.at(0), torch.linalg.inv(h))
    assert codes.tolist() == [
        [3, 3, 0]
    ]  # 9 is clipped to 3, which pushes .4 to 3.4; cheapest first would give [0, 3, 0]


def test_obc_on_a_row_is_the_greedy_search_written_out():
    rows, h = random_layer(3, channels=3, size=6)
    for row in range(3):
        part = rows.at((0, slice(row, row + 1)))
        weight, left, codes = part.weight[0].clone(), list(range(6)), [0.0] * 6
        while left:
            inverted = torch.linalg.inv(h[0][left][:, left])
            scale = part.scale[0, 0]
            nearest = (weight[left] / scale).round().clamp(*part.codes)
            off = weight[left] - nearest * scale
            beyond = off.abs() > scale / 2 * (1 + 1e-9)
            cost = (
                torch.where(beyond, -off.abs(), off.square() / inverted.diagonal())
                if beyond.any()
                else off.square() / inverted.diagonal()
            )
            j = int(cost.argmin())
            codes[left[j]] = float(nearest[j])
            weight[left] -= off[j] / inverted[j, j] * inverted[j]
            del left[j]
        assert round_greedily(part, torch.linalg.inv(h[0])).tolist() == [codes]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("method", [GPTQ, OBC])
def test_random_layers_come_out_better_than_rounding_to_the_nearest(method, bits):
    ratios = []
    for seed in range(20):
        rows, h = random_layer(seed, bits)
        codes = method(QuantSpec(bits)).round_rows(rows, h).codes
        ratios.append(layer_error(rows, codes, h) / layer_error(rows, rows.nearest(), h))
    assert sum(ratios) / 20 < 0.9
    assert sum(ratio <= 1 for ratio in ratios) > 18


def test_columns_without_input_round_to_the_nearest_and_damping_is_said():
    rows, h = random_layer(4)
    h[:, 5] = 0
    h[:, :, 5] = 0
    for method in (GPTQ(), GPTQ(order="activation"), OBC()):
        assert torch.equal(method.round_rows(rows, h).codes[:, :, 5], rows.nearest()[:, :, 5])
    assert damped(h, 0.0)[0, 5, 5] == 1
    with pytest.raises(QuantizerError, match=r"write for example damping=0\.01"):
        inverse(torch.ones(1, 2, 2, dtype=torch.float64))


def test_the_order_of_activations_is_that_of_sorted_columns():
    rows, h = random_layer(5)
    first = h[0].diagonal().argsort(descending=True)
    by_hand = round_columns(rows.at((slice(None), slice(None), first)), damped(h, 0.01)[:, first][:, :, first])
    assert torch.equal(GPTQ(order="activation").round_rows(rows, h).codes[:, :, first], by_hand)


@pytest.mark.parametrize(
    "settings", [{}, {"padding": 2, "stride": 2}, {"dilation": 2, "groups": 2}, {"groups": 6, "padding": 1}]
)
def test_columns_of_a_convolution_are_those_of_unfold(settings):
    layer = nn.Conv2d(6, 12, 3, **settings)
    x, groups = torch.randn(2, 6, 9, 9), layer.groups
    unfolded = F.unfold(x.double(), 3, layer.dilation, layer.padding, layer.stride)
    expected = unfolded.reshape(2, groups, -1, unfolded.shape[2]).permute(1, 2, 0, 3).flatten(2)
    assert torch.equal(columns(layer, x), expected)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 2, 5, 5)),
        (nn.Conv1d(4, 6, 2, groups=2), (2, 4, 7)),
        (nn.Linear(5, 3), (2, 4, 5)),
    ],
)
def test_rows_times_columns_are_the_layers_own_outputs(layer, shape):
    x = torch.randn(shape)
    found = columns(layer, x)
    out = (layer.weight.detach().double().reshape(len(found), -1, found.shape[1]) @ found).reshape(
        len(layer.weight), -1
    )
    own = layer.double()(x.double()) - layer.bias.reshape(-1, *[1] * (x.dim() - 2 if layer.weight.dim() > 2 else 0))
    own = own.movedim(1, 0) if layer.weight.dim() > 2 else own.movedim(-1, 0)
    assert torch.allclose(out, own.flatten(1))


def test_the_hessian_is_that_of_numpy_sums_and_does_not_depend_on_the_order_of_batches():
    net = float_net().eval()
    RoundToNearest(QuantSpec(8)).prepare(net, images(0)[0])
    batches = calibration()
    with torch.no_grad():
        found = [
            hessian_of(net, [net.featurizer[0]], order) for order in (batches, [batches[i].flip(0) for i in (2, 0, 1)])
        ]
        x = F.unfold(torch.cat(batches).double(), 3, padding=1).permute(1, 0, 2).flatten(1).numpy()
    assert torch.allclose(*found, rtol=1e-12, atol=1e-12)
    assert torch.allclose(found[0][0], torch.from_numpy(2 / x.shape[1] * x @ x.T))


@pytest.mark.parametrize("method", [GPTQ, OBC])
def test_permuted_calibration_gives_the_same_codes(method):
    spec = QuantSpec(3, rules=(Rule("classifier*", skip=True), Rule("featurizer.[36]", skip=True)))
    codes = []
    for order in itertools.islice(itertools.permutations(calibration()), 2):
        net, quantizer = float_net(), method(spec)
        quantizer.prepare(net, order[0])
        quantizer.calibrate(net, order)
        codes.append(quantizer.export(net)["featurizer.0"].weight.codes)
        (site,) = quantizer.audit(net).sites.values()
        assert site.error_ratio < 1
        assert site.undecided == 0
    assert torch.equal(*codes)


def test_rounding_to_the_nearest_is_rounding_on_the_grid_of_mse():
    ours, theirs = float_net(), float_net()
    for net, quantizer in ((ours, RoundToNearest(QuantSpec(3))), (theirs, MSE(QuantSpec(3)))):
        quantizer.prepare(net, images(0)[0])
        quantizer.calibrate(net, calibration())
    assert torch.equal(logits(ours), logits(theirs))
    assert {quant.error_ratio.item() for quant in ours.modules() if isinstance(quant, PostTrainingQuant)} == {1.0}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_errors_printed_are_the_errors_measured(row):
    name, *printed = row
    (quantizer,) = load([f"quantizer=[{name}]"]).quantizers
    method = quantizer.create(0)
    if name == "adaround":
        method.iterations, method.lr = 200, 0.05
    for bits, expected in zip(range(8, 1, -1), printed, strict=True):
        ratios = []
        for seed in range(2):
            rows, h = random_layer(seed, bits, channels=8, size=48)
            ratios.append(layer_error(rows, method.round_rows(rows, h).codes, h) / layer_error(rows, rows.nearest(), h))
        assert sum(ratios) / 2 == pytest.approx(float(expected), abs=0.011), (bits, sum(ratios) / 2)


def test_every_method_that_goes_layer_by_layer_is_in_the_table():
    files = (Path(__file__).parents[2] / "quantizers").glob("*.py")
    assert {row[0] for row in ROWS} == {f.stem for f in files if "LayerWise):" in f.read_text(encoding="utf-8")}


class Grouped(ToyNet):
    def __init__(self):
        super().__init__()
        self.featurizer[3] = nn.Conv2d(16, 16, 3, padding=1, groups=4)


@pytest.mark.parametrize("bits", [2, 5, 8])
@pytest.mark.parametrize("settings", [{"granularity": "per_tensor"}, {"symmetric": False}])
def test_any_width_and_grid_with_grouped_convolutions_makes_the_outputs_better(bits, settings):
    net, quantizer = Grouped(), GPTQ(QuantSpec(bits, 8, **settings))
    quantizer.prepare(net, images(0)[0])
    quantizer.calibrate(net, calibration())
    assert sum(site.error_ratio for site in quantizer.audit(net).sites.values()) < 3 * 0.97
    assert net.featurizer[3].weight_quant.codes.shape == (16, 4, 3, 3)


def test_what_cannot_be_asked_for():
    with pytest.raises(ConfigError, match="base must be one of mse, min_max, percentile, got 'lsq'"):
        GPTQ(base="lsq")
    with pytest.raises(ConfigError, match="averaged must be recalibrate"):
        RoundToNearest(averaged="keep")
    with pytest.raises(ConfigError, match="damping must be at least 0"):
        OBC(damping=-1)
    attention = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 8))
    support = GPTQ().supports(attention, QuantSpec(rules=()))
    assert not support.ok
    assert "an attention multiplies by in_proj_weight itself" in support.reason
    assert RoundToNearest().supports(attention, QuantSpec(rules=())).ok
