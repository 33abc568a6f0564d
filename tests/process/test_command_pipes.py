"""Commands from the master to its workers: by the pipe of their seat, without waiting, to the right one."""

from __future__ import annotations

import os
from dataclasses import replace
from signal import SIGCONT, SIGKILL, SIGTSTP, SIGURG

import pytest

from greenwsgi.process.supervision.generation_resources import KeptGeneration
from greenwsgi.process.supervision.worker_command_pipes import WorkerCommandPipes
from greenwsgi.shared.descriptor_numbers import FIRST_HIGH
from greenwsgi.shared.message_pipes import MessageReader
from greenwsgi.shared.messages import Pause, ReopenLog, Resume
from greenwsgi.shared.resources import Resources
from tests.process.test_handover import execute, handed_over
from tests.process.world import NOT_LONG, World


def test_pause_and_resume_need_no_signal(serving: World) -> None:
    before, pids = len(serving.signalled), [worker.pid for worker in serving.workers()]
    serving.command("p")
    serving.run(NOT_LONG)
    assert [worker.paused for worker in serving.workers()] == [True, True]
    serving.command("p")
    serving.run(NOT_LONG)
    assert [worker.paused for worker in serving.workers()] == [False, False]
    assert serving.commanded == [*((pid, Pause) for pid in pids), *((pid, Resume) for pid in pids)]
    assert serving.signalled[before:] == []
    serving.finish()


def test_an_orphan_obeys_and_so_does_a_worker_of_the_next_zygote(serving: World) -> None:
    orphan, victim = serving.workers()
    serving.die(serving.zygotes()[0], -SIGKILL)
    serving.run(NOT_LONG)
    serving.die(victim, -SIGKILL)
    serving.run(NOT_LONG)
    serving.command("p")
    serving.run(NOT_LONG)
    assert orphan in serving.workers()
    assert victim not in serving.workers()
    assert [worker.paused for worker in serving.workers()] == [True, True]
    serving.finish()


def test_what_a_dead_worker_did_not_read_is_not_for_its_successor(serving: World) -> None:
    victim = serving.workers()[0]
    victim.state = "hangs"  # it reads nothing
    serving.command("p")
    serving.step()
    serving.command("p")
    serving.step()
    victim.state = "alive"
    serving.die(victim, -SIGKILL)
    serving.run(NOT_LONG)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert [worker.paused for worker in serving.workers()] == [False, False]
    assert len(serving.commanded) == 2, "the other's"
    serving.finish()


def test_a_worker_that_reads_nothing_is_not_waited_for(serving: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenwsgi.log.server_log.ServerLog.reopen", lambda *_: None)
    deaf = serving.workers()[0]
    deaf.state = "hangs"
    for _ in range(3000):
        serving.master.open_log("moved")
        serving.step()
    lost = f"worker {deaf.number} (pid {deaf.pid}) does not read its commands: reopen-log is lost"
    assert lost in serving.log
    deaf.state = "alive"
    serving.finish()


def pipes_of(generation: KeptGeneration) -> list[int]:
    """Both ends of each seat's command pipe."""
    return [one.fd for one in generation.resources if one.name.startswith("worker-commands-")]


def test_pipes_are_kept_over_a_reexec(serving: World) -> None:
    handed = handed_over(serving)
    (kept,) = (pipes_of(cycle) for cycle in handed.cycles.values())
    assert len(kept) == 8
    assert set(kept) <= set(handed.descriptors())
    assert min(kept) >= FIRST_HIGH
    execute(serving, handed)
    serving.command("p")
    serving.run(NOT_LONG)
    assert [worker.paused for worker in serving.workers()] == [True, True]
    serving.finish()


def test_workers_of_an_old_greenwsgi_get_signals(serving: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a re-exec they stay until a generation with pipes serves; for ever if none comes up."""
    monkeypatch.setattr("greenwsgi.log.server_log.ServerLog.reopen", lambda *_: None)
    handed = handed_over(serving)
    ((number, cycle),) = handed.cycles.items()
    for fd in pipes_of(cycle):
        os.close(fd)
    others = Resources(tuple(one for one in cycle.resources if one.fd not in pipes_of(cycle)))
    execute(serving, replace(handed, cycles={number: replace(cycle, resources=others)}))
    (zygote,), workers = serving.zygotes(), serving.workers()
    zygote.resources = Resources()
    serving.command("p")
    serving.run(NOT_LONG)
    serving.command("p")
    serving.run(NOT_LONG)
    serving.master.open_log("moved")
    wanted = [*((one.pid, SIGTSTP) for one in workers), *((one.pid, SIGCONT) for one in workers)]
    assert serving.signalled == [*wanted, (zygote.pid, SIGURG), *((one.pid, SIGURG) for one in workers)]
    serving.finish()


def test_pipes_leave_nothing_open() -> None:
    before = os.listdir("/dev/fd")
    pipes = WorkerCommandPipes.create(3)
    assert pipes.send(1, ReopenLog(7))
    assert [MessageReader(reader).read() for reader in pipes.resources.inherited().descriptors] == [
        [],
        [ReopenLog(7)],
        [],
    ]
    assert not any(os.get_inheritable(fd) for fd in pipes.resources.descriptors)
    pipes.close()
    assert os.listdir("/dev/fd") == before
    assert not pipes


def test_too_few_descriptors_leave_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    before, real, left = os.listdir("/dev/fd"), os.pipe, [None, None]

    def pipe() -> tuple[int, int]:
        if not left:
            raise OSError(24, "Too many open files")
        left.pop()
        return real()

    monkeypatch.setattr("os.pipe", pipe)
    with pytest.raises(OSError, match="Too many"):
        WorkerCommandPipes.create(3)
    assert os.listdir("/dev/fd") == before
