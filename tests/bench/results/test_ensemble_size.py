"""Ensemble sizes by hand."""

from quantdg.bench.results.deployment import Bytes, Deployment
from quantdg.bench.results.ensemble_size import ensemble_sizes
from quantdg.bench.results.record import Labels


def member(seed, *, bits="W7", runtime="openvino", packed=22, compressed=15):
    labels = Labels("pacs", "sketch", seed, "erm", "lsq", bits, "resnet50", "qtdog")
    sizes = Bytes(100, 101, 26, packed, compressed, 20, 1, 1)
    return Deployment(f"{bits}{seed}", labels, runtime, "size only", bytes=sizes)


def test_five_members_by_hand():
    found = ensemble_sizes([member(s, packed=20 + s) for s in (3, 1, 4, 2, 7, 9)])
    assert len(found) == 1
    assert (found[0].members, found[0].labels.seed, found[0].packed_files) == (5, 1, 117)
    assert (found[0].packed_ratio, found[0].compressed_ratio) == (1.17, 0.75)


def test_methods_stay_apart_and_runtimes_count_once():
    cells = [member(0), member(1), member(0, runtime="onnxruntime"), member(0, bits="W4"), member(1, bits="W4")]
    assert [e.members for e in ensemble_sizes(cells, 2)] == [2, 2]
    assert ensemble_sizes(cells, 3) == []


def test_models_without_files_do_not_count():
    failed = Deployment("x", member(5).labels, "openvino", "failed", "boom")
    assert ensemble_sizes([member(0), failed], 2) == []
