from threading import Barrier

import pytest

from mien.cli.shared.threads import in_threads


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_results_come_in_the_order_of_the_items(count, threads):
    assert list(in_threads(str, range(count), threads)) == [str(i) for i in range(count)]


def test_so_many_are_worked_on_at_a_time():
    # Each waits until all three are there; a third fewer threads and none would ever pass.
    together = Barrier(3, timeout=10)
    assert len(list(in_threads(lambda item: together.wait(), range(6), 3))) == 6


def test_an_error_comes_in_its_turn_and_few_are_begun_after_it():
    begun = []

    def work(item):
        begun.append(item)
        return 1 / (item - 2)

    results = in_threads(work, range(100), 2)
    assert [next(results), next(results)] == [-0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) <= 2 + 2 * 2
