"""Three times a worker's capacity, offered for some seconds: how much is served, and how fast is the rest sent away?

python -m tests.bench.overload [--seconds 10] [--queue-size N]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

from tests.live.server import Server

SLOTS, TAKES = 10, 0.05
APP = f"""
import gevent
def app(environ, start_response):
    gevent.sleep({TAKES})
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def ask(port: int, answers: list[tuple[str, float]]) -> None:
    """One request on a connection of its own: its status, or what went wrong, and the seconds it took."""
    begun = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        status = (await reader.read())[9:12].decode()
        writer.close()
    except OSError as error:
        status = repr(error)
    answers.append((status, time.monotonic() - begun))


async def offer(port: int, rate: float, seconds: float) -> list[tuple[str, float]]:
    """Requests at that rate, whether they are answered or not."""
    answers: list[tuple[str, float]] = []
    tasks: list[asyncio.Task[None]] = []
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        while len(tasks) < passed * rate:
            tasks.append(asyncio.create_task(ask(port, answers)))
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--queue-size", type=int, default=-1)
    given = parser.parse_args()
    capacity = SLOTS / TAKES
    options = ["--processes", "1", "--async", str(SLOTS), "--queue-size", str(given.queue_size), "--disable-logging"]
    with Server(*options, app=APP) as server:
        answers = asyncio.run(offer(server.http_port, 3 * capacity, given.seconds))
    served = [took for status, took in answers if status == "200"]
    shed = [took for status, took in answers if status == "503"]
    goodput = len(served) / given.seconds / capacity
    print(f"{len(answers)} offered to a capacity of {capacity:.0f}/s for {given.seconds:g} s: goodput {goodput:.0%}")
    for name, times in (("200", served), ("503", shed)):
        if times:
            print(
                f"  {name}: {len(times)}, median {statistics.median(times) * 1e3:.1f} ms, last {max(times) * 1e3:.1f}"
            )
    print(f"  anything else: {len(answers) - len(served) - len(shed)}")


if __name__ == "__main__":
    main()
