"""Adapters of other libraries keep the contract, each where its library is installed."""

import pytest

from quantdg.quantizers.aimet import Aimet
from quantdg.quantizers.brevitas_adapter import BrevitasAbsMax, BrevitasDecoupled, BrevitasLearned
from quantdg.quantizers.contract.checks import CHECKS, run_check
from quantdg.quantizers.nni_bnn import NNIBNN
from quantdg.quantizers.nni_dorefa import NNIDoReFa
from quantdg.quantizers.nni_lsq_plus import NNILSQPlus
from quantdg.quantizers.quanto import Quanto
from quantdg.quantizers.testing import QuantizerContract
from quantdg.quantizers.torch_ao_fx import TorchAOFX, TorchaoPT2E
from quantdg.quantizers.torchao_affine import TorchaoAffine
from quantdg.quantizers.torchao_intx import TorchaoIntx
from quantdg.quantizers.torchao_learnable import TorchaoLearnable

needs_torchao = pytest.mark.skipif(bool(TorchaoIntx.missing()), reason="pip install 'quantdg[torchao]'")
needs_brevitas = pytest.mark.skipif(bool(BrevitasAbsMax.missing()), reason="pip install 'quantdg[brevitas]'")


@needs_torchao
class TestTorchaoIntx(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return TorchaoIntx


@needs_torchao
class TestTorchaoAffine(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return TorchaoAffine


@needs_torchao
class TestTorchaoLearnable(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return TorchaoLearnable


@needs_brevitas
class TestBrevitasAbsMax(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return BrevitasAbsMax


@needs_brevitas
class TestBrevitasLearned(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return BrevitasLearned


@needs_brevitas
class TestBrevitasDecoupled(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return BrevitasDecoupled


@pytest.mark.skipif(bool(Quanto.missing()), reason="pip install 'quantdg[quanto]'")
class TestQuanto(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return Quanto


@pytest.mark.skipif(bool(Aimet.missing()), reason="pip install 'quantdg[aimet]'")
class TestAimet(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return Aimet


class TestTorchAOFX(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return TorchAOFX


@needs_torchao
class TestTorchaoPT2E(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return TorchaoPT2E


@pytest.mark.parametrize(
    "make, fails",
    [
        (NNIDoReFa, {"scale_contract"}),
        (NNIBNN, set()),
        (
            NNILSQPlus,
            {"everything_trains", "accuracy", "scale_contract", "audit", "averaging", "double_backward", "outputs"},
        ),
    ],
)
def test_nni_as_shipped_breaks_the_contract_only_by_its_scale_or_start(make, fails):
    """DoReFa makes the largest weight 1; LSQ+ starts with a scale of 0.01 and one code for positive weights."""
    pytest.importorskip("nni", reason="pip install 'quantdg[nni]'")
    assert {name for check in CHECKS for name, status, _ in [run_check(check, make)] if status == "failed"} == fails
