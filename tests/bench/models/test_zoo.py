"""The model zoo: 52 architectures, each quantized, trained for a step, packed, reloaded and equal; or refused before.

pytest -m slow tests/bench/models/test_zoo.py -rP
"""

import pytest
import torch

from quantdg.bench.cells.dry_build import try_network
from quantdg.bench.models.timm_model import timm_model
from quantdg.bench.models.vision import vision
from quantdg.bench.packed.proof import prove_packed
from quantdg.bench.packed.size import write_model
from quantdg.bench.training.branch import check_sites_act
from quantdg.core.errors import ConfigError, QuantizerError
from quantdg.quantizers.insertion import sites_of
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec

TORCHVISION = {
    "squeezenet1_1": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "mnasnet0_5": 32,
    "shufflenet_v2_x0_5": 32,
    "efficientnet_b0": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "densenet121": 32,
    "googlenet": 32,
    "inception_v3": 75,
    "swin_t": 64,
    "swin_v2_t": 64,
    "convnext_tiny": 32,
    "alexnet": 64,
    "vit_b_16": 32,
}
TIMM = {
    "resnet10t": 32,
    "vit_tiny_patch16_224": 32,
    "deit_tiny_patch16_224": 32,
    "eva02_tiny_patch14_224": 56,
    "coat_lite_tiny": 64,
    "coat_tiny": 64,
    "mixer_s32_224": 64,
    "convnext_atto": 32,
    "convnextv2_atto": 32,
    "mobilenetv3_small_050": 32,
    "ghostnet_050": 32,
    "mobilevit_xxs": 64,
    "edgenext_xx_small": 64,
    "efficientformerv2_s0": 64,
    "levit_128s": 64,
    "crossvit_tiny_240": 240,
    "pit_ti_224": 64,
    "poolformer_s12": 32,
    "xcit_nano_12_p16_224": 32,
    "cait_xxs24_224": 32,
    "regnetx_002": 32,
    "repvgg_a0": 32,
    "fastvit_t8": 64,
    "tiny_vit_5m_224": 64,
    "lcnet_035": 32,
    "tinynet_e": 32,
    "gmlp_ti16_224": 32,
    "coatnet_pico_rw_224": 64,
    "dla46_c": 32,
    "beit_base_patch16_224": 32,
    "swin_tiny_patch4_window7_224": 64,
    "swinv2_cr_tiny_ns_224": 64,
    "nfnet_l0": 32,
    "tf_efficientnet_cc_b0_4e": 32,
    "sequencer2d_s": 64,
    "halonet26t": 64,
}
REFUSED = {"halonet26t": "the network must run on images of shape (3, 64, 64), but in training it ends with"}
FLOAT = {"tf_efficientnet_cc_b0_4e": 24, "sequencer2d_s": 144}
"""Weights of convolutions that are mixed for each image, and of LSTMs, which are named beside the classifier."""


def build(arch, size):
    torch.manual_seed(0)
    make = vision if arch in TORCHVISION else timm_model
    return make((3, size, size), 4, arch=arch)


def outcome(arch, size, folder):
    """Return what became of an architecture; anything but these two sentences is an exception."""
    try:
        network = build(arch, size)
        try_network(network, (3, size, size))
        names, x = set(network.state_dict()), torch.randn(4, 3, size, size)
        quantizer = LSQ(QuantSpec(4, 8))
        plan = quantizer.prepare(network, x)
        check_sites_act(network, quantizer, x)
    except (ConfigError, QuantizerError) as error:
        return f"refused: {error}"
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    torch.nn.functional.cross_entropy(network.train()(x), torch.arange(4) % 4).backward()
    optimizer.step()
    quantizer.on_step(network, 1)
    _, model = write_model(network.eval(), quantizer, names, folder, "k")
    prove_packed(network, model, build(arch, size), x)  # logits within 1e-4 of the largest, layers within 1e-5
    return f"equal: {len(plan.sites)} sites, {len(plan.float_inputs)} with float input, {len(plan.skipped)} skipped"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("arch", "size"), [*TORCHVISION.items(), *TIMM.items()])
def test_an_architecture_is_quantized_and_reloaded_or_refused(arch, size, tmp_path):
    if arch in TIMM:
        pytest.importorskip("timm")
    threads = torch.get_num_threads()
    torch.backends.mha.set_fastpath_enabled(False)
    torch.set_num_threads(1)
    try:
        found = outcome(arch, size, tmp_path)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
        torch.set_num_threads(threads)
    print(f"{arch} at {size}: {found}")
    if arch in REFUSED:
        assert REFUSED[arch] in found
    else:
        assert found.startswith("equal: ")
        assert arch not in FLOAT or found.endswith(f" {1 + FLOAT[arch]} skipped")


def beit():
    timm = pytest.importorskip("timm")
    options = {"img_size": 32, "depth": 2, "embed_dim": 48, "num_heads": 2, "num_classes": 0}
    return timm.create_model("beit_base_patch16_224", **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "size", "count"), [("swin_t", 64, 52), ("swin_v2_t", 64, 76), ("vit_b_16", 32, 49), ("beit", 32, 9)]
)
def test_the_scale_of_each_site_reaches_the_output(arch, size, count):
    torch.manual_seed(0)
    network, x = beit() if arch == "beit" else build(arch, size), torch.randn(2, 3, size, size)
    LSQ(QuantSpec(2, rules=() if arch == "beit" else QuantSpec().rules)).prepare(network, x)
    sites = dict(sites_of(network.eval()))
    assert len(sites) == count
    with torch.no_grad():
        before = network(x)
        for name, site in sites.items():
            scale = site.weight_quant.step_size
            kept = scale.clone()
            scale.mul_(50)
            assert not torch.equal(network(x), before), name
            scale.copy_(kept)
