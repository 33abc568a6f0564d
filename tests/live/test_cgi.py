"""CGI programs in sh, Python and C, run by a real server, over HTTP and uwsgi."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import ps
from tests.live.client import PATIENCE, read_answer, uwsgi_packet
from tests.live.server import Server
from tests.live.test_examples import EXAMPLES, written_options
from tests.live.test_mistakes import check, run

SH = "#!/bin/sh\n"

PROGRAMS = {
    "env.sh": SH + "echo Content-Type: text/plain\necho\nenv\n",
    "echo.sh": SH + 'echo "Content-Type: $CONTENT_TYPE"; echo; echo "$CONTENT_LENGTH:"; cat\n',
    "pwd.sh": SH + "echo Content-Type: text/plain\necho\npwd\n",
    "status.sh": SH + 'printf "Status: 418 Teapot\\nContent-Type: text/plain\\nX-A: 1\\nX-A: 2\\n\\nshort and stout"\n',
    "away.sh": SH + 'printf "Location: https://example.org/\\n\\n"\n',
    "local.sh": SH + 'printf "Location: /cgi/env.sh/there?now=1\\n\\n"\n',
    "to-app.sh": SH + 'printf "Location: /app\\n\\n"\n',
    "circle.sh": SH + 'printf "Location: /cgi/circle.sh\\n\\n"\n',
    "stderr.sh": SH + 'echo "Content-Type: text/plain"; echo; echo one; echo "to the log" >&2; printf "no end" >&2\n',
    "nothing.sh": SH + "exit 3\n",
    "killed.sh": SH + "kill -9 $$\n",
    "rubbish.sh": SH + "echo this is no header; echo\n",
    "cut.sh": SH + 'printf "Content-Type: text/plain\\nContent-Length: 100\\n\\nshort"\n',
    "killed-late.sh": SH + 'printf "Content-Type: text/plain\\n\\nbegun"; kill -9 $$\n',
    "fails-late.sh": SH + 'printf "Content-Type: text/plain\\n\\nwhole"; exit 4\n',
    "no-line.sh": "echo Content-Type: text/plain; echo; echo hello\n",
    "no-shell.sh": "#!/no/such/shell\n",
    # It says its pid and waits with a child of its own; both are in one group.
    "wait.sh": SH + "echo $$ >$QUERY_STRING; sleep 1000\n",
    "deaf.sh": SH + "trap '' TERM; echo $$ >$QUERY_STRING; sleep 1000; sleep 1000\n",
    "late.sh": SH + 'printf "Content-Type: text/plain\\n\\nbegun"; echo $$ >$QUERY_STRING; sleep 1000\n',
    "leaves.sh": SH
    + "echo Content-Type: text/plain; echo; sleep 1000 <&- >&- 2>&- & echo $! >$QUERY_STRING; echo left\n",
    "deaf-ear.sh": SH + 'exec 0<&-; printf "Content-Type: text/plain\\n\\nread nothing"\n',
    "stream.py": """
import sys
print("Content-Type: text/plain\\n", flush=True)
for line in sys.stdin:
    print("heard " + line.strip(), flush=True)
""",
    "big.py": """
import sys
print("Content-Type: application/octet-stream\\n", flush=True)
total = 0
while data := sys.stdin.buffer.read(65536):
    sys.stdout.buffer.write(data)
