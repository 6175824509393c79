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
def board(stored):
    return CellQueue(cells(a=6, b=2), stored.__contains__)


def test_each_group_gets_one_process_before_any_gets_two():
    board = CellQueue(cells(a=6, b=4), "ab".__contains__)
    for expected in ("a", "b", "a", "a", "b", "a"):
        assert board.open_group() == expected
        board.workers[expected] += 1


def test_a_group_without_its_float_phase_is_not_split(board, stored):
    board.workers.update("ab")
    assert board.open_group() is None
    stored.add("b")
    assert board.open_group() == "b"


def test_cells_come_in_order_and_an_empty_group_is_closed(board, stored):
    stored.update("ab")
    assert [board.take("b").key, board.take("b").key, board.take("b")] == ["b0", "b1", None]
    board.workers["a"] += 1
    assert board.open_group() == "a"


def test_a_process_goes_on_to_the_group_that_needs_it_and_is_counted_there(board, stored):
    board.workers["b"] += 1
    assert board.move("b") == "a"
    assert (board.workers["a"], board.workers["b"]) == (1, 0)
    board.waiting["b"].clear()
    assert board.move("b") is None
    stored.add("a")
    assert board.move("b") == "a"


def test_a_lost_cell_comes_last_and_is_counted(board):
    first = board.take("b")
    assert [board.lose(first, progress) for progress in (0, 0, 7, 7, 7, 9)] == [1, 2, 1, 2, 3, 1]
    board.give_back(first)
    assert [board.take("b").key, board.take("b").key] == ["b1", "b0"]


@pytest.mark.parametrize(("whole", "left"), [(True, []), (False, ["a1", "a2", "a3", "a4", "a5"])])
def test_what_others_have_waits_with_or_without_its_group(board, whole, left):
    board.postpone(board.take("a"), whole)
    assert [c.key for c in board.waiting["a"]] == left
    assert set(board.elsewhere) == {f"a{i}" for i in range(6)} - set(left)
    board.resume("a0")
    assert board.waiting["a"][-1].key == "a0"
    assert "a0" not in board.elsewhere
