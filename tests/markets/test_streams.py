import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from mmf.errors import DataError
from mmf.markets.streams import in_groups, in_order, iterate, run


async def numbers(n: int, *, failing_at: int | None = None) -> AsyncGenerator[int, None]:
    for i in range(n):
        if i == failing_at:
            raise DataError("no more")
        yield i


async def forever(began: threading.Event, cancelled: threading.Event) -> AsyncGenerator[int, None]:
    async def wait(_: int) -> int:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 0

    yield 0
    async for item in in_order(range(3), wait, n_ahead=2):
        yield item


def take_all(items: Iterator, *, into: list) -> None:
    while True:
        try:
            into.append(next(items))
        except StopIteration:
            return


def loop_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mmf-http"]


def test_results_come_in_the_order_of_the_items_whatever_finishes_first():
    async def slower_first(i: int) -> int:
        for _ in range(50 - i):
            await asyncio.sleep(0)
        return i

    assert list(iterate(in_order(range(50), slower_first, n_ahead=7))) == list(range(50))


def test_no_more_than_n_ahead_are_worked_on_at_once():
    busy, most = 0, 0

    async def count(i: int) -> int:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        for _ in range(3):
            await asyncio.sleep(0)
        busy -= 1
        return i

    assert sum(iterate(in_order(range(40), count, n_ahead=5))) == 780
    assert most == 5


def test_items_are_taken_as_room_is_made_so_that_they_may_be_endless():
    taken = []

    def endless():
        i = 0
        while True:
            taken.append(i)
            yield i
            i += 1

    async def same(i: int) -> int:
        return i

    results = iterate(in_order(endless(), same, n_ahead=4))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert len(taken) <= 8


def test_what_came_before_a_failure_is_yielded():
    async def odd(i: int) -> int:
        if i == 5:
            raise DataError("five")
        return i

    seen = []
    with pytest.raises(DataError, match="five"):
        take_all(iterate(in_order(range(9), odd, n_ahead=9)), into=seen)
    assert seen == [0, 1, 2, 3, 4]
    assert loop_threads() == []


def test_a_group_in_hand_comes_before_the_error():
    seen = []
    with pytest.raises(DataError, match="no more"):
        take_all(iterate(in_groups(numbers(9, failing_at=5), has_room=lambda group, _: len(group) < 3)), into=seen)
    assert seen == [[0, 1, 2], [3, 4]]


def test_closing_the_iterator_cancels_what_is_under_way_and_ends_the_thread():
    began, cancelled = threading.Event(), threading.Event()
    items = iterate(forever(began, cancelled))
    next(items)
    items.close()
    assert loop_threads() == []


def test_an_interrupt_while_waiting_cancels_what_is_under_way_and_ends_the_thread():
    began, cancelled = threading.Event(), threading.Event()
    items = iterate(forever(began, cancelled))
    next(items)
    main = threading.main_thread().ident or 0

    def press_ctrl_c() -> None:
        began.wait(10)
        signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=press_ctrl_c)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        next(items)
    interrupter.join()
    assert cancelled.is_set()
    assert loop_threads() == []


def test_run_works_within_a_running_event_loop():
    async def seven() -> int:
        return 7

    async def notebook() -> int:
        return run(seven())

    assert asyncio.run(notebook()) == 7


def test_an_iterator_that_nobody_exhausts_does_not_hold_up_the_end_of_the_interpreter():
    code = """
import asyncio
from mmf.markets.streams import iterate
async def items():
    try:
        yield 7
    finally:
        await asyncio.sleep(0)
        print("closed")
kept = iterate(items())
print(next(kept))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("7\nclosed\n", "")