""",
    "nph-own.sh": SH + 'printf "HTTP/1.1 203 Own\\r\\nContent-Type: text/plain\\r\\n\\r\\nown"\n',
    "plain.txt": "not a program",
}

C_PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    long length = getenv("CONTENT_LENGTH") ? atol(getenv("CONTENT_LENGTH")) : 0;
    long sum = 0;
    while (length-- > 0) sum += getchar();
    printf("Content-Type: text/plain\r\n\r\n%s %s %ld\n", getenv("REQUEST_METHOD"), getenv("QUERY_STRING"), sum);
    return 0;
}
"""

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [f"the application: {environ['REQUEST_METHOD']} {environ['PATH_INFO']}".encode()]
"""


def write_programs(folder: Path) -> None:
    folder.mkdir()
    for name, text in PROGRAMS.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 if name.endswith(".sh") else 0o644)
    (folder / "out.sh").symlink_to("/bin/sh")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs") / "cgi"
    write_programs(folder)
    return folder


@pytest.fixture(scope="module")
def site(programs: Path) -> Iterator[Server]:
    """An application with a folder of programs beside it."""
    options = ["--cgi", f"/cgi={programs}", "--cgi-helper", f".py={sys.executable} -S", "--limit-post", "3000000"]
    options += ["--cgi-allowed-ext", ".sh", "--cgi-allowed-ext", ".py", "--cgi-allowed-ext", ".c"]
    with Server(*options, app=APP, uwsgi=True, env={"SECRET": "of the server", "HTTP_PROXY": "x"}) as server:
        yield server


def environment(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


# What is asked and answered


def test_environment(site: Server, programs: Path) -> None:
    answer = site.request("GET", "/cgi/env.sh/a%20b/c?x=%20y", headers={"Proxy": "http://evil", "Accept": "a/b"})
    assert answer.headers["content-type"] == "text/plain"
    found = environment(answer.text)
    for name, value in {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SCRIPT_NAME": "/cgi/env.sh",
        "SCRIPT_FILENAME": f"{programs}/env.sh",
        "PATH_INFO": "/a b/c",
        "PATH_TRANSLATED": f"{programs}/a b/c",
        "QUERY_STRING": "x=%20y",
        "REQUEST_METHOD": "GET",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_PORT": str(site.http_port),
        "HTTP_ACCEPT": "a/b",
        "PATH": os.environ["PATH"],
    }.items():
        assert found[name] == value, name
    assert not {"HTTP_PROXY", "SECRET", "PYTHONPATH", "LISTEN_FDS", "CONTENT_LENGTH"} & set(found)


def test_environment_over_uwsgi(site: Server) -> None:
    """What the gateway says is passed on, but for names that would load code."""
    more = {"REMOTE_USER": "ann", "HTTPS": "on", "LD_PRELOAD": "/tmp/x.so", "PYTHONPATH": "/tmp", "HTTP_PROXY": "evil"}
    more |= {"HTTP_proxy": "evil", "http_proxy": "evil", "SSL_CERT_FILE": "/tmp/x.pem", "SSL_CERT_DIR": "/tmp"}
    found = environment(site.uwsgi("/cgi/env.sh?q", variables=more).text)
    assert (found["REMOTE_ADDR"], found["REMOTE_USER"], found["HTTPS"]) == ("192.0.2.7", "ann", "on")
    assert (found["QUERY_STRING"], found["REQUEST_SCHEME"]) == ("q", "https")
    assert set(more) & set(found) == {"REMOTE_USER", "HTTPS"}


def test_folder(site: Server, programs: Path) -> None:
    assert site.get("/cgi/pwd.sh").text.strip() == str(programs)


def test_body(site: Server) -> None:
    headers = {"Content-Type": "text/x"}
    answer = site.request("POST", "/cgi/echo.sh", b"hello", headers)
    assert (answer.headers["content-type"], answer.text) == ("text/x", "5:\nhello")
    assert site.uwsgi("/cgi/echo.sh", b"hello").text == "5:\nhello"


def test_body_of_unknown_length_is_measured(site: Server) -> None:
    headers = {"Content-Type": "text/x"}
    assert site.request("POST", "/cgi/echo.sh", iter([b"hel", b"lo"]), headers).text == "5:\nhello"
    large = b"x" * 2_000_000  # not in memory any more
    assert site.request("POST", "/cgi/echo.sh", iter([large]), headers).body == b"2000000:\n" + large


def test_body_of_unknown_length_that_is_too_large(site: Server) -> None:
    with site.connect() as client:
        client.sendall(b"POST /cgi/echo.sh HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"300000\r\n")  # 3 MiB are promised
        assert read_answer(client).status == 413


def test_stdin_and_stdout_are_streams(site: Server) -> None:
    """Each line is answered before the next one is sent. Not of a small body, which is read first."""
    with site.connect() as client:
        client.sendall(b"POST /cgi/stream.py HTTP/1.1\r\nHost: x\r\nContent-Length: 20016\r\n\r\n")
        client.sendall(b"-" * 20_000 + b"\n")
        got = b""
        for number in range(3):
            client.sendall(b"line%d" % number)
            client.sendall(b"\n")
            while f"heard line{number}".encode() not in got:
                data = client.recv(65536)
                assert data, got
                got += data
            if number == 1:
                break
        client.sendall(b"xyz")
        while b"heard xyz" not in got:
            got += client.recv(65536)


def test_much_both_ways(site: Server) -> None:
    """More than any pipe holds, with nobody reading ahead."""
    body = os.urandom(2_500_000)
    assert site.request("POST", "/cgi/big.py", body).body == body


def test_a_program_that_does_not_read(site: Server) -> None:
    assert site.request("POST", "/cgi/deaf-ear.sh", b"x" * 1_000_000).text == "read nothing"


def test_status_and_headers(site: Server) -> None:
    answer = site.get("/cgi/status.sh")
    assert (answer.status, answer.text) == (418, "short and stout")
    assert site.request("HEAD", "/cgi/status.sh").body == b""
    assert site.get("/cgi/nph-own.sh").status == 203


def test_redirects(site: Server) -> None:
    answer = site.get("/cgi/away.sh")
    assert (answer.status, answer.headers["location"]) == (302, "https://example.org/")
    found = environment(site.request("POST", "/cgi/local.sh", b"body").text)
    assert (found["REQUEST_METHOD"], found["PATH_INFO"], found["QUERY_STRING"]) == ("GET", "/there", "now=1")
    assert "CONTENT_LENGTH" not in found
    assert site.get("/cgi/to-app.sh").text == "the application: GET /app"
    assert site.get("/cgi/circle.sh").status == 502


def test_the_application_answers_what_is_not_mounted(site: Server) -> None:
    assert site.get("/cgix").text == "the application: GET /cgix"


def test_stderr_is_logged(site: Server) -> None:
    mark = site.mark()
    assert site.get("/cgi/stderr.sh").text == "one\n"
    site.wait_for(r"cgi: \S+/stderr\.sh \(pid \d+\): to the log$", after=mark)
    site.wait_for(r"cgi: \S+/stderr\.sh \(pid \d+\): no end$", after=mark)


def test_access_line(site: Server) -> None:
    mark = site.mark()
    site.get("/cgi/status.sh?logged")
    site.wait_for(r"GET /cgi/status\.sh\?logged => generated 15 bytes in \d+ msecs \(HTTP/1\.1 418\)", after=mark)


@pytest.mark.parametrize("path", ["/cgi/", "/cgi/out.sh", "/cgi/plain.txt"])
def test_forbidden(site: Server, path: str) -> None:
    assert site.get(path).status == 403


@pytest.mark.parametrize(
    ("path", "status"), [("/cgi/none.sh", 404), ("/cgi/%2e%2e/cgi/none.sh", 404), ("/cgi/env.sh%00", 400)]
)
def test_not_there(site: Server, path: str, status: int) -> None:
    assert site.get(path).status == status


def test_dots_lead_out_of_the_mount_to_the_application(site: Server) -> None:
    assert site.get("/cgi/%2e%2e/%2e%2e/bin/ls").text == "the application: GET /bin/ls"


def test_paths_over_uwsgi_lead_nowhere_either(site: Server) -> None:
    """There nobody has resolved the dots."""
    assert site.uwsgi("/x", variables={"PATH_INFO": "/cgi/../../../bin/ls"}).status == 404
    assert site.uwsgi("/x", variables={"PATH_INFO": "/cgi/env.sh/../../../etc/passwd"}).status == 404


# Programs that fail


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing.sh", "did not answer: it ended with status 3 before the end of its head"),
        ("killed.sh", "did not answer: it died by signal 9 before the end of its head"),
        ("rubbish.sh", "did not answer: no header line: b'this is no header'"),
        ("no-shell.sh", "cannot run .*: No such file or directory"),
        ("no-line.sh", "cannot run .*: Exec format error"),
    ],
)
def test_bad_gateway(site: Server, name: str, said: str) -> None:
    mark = site.mark()
    assert site.get(f"/cgi/{name}").status == 502
    site.wait_for(said, after=mark)
    assert "Traceback" not in site.log


@pytest.mark.parametrize("name", ["cut.sh", "killed-late.sh"])
def test_an_answer_that_breaks_off_is_seen_to(site: Server, name: str) -> None:
    with site.connect() as client:
        client.sendall(f"GET /cgi/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with pytest.raises(http.client.IncompleteRead):
            read_answer(client)
    assert "Traceback" not in site.log


def test_a_status_behind_a_whole_answer_is_only_logged(site: Server) -> None:
    mark = site.mark()
    assert site.get("/cgi/fails-late.sh").text == "whole"
    site.wait_for(r"fails-late\.sh \(pid \d+\) ended with status 4", after=mark)


# Ends


def pid_in(path: Path) -> int:
    """The pid that a program has written down."""
    ps.wait_until(lambda: path.exists() and path.read_text().endswith("\n"), "the program's beginning")
    return int(path.read_text())


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_client_that_leaves_takes_its_program_along(site: Server, tmp_path: Path) -> None:
    for name in ("wait.sh", "late.sh", "deaf.sh"):
        file = tmp_path / name
        with site.connect() as client:
            client.sendall(f"GET /cgi/{name}?{file} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            group = pid_in(file)
        ps.wait_until(lambda group=group: group_is_gone(group), f"the end of {name} and its child")  # type: ignore[misc]


def test_timeout(programs: Path, tmp_path: Path) -> None:
    with Server("--cgi", str(programs), "--cgi-timeout", "0.5", app=None) as server:
        assert server.get(f"/wait.sh?{tmp_path}/a").status == 504
        ps.wait_until(lambda: group_is_gone(pid_in(tmp_path / "a")), "the end of the program")
        server.wait_for(r"wait\.sh was ended: it was silent for 0\.5 s \(cgi-timeout\)")
        with server.connect() as client:
            client.sendall(f"GET /late.sh?{tmp_path}/b HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            with pytest.raises(http.client.IncompleteRead):
                read_answer(client)
        assert server.get("/env.sh").status == 200
        assert "Traceback" not in server.log


def test_harakiri(programs: Path, tmp_path: Path) -> None:
    with Server("--cgi", str(programs), "--harakiri", "1", app=None) as server:
        assert server.get(f"/wait.sh?{tmp_path}/a").status == 504
        ps.wait_until(lambda: group_is_gone(pid_in(tmp_path / "a")), "the end of the program")
        assert server.get("/env.sh").status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("end", ["alone", "after its zygote"])
def test_a_worker_that_dies_takes_its_programs_and_their_children_along(
    programs: Path, tmp_path: Path, end: str
) -> None:
    with Server("--cgi", str(programs), app=None) as server:
        with server.connect() as client:
            client.sendall(f"GET /wait.sh?{tmp_path}/a HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            group = pid_in(tmp_path / "a")
            (worker,) = server.workers()
            ps.wait_until(lambda: sum(one.session == group for one in ps.living()) == 2, "the program's child")
            if end == "after its zygote":
                (zygote,) = server.zygotes()
                os.kill(zygote, signal.SIGKILL)
                ps.wait_until(
                    lambda: [one.parent for one in ps.living() if one.pid == worker] == [server.pid], "orphan"
                )
            os.kill(worker, signal.SIGKILL)
            ps.wait_until(lambda: group_is_gone(group), "the end of the program and its child")
        server.wait_for(r"started again")
        ps.wait_until(lambda: worker not in server.workers() and len(server.workers()) == 1, "the next worker")


BLOCKS = """
from gevent.monkey import get_original
def app(environ, start_response):
    get_original("time", "sleep")(1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("how", ["it drains", "it is told to end at once", "its loop is blocked"])
def test_a_worker_that_leaves_since_its_master_died_takes_its_programs_and_their_children_along(
    programs: Path, tmp_path: Path, how: str
) -> None:
    mercy = "60" if how == "it is told to end at once" else "1"
    options = ("--cgi", f"/cgi={programs}", "--worker-reload-mercy", mercy)
    with Server(*options, app=BLOCKS) as server, server.connect() as client, server.connect() as other:
        client.sendall(f"GET /cgi/wait.sh?{tmp_path}/a HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        group = pid_in(tmp_path / "a")
        ps.wait_until(lambda: sum(one.session == group for one in ps.living()) == 2, "the program's child")
        (worker,) = server.workers()
        if how == "its loop is blocked":
            other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for("loop is blocked")
        os.kill(server.pid, signal.SIGKILL)
        if how == "it is told to end at once":
            os.kill(worker, signal.SIGQUIT)
        ps.wait_gone(worker)
        ps.wait_until(lambda: group_is_gone(group), "the end of the program and its child")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_what_a_program_leaves_behind_when_it_has_ended_is_nobody_s_business(programs: Path, tmp_path: Path) -> None:
    """Neither while its worker lives nor when that dies: the group's number may be another's."""
    with Server("--cgi", str(programs), app=None) as server:
        assert server.get(f"/leaves.sh?{tmp_path}/a").text == "left\n"
        left = pid_in(tmp_path / "a")
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        ps.wait_until(lambda: worker not in server.workers() and len(server.workers()) == 1, "the next worker")
        assert server.get("/env.sh").status == 200
        assert left in [one.pid for one in ps.living()]
        os.kill(left, signal.SIGKILL)
        ps.wait_gone(left)


def test_many_at_once(programs: Path) -> None:
    """More than cgi-processes allows: the others wait their turn."""
    with Server("--cgi", str(programs), "--cgi-processes", "4", app=None) as server:
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda path: answers.append(server.get(path).text), args=[f"/env.sh?{number}"])
            for number in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(int(environment(text)["QUERY_STRING"]) for text in answers) == list(range(40))
        (worker,) = server.workers()
        children = [one for one in ps.living() if one.parent == worker]
        assert children == [], "none is left, dead or alive"
        assert len(os.listdir(f"/proc/{worker}/fd")) < 40 or sys.platform != "linux"


# Alone


def test_index_and_nothing_but_programs(programs: Path) -> None:
    with Server("--cgi", f"/tools={programs}", "--cgi-index", "env.sh", app=None, uwsgi=True) as server:
        assert environment(server.get("/tools").text)["SCRIPT_NAME"] == "/tools/env.sh"
        assert server.get("/elsewhere").status == 404
        packet = bytearray(uwsgi_packet("/tools/env.sh"))
        with server.connect(server.uwsgi_port) as client:
            packet[0] = 9  # as nginx sends it for uWSGI's CGI plugin
            client.sendall(packet)
            assert read_answer(client).status == 200


def test_a_c_program(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler here")
    (tmp_path / "sum.c").write_text(C_PROGRAM)
    subprocess.run([compiler, "-o", str(tmp_path / "sum.cgi"), str(tmp_path / "sum.c")], check=True)
    with Server("--cgi", f"/sum={tmp_path}/sum.cgi", app=None) as server:
        assert server.request("POST", "/sum/any?q=1", bytes(range(100))).text == f"POST q=1 {sum(range(100))}\n"


def test_mistakes(tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text("[uwsgi]\nhttp = 127.0.0.1:0\ncgi = /bin=/no/such/folder\n")
    done = run(["--ini", "x.ini"], tmp_path)
    assert done.returncode == 22
    assert re.search(r"x\.ini:3: cgi /bin=/no/such/folder: there is no /no/such/folder", done.stdout)
    assert "Traceback" not in done.stdout
    (tmp_path / "x.ini").write_text("[uwsgi]\nhttp = 127.0.0.1:0\ncgi-helper = .py\n")
    check(run(["--ini", "x.ini"], tmp_path), r"x\.ini:3: cgi-helper: found '\.py', wanted an ending and a command")


def test_the_example() -> None:
    with Server(*written_options(EXAMPLES / "cgi-bin" / "hello.sh"), app=None, cwd=EXAMPLES) as server:
        assert "hello from sh" in server.get("/cgi-bin/hello.sh").text
        assert "hello, ann" in server.request("POST", "/cgi-bin/guestbook.py", b"name=ann").text
