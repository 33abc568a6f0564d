"""Measure greenwsgi beside gevent's own ceiling, taking turns, and print processor time a request and their ratio.

    python -m tests.bench [--seconds 3] [--rounds 3] [--polls 5000] [http] [http-close] [uwsgi] [longpoll]

us/req is user and system time of the server's whole process tree, the median over the rounds. Compare ratios of one
run only: the microseconds are the machine's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.live import ps
from tests.live.client import free_port, read_answer
from tests.live.server import ROOT, Server

TICKS = os.sysconf("SC_CLK_TCK")
SCENARIOS = ("http", "http-close", "uwsgi")
CONNECTIONS = 32


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("scenario", nargs="*", help="of http, http-close, uwsgi, longpoll (default all)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load a round (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (default 3)")
    parser.add_argument("--polls", type=int, default=5000, help="connections held by longpoll (default 5000)")
    asked = parser.parse_args()
    failed = 0
    chosen = asked.scenario or [*SCENARIOS, "longpoll"]
    if unknown := set(chosen) - {*SCENARIOS, "longpoll"}:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    requests = [scenario for scenario in chosen if scenario != "longpoll"]
    if requests:
        print(f"{'scenario':12} {'ceiling us/req':>14} {'greenwsgi us/req':>16} {'ratio':>6} {'failed':>6}")
    for scenario in requests:
        failed += measure(scenario, asked.seconds, asked.rounds)
    if "longpoll" in chosen:
        measure_longpoll(asked.polls)
    return 1 if failed else 0


def measure(scenario: str, seconds: float, rounds: int) -> int:
    """Print one row; returns how many requests failed."""
    costs: dict[str, list[float]] = {"ceiling": [], "greenwsgi": []}
    failed = 0
    for _ in range(rounds):
        for name, start in (("ceiling", ceiling), ("greenwsgi", greenwsgi)):
            with start(scenario) as (pid, port):
                before = processor_seconds(pid)
                answers, bad = drive(port, scenario, seconds)
                costs[name].append((processor_seconds(pid) - before) / max(answers, 1) * 1e6)
                failed += bad
    low, own = statistics.median(costs["ceiling"]), statistics.median(costs["greenwsgi"])
    print(f"{scenario:12} {low:14.1f} {own:16.1f} {own / low:6.2f} {failed:6}", flush=True)
    return failed


def measure_longpoll(polls: int) -> None:
    """Hold `polls` requests in one worker of examples/longpoll.py, then wake them all."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    options = ["--async", str(polls + 100), "--wsgi-file", str(ROOT / "examples/longpoll.py"), "--disable-logging"]
    with Server(*options, app=None) as server, ExitStack() as stack:
        (worker,) = server.workers()
        server.get("/waiting")
        before = ps.resident(worker)
        browsers = [stack.enter_context(server.connect()) for _ in range(polls)]
        for browser in browsers:
            browser.sendall(b"GET /wait?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        ps.wait_until(lambda: json.loads(server.get("/waiting").body)["waiting"] == polls, "all waiting")
        held = (ps.resident(worker) - before) / polls / 1024
        began = time.monotonic()
        server.request("POST", "/say", b"news")
        good = sum(json.loads(read_answer(browser).body)["messages"] == ["news"] for browser in browsers)
        woken = time.monotonic() - began
        print(f"longpoll     {polls} held in one worker: {held:.1f} kB each; {good} woken in {woken:.2f} s", flush=True)


# The two servers; each gives the process to measure and its port


@contextmanager
def greenwsgi(scenario: str) -> Iterator[tuple[int, int]]:
    options = ["--disable-logging", "--wsgi-file", str(Path(__file__).with_name("app.py"))]
    with Server(*options, app=None, uwsgi=True) as server:
        for pid in server.processes():
            pin(pid, 0)
        yield server.pid, server.uwsgi_port if scenario == "uwsgi" else server.http_port


@contextmanager
def ceiling(scenario: str) -> Iterator[tuple[int, int]]:
    port, mode = free_port(), "keep" if scenario == "http" else "close"
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.ceiling", str(port), mode], cwd=ROOT)
    try:
        pin(process.pid, 0)
        ps.wait_until(lambda: answers(port), "the ceiling's listening")
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


def drive(port: int, scenario: str, seconds: float) -> tuple[int, int]:
    """Load for so long; returns (whole answers, failures)."""
    command = [sys.executable, "-m", "tests.bench.generator", str(port), scenario, str(seconds), str(CONNECTIONS)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        pin(process.pid, 1)
        output, _ = process.communicate()
    good, bad = output.split()
    return int(good), int(bad)


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


# What /proc knows


def processor_seconds(pid: int) -> float:
    """User and system time of a process and all below it, as far as they live."""
    everything = ps.everything()
    tree = {pid}
    while more := {process.pid for process in everything if process.parent in tree} - tree:
        tree |= more
    total = 0
    for member in tree:
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def pin(pid: int, processor: int) -> None:
    """Server and load each get a processor of their own, where there are two and the system lets us choose."""
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(pid, {sorted(os.sched_getaffinity(0))[processor]})


if __name__ == "__main__":
    sys.exit(main())
