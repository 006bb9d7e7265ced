"""Signals that this process sends to itself."""

import os
import signal
import sys

import pytest

from clearair.interrupts import Interrupts, StopRequest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends Unix signals")


class TerminatedError(Exception):
    pass


@pytest.fixture(autouse=True)
def handlers():
    """Of a program that is run in the foreground, whatever runs these tests."""

    def terminate(number, frame):
        raise TerminatedError

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, terminate),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


KINDS = pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminatedError)]
)


def send(number):
    os.kill(os.getpid(), number)


def done_before(raised, work):
    """What `work` notes before it is interrupted."""
    done = []
    with pytest.raises(raised):
        work(done.append)
    return done


@KINDS
def test_a_signal_waits_for_a_check(number, raised):
    def work(note):
        with Interrupts() as interrupts:
            interrupts.check()
            send(number)
            note("written")
            interrupts.check()
            note("never")

    assert done_before(raised, work) == ["written"]


@KINDS
def test_a_signal_without_a_check_is_raised_at_the_end(number, raised):
    def work(note):
        with Interrupts():
            send(number)
            note("written")

    assert done_before(raised, work) == ["written"]


@KINDS
def test_what_takes_long_is_interrupted_at_once(number, raised):
    def work(note):
        with Interrupts() as interrupts, interrupts.at_once():
            send(number)
            note("never")

    assert done_before(raised, work) == []


def test_what_takes_long_is_not_begun_after_a_signal():
    def work(note):
        with Interrupts() as interrupts:
            send(signal.SIGINT)
            with interrupts.at_once():
                note("never")

    assert done_before(KeyboardInterrupt, work) == []


def test_the_second_signal_interrupts_and_the_third_leaves_the_tidying_up_alone():
    def work(note):
        with Interrupts():
            try:
                send(signal.SIGINT)
                note("went on")
                send(signal.SIGINT)
                note("never")
            finally:
                send(signal.SIGINT)
                note("tidied up")

    assert done_before(KeyboardInterrupt, work) == ["went on", "tidied up"]


def test_the_handlers_of_before_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_was_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts:
        send(signal.SIGINT)
        interrupts.check()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_a_request_to_stop_is_noted_and_the_second_one_interrupts():
    def work(note):
        with StopRequest() as stop:
            assert not stop.asked
            send(signal.SIGTERM)
            note(stop.asked)
            send(signal.SIGINT)
            note("never")

    assert done_before(KeyboardInterrupt, work) == [True]


def test_a_request_to_stop_leaves_the_handlers_of_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopRequest():
        send(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
