"""Post-training cells: the float row's training and choice, quantized at the end from source-train images alone."""

import pytest
import torch

from quantdg.bench.cells.execute import result_of
from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.results.record import HEADLINE, LAST
from quantdg.bench.training import branch as branches
from quantdg.bench.training import float_phase
from quantdg.bench.training.data import CellData
from quantdg.bench.training.images import AtHand
from quantdg.core.errors import QuantizerError
from quantdg.quantizers.insertion import latent_parameter


def ignore(_steps):
    pass


@pytest.fixture
def train(cell, tmp_path):
    def train(*words):
        chosen, data = cell("protocol.steps=60", "protocol.start_step=40", "protocol.check_every=10", *words)
        state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
        return chosen, data, branches.train_branch(chosen, data, state, ignore)

    return train


def test_the_float_rows_checkpoints_are_quantized_and_scored_again(train, tmp_path):
    _, _, floats = train("quantizer=[float]")
    chosen, data, ours = train("quantizer=[gptq]", "quantizer.gptq.spec.weight_bits=2", "averaging=[swad]")
    assert [point["source_acc"] for point in ours.curve] == [point["source_acc"] for point in floats.curve]
    for rule, checkpoint in floats.selection.chosen.items():
        other = ours.selection.chosen[rule]
        assert other.step == checkpoint.step
        assert all(torch.equal(other.state[name], value) for name, value in checkpoint.state.items())
        assert other.source.mean_loss != checkpoint.source.mean_loss
    assert all(site.levels_used <= 4 and site.error_ratio < 1 for site in ours.audit.sites.values())
    for values in ours.noise.values():
        assert len(values) == len(ours.curve) + 1
        assert set(values[:-1]) == {0.0}
        assert values[-1] > 0.1

    record = result_of(chosen, ours, data, tmp_path, Launcher())
    assert record.rows["swad"].note == "recalibrate"
    assert record.rows[HEADLINE].source_loss == ours.selection.chosen[HEADLINE].source.mean_loss


def test_the_last_checkpoint_is_what_a_float_network_gives_that_is_quantized_by_hand(train):
    chosen, data, ours = train("quantizer=[gptq]", "quantizer.gptq.spec.weight_bits=3", "act_bits=8")
    network = data.initial_network(chosen.group.model)
    last = ours.selection.chosen[LAST].state
    network.load_state_dict({name: last[name] for name in network.state_dict()})
    quantizer, batches = chosen.quantizer.create(0), list(data.calibration())
    quantizer.prepare(network, batches[0])
    quantizer.calibrate(network, batches)
    assert quantizer.export(network).keys() == ours.quantizer.export(ours.algorithm.network).keys()
    for name, site in ours.quantizer.export(ours.algorithm.network).items():
        assert torch.equal(site.weight.dequantize(), quantizer.export(network)[name].weight.dequantize())
        assert site.act == quantizer.export(network)[name].act


def test_no_target_image_is_read_but_to_score(train, monkeypatch):
    """The codes are the same where the target's images are noise, and calibration asks for source-train images only."""
    quantizing: list[bool] = []
    _, data, honest = train("quantizer=[gptq]")
    read, batch, target = [], AtHand.batch, data.target

    def spoiled(self, domain, index):
        images, labels = batch(self, domain, index)
        if quantizing:
            read.extend((domain, int(i)) for i in index)
        return (torch.randint_like(images, 256) if domain == target else images), labels

    calibration = CellData.calibration

    def calibrating(self):
        quantizing.append(True)
        yield from calibration(self)
        quantizing.clear()

    monkeypatch.setattr(AtHand, "batch", spoiled)
    monkeypatch.setattr(CellData, "calibration", calibrating)
    _, data, blind = train("quantizer=[gptq]")
    allowed = {(domain, int(i)) for domain, index in data.train.items() for i in index}
    assert read
    assert set(read) <= allowed
    a, b = honest.selection.chosen[LAST].state, blind.selection.chosen[LAST].state
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_averages_in_the_quantized_domain_average_float_weights(train):
    _, _, ours = train(
        "quantizer=[round_to_nearest]", "averaging=[sqwa]", "averaging.sqwa.cycles=3", "averaging.sqwa.captures=2"
    )
    _, _, floats = train(
        "quantizer=[float]", "averaging=[sqwa]", "averaging.sqwa.cycles=3", "averaging.sqwa.captures=2"
    )
    assert ours.averaged["policy"] == "float"
    key = "featurizer.0.weight"
    assert torch.equal(latent_parameter(ours.algorithm.network, key), latent_parameter(floats.algorithm.network, key))


def test_a_network_that_trains_has_no_codes(cell, tmp_path):
    chosen, data = cell("quantizer=[round_to_nearest]")
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
    algorithm, quantizer, _ = branches.insert_quantizer(chosen, data, state)
    with pytest.raises(QuantizerError, match="call calibrate after the last step"):
        quantizer.export(algorithm.network)
    assert {site.levels_used for site in quantizer.audit(algorithm.network).sites.values()} == {0}
