"""One cell in a process of its own, as the QT-DoG release (DomainBed's and SWAD's loop) trains it; prints what it did as JSON.

Nothing is shared and nothing kept: the float steps before the switch are taken again, each image is opened, decoded and
augmented by PIL and torchvision in the workers of a DataLoader whenever a batch or a checkpoint needs it. Network, loss,
optimizer and quantizer are the suite's own, so that only the loop differs. Three choices favour the release: checkpoints
begin after the switch, as the suite's do (the release's begin with step 0), no weight is averaged, and loaders have no more
workers than there are cores (the release starts 4 for each domain). One costs it more than us: as in the release, each
checkpoint scores all of the target, of which the suite scores 20 % until the choice is made. Run as: python alone.py CELL.pickle FOLDER
"""

import json
import pickle
import sys
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader, RandomSampler, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from quantdg.bench.experiment.protocol import train_mode
from quantdg.bench.training.branch import put_into_training
from quantdg.bench.training.float_phase import optimizer_factory
from quantdg.core.machine import usable_cores
from quantdg.datasets.listed import IMAGENET_MEAN, IMAGENET_STD
from quantdg.datasets.policy import get_augmentation
from quantdg.datasets.splits import split

WORKERS = min(4, usable_cores())


def transforms(size, policy):
    """The release's training transform, with the strengths of a policy, and the one of its evaluation."""
    chosen = get_augmentation(policy)
    end = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    begin = [v2.RandomResizedCrop((size, size), scale=chosen.crop)]
    if chosen.flip:
        begin.append(v2.RandomHorizontalFlip(chosen.flip))
    if chosen.colour:
        begin += [v2.ColorJitter(*chosen.jitter), v2.RandomGrayscale(chosen.grayscale)]
    return v2.Compose([*begin, *end]), v2.Compose([v2.Resize((size, size)), *end])


def endless(data, batch):
    """Batches drawn with replacement for ever, from one set of workers."""
    sampler = RandomSampler(data, replacement=True, num_samples=10**7)
    return iter(DataLoader(data, batch, sampler=sampler, drop_last=True, num_workers=WORKERS))


def in_order(data, batch):
    return DataLoader(data, batch, num_workers=WORKERS, persistent_workers=True)


class Domains:
    """Loaders of all domains: endless ones of the sources' training parts, and one of each part that is evaluated."""

    def __init__(self, group, folder):
        protocol, options = group.protocol, group.dataset.options
        augmented, clean = transforms(options["size"], protocol.augmentation)
        names = sorted(path.name for path in Path(folder, options["folder"]).iterdir() if path.is_dir())
        self.training, self.evaluation = [], {}
        for index, name in enumerate(names):
            of = partial(ImageFolder, Path(folder, options["folder"], name))
            train, held_out = split(len(of()), group.seed, index, protocol.holdout)
            if name == group.target:
                self.evaluation["target_in"] = in_order(Subset(of(clean), train), protocol.eval_batch)
            else:
                self.training.append(endless(Subset(of(augmented), train), protocol.batch_size))
            self.evaluation[name] = in_order(Subset(of(clean), held_out), protocol.eval_batch)
        self.classes = len(of().classes)
        self.shape = (3, options["size"], options["size"])


@torch.no_grad()
def accuracy(algorithm, loader):
    algorithm.eval()
    right, count = 0, 0
    for x, y in loader:
        logits = algorithm.predict(x)
        right += int((logits.argmax(1) == y).sum())
        count += len(y)
    return right / count


def train(cell, folder):
    """Train a cell to its end; returns what was done, and the target accuracy of the last checkpoint."""
    group, protocol = cell.group, cell.group.protocol
    torch.set_num_threads(usable_cores())
    torch.manual_seed(group.seed)
    domains = Domains(group, folder)
    network = group.model.build(domains.shape, domains.classes)
    algorithm = group.algorithm.build(network, len(domains.training), optimizer_factory(group))
    frozen, checks = protocol.bn == "frozen", []
    train_mode(algorithm, freeze_bn=frozen)
    for step in range(1, protocol.steps + 1):
        algorithm.update([next(batches) for batches in domains.training])
        if step == protocol.start_step:
            quantizer = cell.quantizer.create(group.seed)
            images = torch.cat([next(batches)[0] for batches in domains.training])
            quantizer.prepare(network, images)
            quantizer.calibrate(network, [images])
            put_into_training(algorithm, quantizer, protocol.lr)
            frozen = True
            train_mode(algorithm, freeze_bn=frozen)
        if step > protocol.start_step:
            quantizer.on_step(network, step - protocol.start_step)
        if protocol.is_check(step):
            checks.append({name: accuracy(algorithm, loader) for name, loader in domains.evaluation.items()})
            train_mode(algorithm, freeze_bn=frozen)
    return {"steps": protocol.steps, "checks": len(checks), "target_in": checks[-1]["target_in"]}


if __name__ == "__main__":
    print(json.dumps(train(pickle.loads(Path(sys.argv[1]).read_bytes()), sys.argv[2])))
