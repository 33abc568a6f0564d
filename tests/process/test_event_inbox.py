"""Waiting: signals, reports and time, in one place."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from signal import SIGCHLD, SIGHUP, SIGTERM, SIGUSR2

import pytest

from greenwsgi.process.control.commands import BY_LETTER, BY_NAME, BY_SIGNAL, COMMANDS
from greenwsgi.process.supervision.event_inbox import EventInbox, Signalled
from greenwsgi.process.supervision.fleet import Fleet, Stop
from greenwsgi.shared.message_pipes import ReportPipe
from greenwsgi.shared.messages import Loaded, Reap


@pytest.fixture
def inbox() -> Iterator[EventInbox]:
    inbox = EventInbox(BY_SIGNAL)
    yield inbox
    inbox.close()


def test_nothing_comes(inbox: EventInbox) -> None:
    assert inbox.wait(0) == []


def test_signals_are_kept_until_they_are_asked_for(inbox: EventInbox) -> None:
    for number in (SIGHUP, SIGTERM, SIGHUP, SIGUSR2):
        os.kill(os.getpid(), number)
    assert inbox.wait(10) == [Signalled(SIGHUP), Signalled(SIGTERM), Signalled(SIGUSR2)]
    assert inbox.wait(0) == []


def test_a_flood_of_signals_does_not_block(inbox: EventInbox) -> None:
    for _ in range(100_000):
        signal.raise_signal(SIGHUP)
    assert inbox.wait(10) == [Signalled(SIGHUP)]


def test_a_dead_child_is_an_event(inbox: EventInbox) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert inbox.wait(10) == [Signalled(SIGCHLD)]
    os.waitpid(child, 0)


def test_reports_come_in(inbox: EventInbox) -> None:
    os.write(inbox.report, Reap(5).encode())  # no report: a stray write
    ReportPipe(inbox.report, 1).loaded()
    assert inbox.wait(10) == [Loaded(1, os.getpid())]


def test_signals_go_back_to_whom_they_belonged() -> None:
    before = {number: signal.getsignal(number) for number in (SIGCHLD, *BY_SIGNAL)}
    descriptors = os.listdir("/dev/fd")
    EventInbox(BY_SIGNAL).close()
    assert {number: signal.getsignal(number) for number in before} == before
    assert os.listdir("/dev/fd") == descriptors


def test_every_signal_has_one_command() -> None:
    assert len(BY_SIGNAL) == sum(len(command.signals) for command in COMMANDS)
    assert len(BY_LETTER) == sum(len(command.letters) for command in COMMANDS)
    assert len(BY_NAME) == len(COMMANDS)


@pytest.mark.parametrize(
    ("signals", "stop", "reload"),
    [
        ([SIGHUP], Stop.NO, True),
        ([SIGTERM], Stop.GRACEFUL, False),
        ([signal.SIGINT], Stop.GRACEFUL, False),
        ([signal.SIGQUIT], Stop.NOW, False),
        ([SIGTERM, SIGTERM], Stop.NOW, False),
        ([SIGTERM, signal.SIGINT], Stop.NOW, False),
        ([SIGHUP, SIGTERM], Stop.GRACEFUL, False),
        ([SIGTERM, SIGHUP], Stop.GRACEFUL, False),
        ([signal.SIGQUIT, SIGTERM], Stop.NOW, False),
        ([signal.SIGURG, signal.SIGUSR1], Stop.NO, False),
    ],
)
def test_commands(signals: list[signal.Signals], stop: Stop, reload: bool) -> None:
    fleet = Fleet(60.0, reload_wanted=None)
    for moment, number in enumerate(signals):
        BY_SIGNAL[number].apply(fleet, float(moment))
    assert (fleet.stop, fleet.reload_wanted is not None) == (stop, reload)
