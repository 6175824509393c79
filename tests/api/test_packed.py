"""quantdg.load_packed: the saved model and the loaded one compute the same, or it is an error."""

import copy
import pickle

import pytest
import torch
from torch import nn

import quantdg
from quantdg.choice import quantizer_names
from quantdg.errors import MissingPackageError, QuantizerError, RecordError

BATCHES = [torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(i)) for i in range(3)]


def net(width=4):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, 2)
    )


def trained(name, **settings):
    model = net()
    quantized = quantdg.quantize(model, name, calibration=BATCHES, **settings)
    groups = [{"params": [*quantized.model.parameters()]}]
    optimizer = torch.optim.SGD(groups, lr=0.01)
    for x in BATCHES:
        optimizer.zero_grad()
        loss = model(x).square().mean() + quantized.penalty()
        quantized.on_loss(loss)
        loss.backward()
        optimizer.step()
        quantized.after_step()
    if quantized.quantizer.post_training:
        quantized.calibrate(BATCHES)
    model.eval()
    return quantized


@pytest.mark.parametrize("name", [n for n in quantizer_names() if n != "pact"])
def test_logits_are_equal_to_the_bit(name, tmp_path):
    settings = {"iterations": 2} if name in {"adaround", "brecq", "zaq", "zsaq"} else {}
    try:
        quantized = trained(name, **settings)
    except MissingPackageError as error:
        pytest.skip(str(error))
    size = quantized.save(tmp_path / "m.safetensors")
    assert size == (tmp_path / "m.safetensors").stat().st_size
    fresh = net(4)
    with torch.no_grad():
        for p in fresh.parameters():
            p.zero_()
    loaded = quantdg.load_packed(tmp_path / "m.safetensors", fresh)
    assert loaded is fresh
    assert type(loaded[0]) is nn.Conv2d
    assert not loaded[0]._forward_pre_hooks
    assert torch.equal(loaded.eval()(BATCHES[0]), quantized.model(BATCHES[0]))


@pytest.mark.parametrize("name", ["pact", "lsq"])
def test_quantized_inputs_are_rounded_by_the_loaded_model_too(name, tmp_path):
    quantized = trained(name, bits=4, act_bits=3)
    quantized.save(tmp_path / "m.safetensors")
    loaded = quantdg.load_packed(tmp_path / "m.safetensors", net()).eval()
    expected = quantized.model(BATCHES[0])
    assert torch.equal(loaded(BATCHES[0]), expected)
    assert loaded.state_dict().keys() == net().state_dict().keys()
    for again in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        assert torch.equal(again(BATCHES[0]), expected)
    bare = net().eval()
    bare.load_state_dict(loaded.state_dict())
    assert not torch.equal(bare(BATCHES[0]), expected)


def test_another_file_takes_its_own_input_grids_along(tmp_path):
    pact, lsq = trained("pact", act_bits=3), trained("lsq", bits=7)
    pact.save(tmp_path / "pact.safetensors")
    lsq.save(tmp_path / "lsq.safetensors")
    model = net().eval()
    for name, quantized in (("pact", pact), ("pact", pact), ("lsq", lsq)):
        quantdg.load_packed(tmp_path / f"{name}.safetensors", model)
        assert torch.equal(model(BATCHES[0]), quantized.model(BATCHES[0]))


def test_a_model_that_does_not_fit_is_refused_and_unchanged(tmp_path):
    path = tmp_path / "m.safetensors"
    trained("lsq").save(path)
    deeper = nn.Sequential(*net(), nn.Linear(2, 2))
    shallower = nn.Sequential(*[*net()][:4])
    for model, message in (
        (deeper, "'5.bias' is not in the file"),
        (shallower, "has no '4.bias'"),
        (net(5), "shape"),
        (net().double(), "torch.float64"),
        (trained("lsq").model, "'0' is quantized; build the model anew"),
    ):
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(RecordError, match=message):
            quantdg.load_packed(path, model)
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(RecordError, match="not a packed model"):
        quantdg.load_packed(tmp_path / "none.safetensors", net())


def test_shared_weights_of_one_value_only(tmp_path):
    def tied():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 108, bias=False), nn.ReLU(), nn.Linear(108, 108, bias=False))
        model[3].weight = model[1].weight
        return model

    both = quantdg.quantize(tied(), "dorefa", calibration=BATCHES)
    both.save(tmp_path / "both.safetensors")
    loaded = quantdg.load_packed(tmp_path / "both.safetensors", tied())
    assert torch.equal(loaded(BATCHES[0]), both.model.eval()(BATCHES[0]))
    with pytest.raises(QuantizerError, match=r"1 \(its weight is also 3\.weight, which is not quantized"):
        quantdg.quantize(tied(), "dorefa", skip="3", calibration=BATCHES)
    untied = tied()
    untied[3].weight = nn.Parameter(-untied[1].weight)
    quantdg.quantize(untied, "dorefa", calibration=BATCHES).save(tmp_path / "two.safetensors")
    with pytest.raises(RecordError, match="untie it"):
        quantdg.load_packed(tmp_path / "two.safetensors", tied())
