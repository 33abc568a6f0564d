"""A request is ended in the middle of a query, whose connection came from a pool. No other request gets its answer."""

from __future__ import annotations

import http.client
import importlib.util
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live import databases, ps
from tests.live.client import PATIENCE, Answer
from tests.live.server import Server

APP = """
import gevent, gevent.socket, json, os
from contextlib import contextmanager

known = json.loads(os.environ["KNOWN"])
asks = {}  # by the pool's name: a function that returns what the server echoes, with a slow query or a fast one
inside = {}  # the greenlets that are in a slow query


def made(name):
    return lambda ask: asks.update({name: ask}) or ask


if known["mariadb"]:
    import pymysql, sqlalchemy, queue

    url = f"mysql+pymysql://root@localhost/?unix_socket={known['mariadb']}"
    mysql = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0)

    @made("sqlalchemy-pymysql")
    def ask(text, slow):
        with mysql.connect() as connection:
            query = sqlalchemy.text(f"SELECT SLEEP({2 if slow else 0}), :text")
            return connection.execute(query, {"text": text}).fetchone()[1]

    plain = queue.LifoQueue()

    @made("pymysql")
    def ask(text, slow):
        try:
            connection = plain.get(block=False)
            connection.ping(reconnect=True)
        except queue.Empty:
            connection = pymysql.connect(unix_socket=known["mariadb"], user="root")
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT SLEEP(%s), %s", (2 if slow else 0, text))
                return cursor.fetchone()[1]
        finally:
            plain.put(connection)


if known["postgres"]:
    import psycopg_pool, sqlalchemy

    def engine(driver):
        url = f"postgresql+{driver}://postgres@/postgres?host={known['postgres']}"
        found = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0)

        @made(f"sqlalchemy-{driver}")
        def ask(text, slow):
            with found.connect() as connection:
                query = sqlalchemy.text(f"SELECT pg_sleep({2 if slow else 0}), CAST(:text AS text)")
                return connection.execute(query, {"text": text}).fetchone()[1]

    engine("psycopg")
    engine("psycopg2")
    pool = psycopg_pool.ConnectionPool(
        f"host={known['postgres']} user=postgres dbname=postgres", min_size=1, max_size=1, open=True
    )

    @made("psycopg_pool")
    def ask(text, slow):
        with pool.connection() as connection:
            return connection.execute("SELECT pg_sleep(%s), %s::text", (2 if slow else 0, text)).fetchone()[1]


if known["redis"]:
    import redis

    client = redis.Redis(unix_socket_path=known["redis"], max_connections=2, decode_responses=True)
    other = redis.Redis(unix_socket_path=known["redis"])

    @made("redis")
    def ask(text, slow):
        return client.blpop(text, 20)[1] if slow else client.echo(text)

    idle = []

    @made("careless")
    def ask(text, slow):
        if idle:
            sock = idle.pop()
        else:
            sock = gevent.socket.socket(gevent.socket.AF_UNIX)
            sock.connect(known["redis"])
        file = sock.makefile("rb")
        try:
            sock.sendall(f"BLPOP {text} 20\\r\\n".encode() if slow else f"ECHO {text}\\r\\n".encode())
            lines = [file.readline() for _ in range(5 if slow else 2)]
            if lines[-1] == b"":
                raise ConnectionError("it has ended")
        except Exception:
            sock.close()
            raise
        finally:
            file.close()
            if sock.fileno() >= 0:
                idle.append(sock)
        return lines[-1].strip().decode()


def app(environ, start_response):
    kind, name, text = environ["PATH_INFO"].strip("/").split("/")
    if kind == "inside":
        said = json.dumps([*asks, *inside])
    elif kind == "end":
        for greenlet in inside.values():
            greenlet.kill(block=False)
        said = ""
    elif kind == "fast":
        said = asks[name](text, False)
    elif kind == "late":  # the answers that nobody waits for any more come now
        if known["redis"]:
            other.rpush(text, text)
        said = ""
    else:
        inside[text] = gevent.getcurrent()
        try:
            said = asks[name](text, True)
        finally:
            del inside[text]
    start_response("200 OK", [])
    return [said.encode()]
"""

POOLS = (
    *("sqlalchemy-pymysql", "pymysql", "sqlalchemy-psycopg"),
    *("sqlalchemy-psycopg2", "psycopg_pool", "redis", "careless"),
)
NEEDS = {"mariadb": ("pymysql", "sqlalchemy"), "postgres": ("psycopg", "psycopg2", "psycopg_pool"), "redis": ("redis",)}


class Site:
    """A server under test whose application asks databases. asks: by the names of POOLS."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.pools = [name for name in self.inside() if name in POOLS]

    def get(self, kind: str, name: str = "-", text: str = "-") -> Answer:
        return self.server.get(f"/{kind}/{name}/{text}")

    def inside(self) -> list[str]:
        """The pools that there are, and what is asked slowly at the moment."""
        found: list[str] = json.loads(self.get("inside").body)
        return found


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ExitStack() as made:
        folder = Path(made.enter_context(tempfile.TemporaryDirectory(prefix="greenwsgi-databases-")))
        folder.chmod(0o755)
        known = {}
        for name, needs in NEEDS.items():
            there = all(importlib.util.find_spec(one) for one in needs)
            known[name] = made.enter_context(getattr(databases, name)(folder)) if there else None
        options = ("--lazy-apps", "--harakiri-for", "^/harakiri 1", "--end-on-disconnect")
        env = {"KNOWN": json.dumps(known)}
        yield Site(made.enter_context(Server(*options, app=APP, env=env)))


def ask_slowly(site: Site, kind: str, pools: list[str], closed: ExitStack) -> list[str]:
    """One request to each of those pools, all of which wait for its server's answer now; what they ask for."""
    asked: list[str] = []
    for name in pools:
        connection = http.client.HTTPConnection("127.0.0.1", site.server.http_port, timeout=PATIENCE)
        closed.callback(connection.close)
        text = f"{kind}-of-{len(asked)}"
        connection.request("GET", f"/{kind}/{name}/{text}")
        asked.append(text)
    ps.wait_until(lambda: set(asked) <= {*site.inside()}, "slow queries")
    return asked


@pytest.mark.parametrize("how", ["harakiri", "leave", "kill"])
def test_nobody_gets_the_answer_to_a_query_that_was_ended(site: Site, how: str) -> None:
    if not site.pools:
        pytest.skip("there is no mariadbd, no postgres and no redis-server here")
    # What the application throws in itself is not ours to make good.
    pools = [name for name in site.pools if how != "kill" or name != "careless"]
    with ExitStack() as closed:
        asked = ask_slowly(site, how, pools, closed)
        if how == "kill":
            site.get("end")
        elif how == "leave":
            closed.close()
        ps.wait_until(lambda: not {*asked} & {*site.inside()}, "the end of the slow queries")
    for text in asked:
        site.get("late", text=text)
    wrong = {}
    for name in pools:
        answers = [site.get("fast", name, f"{how}-{number}") for number in range(10)]
        found = [answer.text if answer.status == 200 else answer.status for answer in answers]
        allowed = [{f"{how}-{number}", 500} for number in range(10)]  # an error is none of anybody's data
        if not all(one in fine for one, fine in zip(found, allowed, strict=True)) or found[-1] != f"{how}-9":
            wrong[name] = found
    assert wrong == {}


@pytest.mark.parametrize("name", POOLS)
def test_the_pool_is_there(site: Site, name: str) -> None:
    """Or else the reason."""
    if name not in site.pools:
        pytest.skip(f"no server or driver for {name!r}: see .ci/programs and the extra `test`")
