"""Who gets which cell: float phases once, then branches wherever there is room."""

from dataclasses import dataclass

import pytest

from quantdg.bench.engines.queue import CellQueue


@dataclass(frozen=True)
class Group:
    key: str


@dataclass(frozen=True)
class Cell:
    group: Group
    key: str


def cells(**counts):
    return [Cell(Group(group), f"{group}{i}") for group, count in counts.items() for i in range(count)]


@pytest.fixture
def stored():
    return set()


@pytest.fixture
def queue(stored):
    return CellQueue(cells(a=6, b=2), stored.__contains__)


def test_each_group_gets_one_process_before_any_gets_two():
    queue = CellQueue(cells(a=6, b=4), "ab".__contains__)
    for expected in ("a", "b", "a", "a", "b", "a"):
        assert queue.open_group() == expected
        queue.join(expected)


def test_a_group_without_its_float_phase_is_not_split(queue, stored):
    queue.join("a")
    queue.join("b")
    assert queue.open_group() is None
    stored.add("b")
    assert queue.open_group() == "b"


def test_cells_come_in_order_and_an_empty_group_is_closed(queue, stored):
    stored.update("ab")
    assert [queue.take("b").key, queue.take("b").key, queue.take("b")] == ["b0", "b1", None]
    queue.join("a")
    assert queue.open_group() == "a"


def test_a_process_goes_on_to_the_group_that_needs_it_and_is_counted_there(queue, stored):
    queue.join("b")
    assert queue.move("b") == "a"
    assert queue.open_group() == "b"  # the process counts for a now
    while queue.take("b") is not None:
        pass
    queue.join("b")
    assert queue.move("b") is None
    stored.add("a")
    queue.join("b")
    assert queue.move("b") == "a"


def test_a_lost_cell_comes_last_and_is_counted(queue):
    first = queue.take("b")
    assert [queue.record_death(first, progress) for progress in (0, 0, 7, 7, 7, 9)] == [1, 2, 1, 2, 3, 1]
    queue.requeue(first)
    assert [queue.take("b").key, queue.take("b").key] == ["b1", "b0"]


@pytest.mark.parametrize(("whole", "left"), [(True, []), (False, ["a1", "a2", "a3", "a4", "a5"])])
def test_what_others_have_waits_with_or_without_its_group(queue, whole, left):
    first = queue.take("a")
    queue.defer(first, whole)
    assert [c.key for c in queue.waiting if c.group.key == "a"] == left
    assert {c.key for c in queue.deferred} == {f"a{i}" for i in range(6)} - set(left)
    queue.resume(first)
    assert [c.key for c in queue.waiting if c.group.key == "a"] == [*left, "a0"]
    assert first not in queue.deferred


def test_what_others_have_stored_is_forgotten(queue):
    first = queue.take("a")
    queue.defer(first, whole_group=False)
    queue.drop(first)
    assert queue.deferred == ()
    assert first not in queue.waiting
