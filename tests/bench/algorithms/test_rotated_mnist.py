"""RotatedMNIST, ERM, 501 steps of DomainBed's protocol: the acceptance bands of DomainBed's own test, and beyond.

Minutes of one processor for each held-out angle; ``-s`` prints the numbers.
"""

import os
from pathlib import Path

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.sweep.session import load_and_plan
from quantdg.bench.training.data import CellData, load_dataset
from quantdg.bench.training.evaluation import evaluate
from quantdg.bench.training.float_phase import build, train_step

DATA = Path(os.environ.get("QUANTDG_DATA") or Path(__file__).parents[3].parent / "shared" / "data")
STEPS = 501
PROTOCOL = (f"steps={STEPS}", "start_step=0", "batch_size=64", "lr=1e-3", "augmentation=none")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "MNIST" / "raw").exists(), reason="no MNIST; set QUANTDG_DATA"),
]


def accuracies(target):
    """After the last step, by angle: on the target's 80 %, on the first 1,500 training images of the sources."""
    words = ["dataset=rotated_mnist", "model=mnist_cnn", f"data.root={DATA}", f"targets=['{target}']", "seeds=1"]
    experiment = config.load([*words, "quantizer=[float]", *(f"protocol.{word}" for word in PROTOCOL)])
    group = load_and_plan(experiment)[0].group
    dataset = load_dataset(experiment.setups[0].dataset, experiment.paths)
    data = CellData(dataset, dataset.index(str(target)), 0, group.protocol, "cpu")
    algorithm = build(group, data)
    for step in range(1, STEPS + 1):
        train_step(algorithm, data, step)
    parts = {i: index[:1500] for i, index in data.train.items()} | {data.target: data.target_in}
    return {int(d.name): evaluate(algorithm, data, i, parts[i]).accuracy for i, d in enumerate(dataset.domains)}


@pytest.mark.parametrize("target", [0, 15, 30, 45])
def test_erm(target):
    found = accuracies(target)
    print(f"\nRotatedMNIST, target {target}: " + ", ".join(f"{angle}: {a:.3f}" for angle, a in found.items()))
    assert found[0] > 0.80
    assert all(found[angle] > 0.95 for angle in (15, 30, 45))
