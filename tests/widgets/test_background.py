"""Work beside the panels."""

from __future__ import annotations

import threading

from flowlab.widgets.background import WORKERS, Background


def test_few_threads_do_the_work_of_all_panels_one_piece_after_the_other() -> None:
    threads = set()

    def work(key: int) -> int:
        threads.add(threading.current_thread())
        return key

    for key in range(20):
        there = threading.Event()
        Background(work, there.set).ask(key)
        assert there.wait(5.0)
    assert len(threads) <= WORKERS


def test_work_that_fails_leaves_the_threads_alive() -> None:
    for key in range(2 * WORKERS):
        there = threading.Event()
        failing: Background[int, float] = Background(lambda n: 1 / 0, there.set)
        failing.ask(key)
        assert there.wait(5.0)
        assert isinstance(failing.error(key), ZeroDivisionError)


def test_what_is_asked_for_last_is_worked_out_next() -> None:
    began, go, order, ended = threading.Event(), threading.Event(), list[int](), threading.Event()

    def work(key: int) -> None:
        began.set()
        go.wait(5.0)
        order.append(key)

    background: Background[int, None] = Background(work, lambda: ended.set() if order[-1] == 3 else None)
    background.ask(1)
    assert began.wait(5.0)
    background.ask(2)
    background.ask(3)
    go.set()
    assert ended.wait(5.0)
    assert order == [1, 3]
