"""A real uWSGI as referee: what its --show-config prints is what we read.

`pip install greenwsgi[referee]` builds it. The differences that are wanted stand in docs/configuration.md; the files
made here have none of them.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path

import pytest

from greenwsgi.config.load import read
from greenwsgi.errors import UsageError

UWSGI = shutil.which("uwsgi", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))
FILES = 200
ENVIRON = {"HOME": "/home/me", "N": "3", "EMPTY": "", "NESTED": "$(N)", "PATH": os.environ.get("PATH", "")}

pytestmark = pytest.mark.skipif(UWSGI is None, reason="there is no uwsgi: pip install greenwsgi[referee] builds one")

NAMES = ("alpha", "beta", "gamma", "delta", "procname", "procname-master", "env", "mode")
MAGIC = [f"%{letter}" for letter in "psdencx019vhoijkuUgGPSDENCXOIJ%q["]
PLAIN = ["a", "7", " ", "/x", "12abc", "$", "%(", ")", "=", '"q"', "$()", "%()", "@"]
CONDITIONS = """
env = N|env = N=3|env = N=4|env = GONE|env = EMPTY|file = one.txt|file = .|dir = sub|dir = one.txt|exists = sub
exists = gone|opt = alpha|opt = beta=a|opt = procname=7|hostname = nowhere|hostname = %h|reload =|plugin = python
plugin = nothing-of-that-name
"""
ODDITIES = """
# = comment|  ; comment||master|vacuum =|set = gamma=7|set = procname=2|set-ph = ph=x|ph = y|ini = part.ini:second
"""
FILES_IN_IT = """
ini = part.ini|ini = part.ini:second|include = part.ini|ini = sub/part.ini
"""
PART = "[uwsgi]\ndelta = part %p %P %o %x\nif-env = N\nbeta = %(_)%(alpha)\nendif\n[second]\nalpha = second %x %X %s\n"


def words(block: str) -> list[str]:
    return block.strip().replace("\n", "|").split("|")


class Writer:
    """Writes one random file: all that it draws comes from its seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def file(self) -> str:
        return "\n".join(["; made here", "[uwsgi]", *self.lines(), "[other]", "alpha = other", ""])

    def lines(self) -> Iterator[str]:
        for _ in range(self.random.randint(3, 14)):
            yield from self.pick([self.assignment] * 6 + [self.loop, self.condition, self.oddity, self.another])()

    def assignment(self) -> Iterator[str]:
        equals, end = self.pick([" = ", "=", " =\t"]), self.pick(["", "", " ", " ; x"])
        yield f"{self.pick(NAMES)}{equals}{self.value()}{end}"

    def value(self) -> str:
        return "".join(self.piece() for _ in range(self.random.randint(1, 4))).strip()

    def piece(self) -> str:
        pieces: list[Callable[[], str]] = [
            lambda: self.pick(PLAIN),
            lambda: self.pick(MAGIC),
            lambda: f"%({self.pick(NAMES)})",
            self.arithmetic,
            lambda: f"$({self.pick(['HOME', 'N', 'EMPTY', 'NESTED', 'NOT_SET', 'N$(N)'])})",
            lambda: f"@({self.pick(['one.txt', 'two.txt', 'exec://echo out; echo put', 'empty.txt'])})",
            lambda: "%(_)",
        ]
        return self.pick(pieces)()

    def arithmetic(self) -> str:
        first = self.pick([*NAMES, "4", "10", "0", "+", "-", "*", "/", "++", "--", "", "-3", "%(alpha)", "(x)"])
        rest = [self.pick([*NAMES[:4], "2", "+", "-", "*", "/", "++"]) for _ in range(self.random.randint(1, 4))]
        return f"%({' '.join([first, *rest])})"

    def loop(self) -> Iterator[str]:
        yield self.pick(["for = a b  c", "for =", "for-times = 3 x", "for-times = no", "for-glob = *.txt"])
        yield from self.inside()
        yield self.pick(["endfor =", "end-for", "end =", "endif"])

    def condition(self) -> Iterator[str]:
        yield f"if-{self.pick(['', 'not-'])}{self.pick(words(CONDITIONS))}"
        yield from self.inside()
        yield self.pick(["endif =", "end-if", "end =", "endfor"])

    def inside(self) -> Iterator[str]:
        for _ in range(self.random.randint(0, 3)):
            yield from self.pick([self.assignment, self.assignment, self.oddity])()

    def oddity(self) -> Iterator[str]:
        yield self.pick(words(ODDITIES))

    def another(self) -> Iterator[str]:
        yield self.pick(words(FILES_IN_IT))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name, text in {"one.txt": "one\n", "two.txt": "1\r", "empty.txt": "", "part.ini": PART}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "sub/part.ini").write_text(PART)
    return tmp_path


def theirs(name: str, folder: Path) -> list[str]:
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -n 64; exec "$@"', "-", str(UWSGI), "--no-server", "--show-config", "--ini", name],
        cwd=folder,
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    said = done.stderr.decode()
    assert "\n;end of configuration" in said, f"{name}: {said}"
    return said.split("\n[uwsgi]\n", 1)[1].split("\n;end of configuration", 1)[0].split("\n")[2:]


def ours(name: str) -> list[str]:
    reading = read(["--ini", name], ENVIRON, lambda text: None)
    return "\n".join(f"{one.key} = {one.text}" for one in reading.assignments).split("\n")


def files(folder: Path) -> Iterator[str]:
    """Names of files that we can read; uWSGI would be busy for ever with what we refuse, for it has no end."""
    for seed in count():
        name = f"{seed}.ini"
        (folder / name).write_text(Writer(seed).file())
        try:
            ours(name)
        except UsageError as error:
            if not error.text.endswith("has no end"):
                raise
        else:
            yield name


@pytest.mark.timeout(240)
def test_200_files_mean_the_same(folder: Path) -> None:
    names = list(islice(files(folder), FILES))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        expected = dict(zip(names, pool.map(lambda name: theirs(name, folder), names), strict=True))
    for name in names:
        assert ours(name) == expected[name], (folder / name).read_text()
