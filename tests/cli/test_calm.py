"""Interruptions are held back within a piece of work, and none is lost."""

import os
import signal
import threading

import pytest

from lipschitz_rnn.cli.calm import Calm


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def interrupted(work):
    """How far a piece of work got that is interrupted, and whether it was by force."""
    reached = []
    with Calm() as calm, pytest.raises(KeyboardInterrupt):
        work(calm, reached.append)
    return reached, calm.forced


def test_an_interruption_waits_for_the_end_of_the_work():
    def work(calm, reach):
        interrupt()
        reach("the end")
        calm.check()
        reach("more")

    assert interrupted(work) == (["the end"], False)


def test_an_interruption_that_was_held_back_comes_before_waiting():
    def work(calm, reach):
        interrupt()
        with calm.waiting():
            reach("waiting")

    assert interrupted(work) == ([], False)


def test_waiting_is_interrupted_at_once():
    def work(calm, reach):
        with calm.waiting():
            interrupt()
            reach("more")

    assert interrupted(work) == ([], False)


def test_the_second_one_is_not_held_back():
    def work(calm, reach):
        interrupt()
        reach("one")
        interrupt()
        reach("two")

    assert interrupted(work) == (["one"], True)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Calm():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_another_thread_has_no_signals():
    found = []

    def work():
        with Calm() as calm:
            calm.check()
            found.append(calm)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found
