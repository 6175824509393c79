"""Transforms, step rule and model inputs chosen by configuration reach the training and the cell's identity."""

import torch

from quantdg.bench.cells.execute import cell_incompatibility
from quantdg.bench.models.base import NORMALISATIONS
from quantdg.bench.results.store import RunStore
from quantdg.bench.step_rules.sam import SAM
from quantdg.bench.sweep.session import load_and_plan, run_experiment
from quantdg.bench.training.data import CellData
from quantdg.bench.training.float_phase import build


def test_parts_chosen_by_name_are_trained_with_and_part_of_the_label(quick, cell):
    words = ("quantizer=[lsq]", "transform=[mixup,mixstyle]", "step_rule=sam")
    chosen, data = cell(*words)
    algorithm = build(chosen.group, data)
    assert [type(t).__name__ for t in algorithm.transforms] == ["Mixup", "MixStyle"]
    assert isinstance(algorithm.rule, SAM)
    experiment = quick(*words)
    assert load_and_plan(quick("quantizer=[lsq]"))[0].key != load_and_plan(experiment)[0].key
    assert run_experiment(experiment) == 0
    (record,) = RunStore(experiment.paths.out).records()
    assert (record.status, record.labels.algorithm) == ("done", "erm+mixup+mixstyle+sam")


def test_a_transform_that_needs_more_domains_is_an_unsupported_cell(cell):
    chosen, data = cell("transform=[mixup]")
    data.sources = data.sources[:1]
    assert cell_incompatibility(chosen, data) == ("unsupported", "mixup needs 2 source domains, there are 1")


def test_the_networks_normalisation_goes_before_the_data_sets(cell):
    chosen, data = cell()
    inputs = NORMALISATIONS["caffe"]
    other = CellData(data.dataset, data.target, 0, chosen.group.protocol, "cpu", inputs)
    (x, _), (y, _) = data.batches(1)[0], other.batches(1)[0]
    unit = x * torch.tensor(data.dataset.std).view(3, 1, 1) + torch.tensor(data.dataset.mean).view(3, 1, 1)
    expected = (unit - torch.tensor(inputs.mean).view(3, 1, 1)) / torch.tensor(inputs.std).view(3, 1, 1)
    assert torch.allclose(y, expected, atol=1e-3)


def test_source_validation_is_augmented_where_the_protocol_says_so(cell):
    _, clean = cell()
    _, augmented = cell("protocol.augment_validation=true")
    source = clean.sources[0]

    def images(data, domain, index):
        return torch.cat([x for x, _ in data.evaluation(domain, index)])

    index = clean.validation[source]
    assert not torch.equal(images(clean, source, index), images(augmented, source, index))
    assert torch.equal(images(augmented, source, index), images(augmented, source, index))
    target = clean.target
    assert torch.equal(images(clean, target, clean.target_in), images(augmented, target, clean.target_in))
