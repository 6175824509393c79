"""A program that trains cases in one process and in two, and stores both: python two_processes.py FOLDER RANK."""

import os
import sys
from datetime import timedelta
from functools import cache
from pathlib import Path

import torch
import torch.distributed as dist

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.protocol import train_mode
from quantdg.bench.models.convnet import convnet
from quantdg.bench.training.branch import put_into_training
from quantdg.bench.training.precision import Computing
from quantdg.bench.training.ranks import Ranks
from quantdg.bench.training.seeds import seed_everything
from quantdg.bench.training.sharded import divided
from quantdg.core.errors import QuantDGError

SIZES = (6, 5, 4)
NAMES = sorted(path.stem for path in (Path(__file__).parents[3] / "bench/conf/algorithm").glob("*.yaml"))
LIVE = ("erm", "irm", "fish", "mldg")
OWN = {
    "irm": {"anneal": 2},
    "vrex": {"anneal": 2},
    "fishr": {"anneal": 2},
    "dann": {"gradient_penalty": 0.1},
    "cdann": {"gradient_penalty": 0.1},
    "eqrm": {"burn_in": 2, "lr": 1e-3},
    "arm": {"support": 2, "width": 2},
    "ddg": {"width": 2},
    "ddg_gan": {"width": 2, "gan_steps": 1},
}
EXTRA = {
    "erm, gradient l1": ("algorithm=[erm]", "step_rule=gradient_l1", "step_rule.form=double_backward"),
    "erm, SAM": ("algorithm=[erm]", "step_rule=sam"),
    "erm, EWGS": ("algorithm=[erm]", "quantizer=[ewgs]", "act_bits=8"),
    "erm, stochastic rounding": ("algorithm=[erm]", "quantizer=[stochastic_rounding]"),
    "erm, MixStyle": ("algorithm=[erm]", "transform=[mixstyle]"),
    "erm, dropout": ("algorithm=[erm]",),
    "erm, moving ranges": ("algorithm=[erm]", "quantizer=[torch_ao]", "act_bits=8"),
    "erm, scale that counts images": ("algorithm=[erm]", "quantizer=[torch_ao_learnable]", "act_bits=8"),
    "erm, inputs' gradients": ("algorithm=[erm]", "step_rule=gradient_l1", "step_rule.activations=0.01"),
}


def batches(step):
    generator = torch.Generator().manual_seed(step)
    return [
        (torch.rand(n, 3, 8, 8, generator=generator), torch.randint(0, 4, (n,), generator=generator)) for n in SIZES
    ]


def words_of(case):
    own = [f"algorithm.{name}.{key}={value}" for name, values in OWN.items() for key, value in values.items()]
    return EXTRA.get(case, (f"algorithm=[{','.join(NAMES)}]", *own, "quantizer=[lsq]", "act_bits=8", "bits=4"))


@cache
def loaded(*words):
    return config.load(list(words))


def trained(case, ranks):
    """Losses and weights of three steps in float64 where all of it can compute so, live BatchNorm where nothing is quantized."""
    words = words_of(case)
    experiment = loaded(*words)
    chosen = next(a for a in experiment.algorithms if a.name == case.split()[0].strip(","))
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    network = convnet((3, 8, 8), 4, width=4)
    if "dropout" in case:
        network.featurizer.append(torch.nn.Dropout(0.3))
    algorithm = chosen.build(network, len(SIZES), lambda parameters: torch.optim.SGD(parameters, 0.05))
    for transform in experiment.transforms:
        algorithm.add_transform(transform.build())
    algorithm.rule = experiment.step_rule.build()
    algorithm.computing = Computing(network, "fp32", ranks=ranks)
    example = torch.cat([x for x, _ in batches(0)])
    quantized = "quantizer=" in " ".join(words) and "live" not in case
    component = next(q for q in experiment.quantizers if q.name != "float") if quantized else None
    if component is not None:
        quantizer = component.create(0)
        quantizer.prepare(network, example)
        quantizer.calibrate(network, [example])
        put_into_training(algorithm, quantizer, 0.05)
    if "torch_ao" not in str(words) and "cdann" not in case:
        algorithm.double()  # only float32 weights are quantized, so not earlier
        torch.set_default_dtype(torch.float64)
        example = torch.cat([x for x, _ in batches(0)])
    train_mode(algorithm, freeze_bn=component is not None)
    losses = []
    for step in (1, 2, 3):
        seed_everything(step)
        with algorithm.computing():
            losses.append({name: value.double() for name, value in algorithm.update(batches(step)).items()})
        if component is not None:
            quantizer.on_step(network, step)
        ranks.check_equal(algorithm.state_dict().values())
    algorithm.eval()
    with torch.no_grad(), divided(network.featurizer, ranks):
        logits = algorithm.predict(example)
    return losses, {name: value.double() for name, value in algorithm.state_dict().items()}, logits


def attempt(case, ranks):
    try:
        with ranks.joined():
            if case == "come apart":
                return ranks.check_equal([torch.ones(3), torch.tensor([1.0, 2.0 + ranks.rank * 2**-20])])
            return trained(case, ranks)
    except QuantDGError as error:
        return str(error)


def main():
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    cases = [*NAMES, *(f"{name} live" for name in LIVE), *EXTRA, "come apart"]
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    alone = {case: attempt(case, Ranks()) for case in cases} if rank == 0 else {}
    together = {case: attempt(case, Ranks(rank, 2)) for case in cases}
    torch.save({"alone": alone, "together": together}, folder / f"{rank}.pt")


if __name__ == "__main__":
    main()
