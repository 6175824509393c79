"""Training steps in TF32 and bf16: what is lowered, what stays float32, and that the model measured is the one stored."""

import numpy as np
import pytest
import torch
from torch import nn

from quantdg.bench.cells.execute import open_data
from quantdg.bench.cells.job import Job
from quantdg.bench.packed.file import read_model
from quantdg.bench.packed.twin import Twin
from quantdg.bench.results.record import unpack_bits
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session
from quantdg.bench.training import float_phase, precision
from quantdg.core.cli import main
from quantdg.core.errors import ConfigError
from quantdg.quantizers.fake_quant import fake_quants

PRODUCTS = (torch.backends.cuda.matmul, torch.backends.cudnn)


def flags():
    return [products.allow_tf32 for products in PRODUCTS]


@pytest.fixture
def network(cell):
    chosen, data = cell("quantizer=[lsq]")
    return data.initial_network(chosen.group.model).eval()


def test_bf16_is_inside_the_network_and_during_the_step_only(network):
    seen, x = [], torch.rand(4, 3, 16, 16)
    network.featurizer[0].register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    before = network(x)
    with precision.Computing(network, "bf16")():
        features = network.featurizer(x)
        logits = network.classifier(features)
        assert (features @ features.T).dtype == torch.float32
        with pytest.raises(RuntimeError):
            network(x[:, :1])
        assert not torch.is_autocast_enabled("cpu")
    assert seen == [torch.float32, torch.bfloat16]
    assert (features.dtype, logits.dtype) == (torch.float32, torch.float32)
    assert not torch.equal(before, logits)
    assert torch.allclose(before, logits, atol=0.05 * float(before.detach().abs().max()))
    assert torch.equal(network(x), before)


def test_tf32_is_a_flag_of_the_step_only(network):
    precision.forbid_tf32()
    with precision.Computing(network, "fp32")():
        assert flags() == [False, False]
    with pytest.raises(ZeroDivisionError), precision.Computing(network, "tf32")():
        assert flags() == [True, True]
        raise ZeroDivisionError
    assert flags() == [False, False]


def test_every_quantizer_steps_in_bf16_with_float32_scales(prepared, quantizer_name):
    """Its fake quantizers see and give float32, the gradients of its parameters are float32 and finite."""
    algorithm, quantizer, batches = prepared(quantizer_name)
    types = []
    for quant in fake_quants(algorithm.network):
        quant.register_forward_hook(lambda module, args, out: types.append((args[0].dtype, out.dtype)))
    for step in (1, 2):
        with precision.Computing(algorithm.network, "bf16")():
            terms = algorithm.update(batches)
        quantizer.on_step(algorithm.network, step)
        assert np.isfinite(float(terms["loss"]))
    assert set(types) <= {(torch.float32, torch.float32)}
    assert bool(types) == bool(fake_quants(algorithm.network))
    gradients = {n: p.grad for n, p in algorithm.named_parameters() if p.grad is not None}
    assert gradients
    assert all(g.dtype == torch.float32 and bool(g.isfinite().all()) for g in gradients.values())


def test_batchnorm_statistics_are_float32_in_bf16(network):
    network.train()
    with precision.Computing(network, "bf16")():
        network(torch.rand(8, 3, 16, 16))
    statistics = [m.running_var for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert statistics
    assert all(v is not None and v.dtype == torch.float32 and bool(v.isfinite().all()) for v in statistics)


def test_a_cell_trained_in_bf16_is_stored_as_it_was_measured(quick):
    """Every number of its record is of the float32 function in its file."""
    experiment = quick("quantizer=[lsq]", "bits=4", "act_bits=8", "protocol.precision=bf16", "flatness=none")
    cell = session.load_and_plan(experiment)[0]
    store = RunStore(experiment.paths.out, create=True)
    record = Job(store, experiment.paths, experiment.launcher).attempt(cell)
    assert record.status == "done"
    data = open_data(cell.group, experiment.paths, "cpu")
    model = read_model(experiment.paths.out / record.sizes.path)
    twin = Twin(data.initial_network(cell.group.model), model.state(), model.sites)
    x = torch.cat([x for x, _ in data.evaluation(data.target, record.logits.index())])
    assert np.abs(twin.logits(x).numpy() - record.logits.array()).max() <= twin.limit(x)
    target = np.arange(record.target_count)
    right = [twin.logits(x).argmax(1) == y for x, y in data.evaluation(data.target, target)]
    assert np.array_equal(torch.cat(right).numpy(), unpack_bits(record.rows["iid"].correct, len(target)))


def test_precision_is_part_of_the_key_where_it_is_not_the_default(quick):
    cells = {p: session.load_and_plan(quick("quantizer=[lsq]", f"protocol.precision={p}"))[0] for p in ("fp32", "bf16")}
    assert cells["fp32"].key != cells["bf16"].key
    assert cells["fp32"].group.key != cells["bf16"].group.key
    assert cells["bf16"].settings["protocol"]["precision"] == "bf16"
    assert "precision" not in cells["fp32"].settings["protocol"]


def test_a_step_in_bf16_is_near_one_in_float32(cell):
    losses = {}
    for choice in ("fp32", "bf16"):
        chosen, data = cell("quantizer=[lsq]", f"protocol.precision={choice}")
        algorithm = float_phase.build(chosen.group, data)
        losses[choice] = [float(float_phase.train_step(algorithm, data, step)["loss"]) for step in range(1, 6)]
    assert losses["fp32"] != losses["bf16"]
    assert np.allclose(losses["fp32"], losses["bf16"], rtol=0.02)


@pytest.mark.parametrize(
    ("choice", "device", "found", "message"),
    [
        ("tf32", "cpu", None, "protocol.precision=tf32 needs a GPU, got launcher.device=cpu; write protocol.prec"),
        ("tf32", "cuda", (7, 5), "needs a GPU of compute capability 8.0 or above, cuda has 7.5; write"),
        ("bf16", "cuda:1", (7, 5), "protocol.precision=bf16 needs a GPU of compute capability 8.0"),
    ],
)
def test_a_device_without_the_precision_is_refused(monkeypatch, choice, device, found, message):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: found)
    with pytest.raises(ConfigError, match=message):
        precision.check_precision(choice, device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    for fine in (("fp32", device), ("bf16", "cpu"), ("bf16", "cuda"), ("tf32", "cuda:1")):
        precision.check_precision(*fine)


@pytest.mark.parametrize("words", [["run"], ["run", "--plan"]])
@pytest.mark.parametrize(("value", "message"), [("tf32", "needs a GPU"), ("fp16", "must be fp32 or tf32 or bf16")])
def test_the_command_line_answers_in_one_line(tmp_path, capsys, words, value, message):
    assert main([*words, f"protocol.precision={value}", f"out={tmp_path}", "quantizer=[lsq]"]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
