"""quantdg.quantize: any model, an optimizer that is there already, clear refusals."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from torch import nn

import quantdg
from quantdg.errors import ConfigError, MissingPackageError, NoMatchError, QuantizerError, UnknownNameError
from quantdg.quantizers import INQ, LSQ, PACT, Float, QuantSpec
from quantdg.quantizers.insertion import latent_parameter

BATCHES = [torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(i)) for i in range(3)]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


def train(quantized, optimizer, steps=3):
    for step in range(steps):
        loss = quantized.model(BATCHES[step % 3]).square().mean() + quantized.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        quantized.after_step()


def test_the_model_is_quantized_in_place_and_its_optimizer_goes_on():
    model = net()
    before = dict(model.named_parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    quantized = quantdg.quantize(model, "lsq", bits=4, calibration=BATCHES)
    after = dict(model.named_parameters())
    assert quantized.model is model
    assert all(after[name] is p for name, p in before.items())
    for group in quantized.param_groups(0.1):
        optimizer.add_param_group(group)
    start = {name: p.detach().clone() for name, p in after.items()}
    train(quantized, optimizer)
    assert quantized.steps == 3
    groups = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in groups} == {id(p) for p in after.values()}
    assert len(groups) == len(after) == len(before) + len(quantized.plan.parameters)
    still = {name for name, p in start.items() if torch.equal(after[name], p)}
    assert still <= {"0.bias"}  # BatchNorm takes the mean away, so this one has no gradient


def test_the_learning_rate_of_the_added_parameters():
    (group,) = quantdg.quantize(net(), "lsq", calibration=BATCHES, lr_ratio=0.5).param_groups(0.2)
    assert group["lr"] == pytest.approx(0.1)


def test_weights_take_at_most_two_to_the_bits_values():
    quantized = quantdg.quantize(net(), "lsq", bits=2, granularity="per_tensor", calibration=BATCHES)
    audit = quantized.audit()
    assert list(audit.index) == ["0", "4"]
    assert audit["levels_used"].max() <= 4
    assert (audit["noise_to_signal"] > 0).all()
    assert audit["weight_moved"].tolist() == [0, 0]
    train(quantized, torch.optim.SGD(quantized.model.parameters(), lr=0.1))
    assert (quantized.audit()["weight_moved"] > 0).all()
    weight = quantized.export()["4"].weight
    assert weight.bits == 2
    assert weight.scale.shape == ()


def test_skip_and_rules():
    quantized = quantdg.quantize(net(), "lsq", bits=4, skip="4", calibration=BATCHES)
    assert [site.name for site in quantized.plan.sites] == ["0"]
    assert [name for name, _ in quantized.skipped] == ["4"]
    mixed = quantdg.quantize(net(), "lsq", bits=4, rules=[quantdg.Rule("4", weight_bits=8)], calibration=BATCHES)
    assert [site.weight_bits for site in mixed.plan.sites] == [4, 8]


def test_name_class_and_instance_do_the_same():
    made = [
        quantdg.quantize(net(), "lsq", bits=3, calibration=BATCHES),
        quantdg.quantize(net(), LSQ, bits=3, calibration=BATCHES),
        quantdg.quantize(net(), LSQ(QuantSpec(weight_bits=3, rules=())), calibration=BATCHES),
    ]
    codes = [q.export()["0"].weight.codes for q in made]
    assert torch.equal(codes[0], codes[1])
    assert torch.equal(codes[0], codes[2])


def test_what_is_not_given_is_as_in_the_method_s_file():
    for pact in ("pact", PACT):
        quantized = quantdg.quantize(net(), pact, calibration=BATCHES)
        assert quantized.quantizer.spec == QuantSpec(7, 8, rules=())
    assert repr(quantized) == "<QuantizedModel pact W7A8: 2 layers quantized, 0 steps>"
    assert quantized.penalty() > 0
    assert quantdg.quantize(net(), "lsq", calibration=BATCHES).penalty() == 0
    paper = quantdg.quantize(net(), "nni_lsq_paper", calibration=BATCHES)
    shipped = quantdg.quantize(net(), "nni_lsq", calibration=BATCHES)
    assert not torch.equal(paper.export()["0"].weight.scale, shipped.export()["0"].weight.scale)


def test_float_is_a_reference_without_bits():
    model = net()
    expected = model.eval()(BATCHES[0])
    quantized = quantdg.quantize(model, "float", calibration=BATCHES)
    assert torch.equal(model(BATCHES[0]), expected)
    assert quantized.audit().empty
    assert quantized.param_groups(0.1) == []
    for chosen in ("float", Float):
        with pytest.raises(ConfigError, match="quantizes nothing, got bits=7"):
            quantdg.quantize(net(), chosen, bits=7, calibration=BATCHES)


def test_schedules_follow_the_counted_steps():
    model = net()
    quantized = quantdg.quantize(model, INQ, calibration=BATCHES, every=1, portions=[0.5, 1.0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(quantized, optimizer, 4)
    held = latent_parameter(model, "0.weight").detach().clone()
    train(quantized, optimizer, 1)
    assert torch.equal(latent_parameter(model, "0.weight"), held)


def test_calibration_takes_what_a_loader_yields():
    pairs = [(x, torch.zeros(8)) for x in BATCHES]
    grids = [
        quantdg.quantize(net(), "lsq", act_bits=8, calibration=given).export()["4"].act
        for given in (BATCHES, iter(pairs), BATCHES[0])
    ]
    assert grids[0] == grids[1] != grids[2]


def test_averaging_is_followed_by_the_method_s_policy():
    quantized = quantdg.quantize(net(), "torch_ao", calibration=BATCHES)
    assert quantized.after_average([(x, None) for x in BATCHES]) == "recalibrate"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"quantizer": "lsqq"}, UnknownNameError, "did you mean 'lsq'"),
        ({"quantizer": "nni"}, UnknownNameError, "no quantizer named 'nni'"),
        ({"quantizer": nn.Linear}, ConfigError, "a subclass of quantdg.quantizers.Quantizer"),
        ({"bits": 9}, ConfigError, "bits must be a whole number from 2 to 8, got 9"),
        ({"act_bits": 1}, ConfigError, "act_bits must be a whole number from 2 to 8, got 1"),
        ({"granularity": "per_row"}, ConfigError, "per_row"),
        ({"lr_ration": 1.0}, UnknownNameError, "did you mean 'lr_ratio'"),
        ({"seed": "a"}, ConfigError, "seed must be a whole number"),
        ({"skip": "head*"}, NoMatchError, "'head\\*' matches none"),
        ({"skip": "*"}, QuantizerError, r"every one is skipped: 0 \(skipped by a rule of the spec\), 4"),
        ({"quantizer": "pact", "bits": 5}, QuantizerError, "SAWB has coefficients"),
        ({"quantizer": LSQ(), "bits": 4}, ConfigError, "an instance has its settings, got bits"),
        ({"quantizer": LSQ(), "lr_ratio": 1.0}, ConfigError, "got lr_ratio as well"),
        ({"calibration": []}, QuantizerError, "at least one batch, got none"),
        ({"calibration": [{"x": BATCHES[0]}]}, QuantizerError, "got dict"),
    ],
)
def test_refusals_leave_the_model_as_it_was(given, error, message):
    model = net()
    before = [type(m) for m in model.modules()]
    with pytest.raises(error, match=message):
        quantdg.quantize(model, **{"quantizer": "lsq", "calibration": BATCHES, **given})
    assert [type(m) for m in model.modules()] == before


def test_models_that_cannot_be_quantized():
    with pytest.raises(QuantizerError, match="the model has none of Conv1d"):
        quantdg.quantize(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(108)), "lsq", calibration=BATCHES)
    with pytest.raises(QuantizerError, match=r"0: weights must be float32 to be quantized, this one is torch\.float64"):
        quantdg.quantize(net().double(), "lsq", calibration=BATCHES)
    model = net()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        quantdg.quantize(model, "lsq", calibration=[torch.randn(2, 3, 9, 9)])
    assert type(model[0]) is nn.Conv2d
    quantdg.quantize(model, "lsq", calibration=BATCHES)
    with pytest.raises(QuantizerError, match="already quantized"):
        quantdg.quantize(model, "lsq", calibration=BATCHES)


def test_a_layer_that_does_not_act_is_told_with_the_reason():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.used(input=x) if x.dim() == 3 else self.used(x)

    x = torch.randn(3, 4)
    quantized = quantdg.quantize(Model(), "lsq", bits=4, act_bits=4, calibration=x)
    assert [site.name for site in quantized.plan.sites] == ["used"]
    assert quantized.skipped == (("unused", "no evaluation forward reads this weight"),)
    assert torch.equal(quantized.model.eval()(x[None])[0], quantized.model(x))  # by keyword, by position
    idle = Model()
    with pytest.raises(QuantizerError, match="but none is, not 'unused'"):
        quantdg.quantize(idle, "lsq", skip="used", calibration=x)
    assert type(idle.unused) is nn.Linear
    normed = nn.Sequential(nn.Linear(4, 4), nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))
    quantized = quantdg.quantize(normed, "lsq", calibration=x)
    assert quantized.skipped == (("1", "its weight is no Parameter but computed, as by weight_norm"),)


def test_torchs_transformer_layers_evaluate_as_they_train():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    x = torch.randn(2, 3, 8)
    quantized = quantdg.quantize(model, "lsq", bits=4, act_bits=4, calibration=x)
    own = ["self_attn.in_proj_weight", "self_attn.out_proj"]
    assert [s.name for s in quantized.plan.sites] == [*own, "linear1", "linear2"]
    assert [layer.name for layer in quantized.plan.float_inputs] == own
    with torch.no_grad():
        assert torch.allclose(model.eval()(x), model.train()(x), atol=1e-5)


def test_training_goes_on_from_a_checkpoint():
    settings = {"bits": 4, "act_bits": 8, "calibration": BATCHES}
    models, made = [net(), net()], []
    for model in models:
        quantized = quantdg.quantize(model, "lsq", **settings)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        made.append((quantized, optimizer))
    train(*made[0], 2)
    models[1].load_state_dict(models[0].state_dict())
    made[1][0].steps = made[0][0].steps
    for quantized, optimizer in made:
        train(quantized, optimizer, 2)
        assert quantized.steps == 4
    assert all(torch.equal(a, b) for a, b in zip(*(m.state_dict().values() for m in models), strict=True))


def test_a_quantizer_of_another_package_is_a_name_like_ours(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples" / "ternary_plugin"))
    entry = EntryPoint("ternary", "quantdg_ternary:Ternary", "quantdg.quantizers")
    monkeypatch.setattr("quantdg.bench.experiment.offers.strangers", lambda group: {entry.name: entry})
    quantized = quantdg.quantize(net(), "ternary", bits=2, calibration=BATCHES)
    assert quantized.audit()["levels_used"].tolist() == [3, 3]
    with pytest.raises(UnknownNameError, match="did you mean 'ternary'"):
        quantdg.quantize(net(), "ternery", calibration=BATCHES)


def test_an_instance_quantizes_one_model():
    method = LSQ(QuantSpec(rules=()))
    quantdg.quantize(net(), method, calibration=BATCHES)
    with pytest.raises(ConfigError, match="quantizes one model"):
        quantdg.quantize(net(), method, calibration=BATCHES)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("quantdg.quantizers.nni_qat.NNIQAT.missing", classmethod(lambda cls: "pip install it"))
    with pytest.raises(MissingPackageError, match="pip install it"):
        quantdg.quantize(net(), "nni_qat", calibration=BATCHES)
