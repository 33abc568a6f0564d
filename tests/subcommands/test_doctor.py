"""What the doctor finds: each finding with a configuration that has it and one that has not."""

from __future__ import annotations

import grp
import os
import pwd
import resource
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from greenwsgi.config.load import load
from greenwsgi.config.settings import Assignment, Settings, build
from greenwsgi.errors import Origin
from greenwsgi.subcommands import doctor_checks, doctor_nginx_checks
from greenwsgi.subcommands.doctor_checks import Finding
from tests.live.server import ROOT
from tests.serve.test_monkeypatch import python


def settings(**options: str) -> Settings:
    return build(Assignment(key.replace("_", "-"), text, Origin("x.ini", 1)) for key, text in options.items())


def mends(findings: Iterable[Finding]) -> str:
    return "\n".join(f"{one.found} -> {one.fix}" for one in findings if one.fix)


def test_what_the_server_warns_of_or_does_not_start_with(tmp_path: Path) -> None:
    def found(text: str) -> str:
        (tmp_path / "y.ini").write_text(f"[uwsgi]\n{text}")
        return mends(doctor_checks.configuration(load([str(tmp_path / "y.ini")], {})))

    assert not found("module = app\nsocket = 127.0.0.1:3031\n")
    assert "y.ini:3: uwsgi on :3031: every client that" in found("module = app\nsocket = :3031\n")
    assert "y.ini:2: unknown option 'procesess', did you mean processes?" in found("procesess = 4\nmodule = app\n")
    assert "y.ini:3: a: this address is given twice -> fix that first" in found("socket = a\nhttp = a\nmodule = app\n")
    assert not list(doctor_checks.sockets(settings(socket="127.0.0.1:99999")))


def test_descriptors() -> None:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        assert "without limit" in doctor_checks.descriptors(settings()).found
    else:
        assert doctor_checks.descriptors(settings(**{"async": str(limit)})).fix.startswith("raise the hard limit")
    assert not doctor_checks.descriptors(settings(**{"async": "10"})).fix


def test_more_workers_than_processors() -> None:
    assert doctor_checks.cpus(settings(processes="500")).fix.startswith("processes = ")
    assert not doctor_checks.cpus(settings(processes="1")).fix


def test_a_limit_of_the_cgroup_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "usable", lambda: 2)
    assert doctor_checks.cpus(settings(processes="6")).fix.startswith("processes = 2: ")
    assert not doctor_checks.cpus(settings(processes="5")).fix


def test_a_socket_that_only_its_owner_may_use(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    assert "chmod-socket = 660" in mends(doctor_checks.sockets(settings(socket=path, chmod_socket="600")))
    assert not mends(doctor_checks.sockets(settings(socket=path, chmod_socket="660")))
    assert not mends(doctor_checks.sockets(settings(socket=path, chmod_socket="666")))
    assert not list(doctor_checks.sockets(settings(socket="127.0.0.1:3031")))
    assert "there is no folder" in mends(doctor_checks.sockets(settings(socket=f"{path}.d/app.sock")))


def test_whose_a_socket_will_be(tmp_path: Path) -> None:
    def said(**options: str) -> str:
        (finding,) = doctor_checks.sockets(settings(socket=str(tmp_path / "app.sock"), **options))
        return finding.found.partition(": ")[2]

    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    assert said(chmod_socket="660") == f"mode 660 lets the user {user} and the group {group} connect"
    assert said(chmod_socket="660", uid="54321", gid="54322") == (
        "mode 660 lets the user 54321 and the group 54322 connect"
    )
    assert said(chmod_socket="660", uid="54321", chown_socket=":54323") == (
        f"mode 660 lets the user {user} and the group 54323 connect"
    )
    assert said(umask="077") == f"mode 700 lets the user {user} alone connect"
    assert said(umask="000").startswith("mode 777 lets everybody connect")
    (finding,) = doctor_checks.sockets(settings(socket="x", uid="nobody-has-this-name"))
    assert finding == Finding("uid: no such user: nobody-has-this-name", doctor_checks._DOES_NOT_START)


def test_harakiri_and_reloads() -> None:
    assert "may run for ever" in mends(doctor_checks.times(settings()))
    assert "worker-reload-mercy = 90" in mends(doctor_checks.times(settings(harakiri="90")))
    assert not mends(doctor_checks.times(settings(harakiri="30")))


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    assert not mends(doctor_checks.application(settings(wsgi_file=str(tmp_path / "app.py"))))
    assert not mends(doctor_checks.application(settings(wsgi_file="app.py", chdir=str(tmp_path))))
    assert "wsgi-file nowhere.py is not there" in mends(doctor_checks.application(settings(wsgi_file="nowhere.py")))
    assert "chdir" in mends(doctor_checks.application(settings(chdir=str(tmp_path / "no"))))
    assert "wsgi-file app.py is not there" in mends(doctor_checks.application(settings(wsgi_file="app.py")))


def test_a_module_is_looked_for_and_not_imported(tmp_path: Path) -> None:
    def fix(module: str, **options: str) -> str:
        return mends(doctor_checks.application(settings(module=module, **options)))

    packages = tmp_path / f"venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for folder in ("site/shop", "lib/spaced/inner", "editable"):
        (tmp_path / folder).mkdir(parents=True)
    packages.mkdir(parents=True)
    fatal = "raise SystemExit('this must not be executed')\n"
    for file in ("site/shop/__init__.py", "site/shop/wsgi.py", "lib/spaced/inner/app.py", "editable/linked.py"):
        (tmp_path / file).write_text(fatal)
    (packages / "installed.py").write_text(fatal)
    (packages / "more.pth").write_text(f"import nothing_of_this\n# {tmp_path}\n{tmp_path}/editable\n")
    site, lib, venv = str(tmp_path / "site"), "../lib", "../venv"
    assert not fix("shop.wsgi:application", chdir=site)
    assert not fix("shop.wsgi:make(1)", pythonpath=site)
    assert not fix("spaced.inner.app", chdir=site, pythonpath=lib)  # folders without __init__.py
    assert not fix("installed", chdir=site, virtualenv=venv)
    assert not fix("linked", chdir=site, virtualenv=venv)
    assert not fix("gevent.monkey", chdir=site)
    for module in ("shop.wsg", "shop.wsgi.deeper", "nowhere_at_all:app", "installed"):
        assert f"module {module.partition(':')[0]} is not in {site}" in fix(module, chdir=site), module
    assert not fix("nowhere_at_all", chdir=site, wsgi_file="shop/wsgi.py")  # the file is served


NGINX = """
http {
    upstream app { server 127.0.0.1:3031; keepalive 8; %s }
    server { %s location / { uwsgi_pass app; %s } }
}
"""


@pytest.mark.parametrize(
    ("options", "upstream", "server", "location", "mended"),
    [
        ({"harakiri": "30"}, "", "", "", ""),
        ({"harakiri": "30"}, "", "", "uwsgi_read_timeout 30s;", "uwsgi_read_timeout 35s;"),
        ({"harakiri": "60"}, "", "", "", "uwsgi_read_timeout 65s;"),
        ({"harakiri": "1", "harakiri-for": "^/x 300"}, "", "", "uwsgi_read_timeout 1m;", "uwsgi_read_timeout 305s;"),
        ({"harakiri": "60"}, "", "", "uwsgi_read_timeout $t;", "uwsgi_read_timeout 65s;"),
        ({"keepalive-timeout": "60"}, "", "", "", "keepalive-timeout = 75"),
        ({}, "keepalive_timeout 90s;", "", "", "keepalive-timeout = 105"),
        ({}, "keepalive_timeout 30s;", "keepalive_timeout 900s;", "", ""),
        ({"limit-post": "1000"}, "", "client_max_body_size 0;", "", "client_max_body_size 1000;"),
        ({"limit-post": "8m"}, "", "client_max_body_size 8m;", "", ""),
        ({"buffer-size": "8192"}, "", "", "", "buffer-size = 32768"),
        ({"buffer-size": "65536"}, "", "large_client_header_buffers 4 32k;", "", "buffer-size = 131072"),
    ],
)
def test_against_nginx(options: dict[str, str], upstream: str, server: str, location: str, mended: str) -> None:
    if "client_max_body_size" not in server:
        server += " client_max_body_size 8m;"
    text = NGINX % (upstream, server, location)
    found = mends(doctor_nginx_checks.against(settings(**options), text, "n.conf"))
    assert mended in found
    assert bool(mended) == bool(found)


def test_an_nginx_that_passes_nothing_on() -> None:
    assert "nothing in it is passed on" in mends(doctor_nginx_checks.against(settings(), "events {}", "n.conf"))


def test_bodies_above_a_megabyte() -> None:
    assert "client_max_body_size 64m" in mends(doctor_nginx_checks.against(settings(), NGINX % ("", "", ""), "n.conf"))


DOCTOR = "import sys; from greenwsgi.cli import main; print('status', main(['doctor', *{arguments!r}]))"


def test_the_whole_of_it(tmp_path: Path) -> None:
    """In a process of its own: it ends as a patched one."""
    (tmp_path / "app.py").write_text("app = print\n")
    (tmp_path / "x.ini").write_text(f"[uwsgi]\nwsgi-file = {tmp_path}/app.py\nharakiri = 30\nlisten = 1\nasync = 10\n")
    (tmp_path / "n.conf").write_text(NGINX % ("", "client_max_body_size 1m;", "uwsgi_read_timeout 10;"))
    said = python(DOCTOR.format(arguments=[str(tmp_path / "x.ini"), "--nginx", str(tmp_path / "n.conf")]))
    assert said.endswith("What to fix:\n  1. uwsgi_read_timeout 35s; in nginx\nstatus 1")
    assert "n.conf:4: uwsgi_read_timeout 10 s is not longer than harakiri 30" in said
    assert "gevent's patch holds" in said
    (tmp_path / "n.conf").write_text(NGINX % ("", "client_max_body_size 1m;", ""))
    said = python(DOCTOR.format(arguments=[str(tmp_path / "x.ini"), "--nginx", str(tmp_path / "n.conf")]))
    assert said.endswith("Nothing to fix.\nstatus 0")


def test_without_a_configuration_the_machine_alone_is_looked_at() -> None:
    said = python(DOCTOR.format(arguments=[]))
    assert "processors may be used" in said
    assert "harakiri" not in said
    assert "connect" not in said.replace("connections", "")


def test_bytes_that_a_terminal_would_obey_or_an_encoding_refuse(tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_bytes(b"[uwsgi]\nwsgi-file = /nowhere/\xe9\x1b.py\nsocket = /nowhere/\xe9.sock\n")
    said = python(DOCTOR.format(arguments=[str(tmp_path / "x.ini")]))
    assert "wsgi-file /nowhere/\\udce9\\x1b.py is not there" in said
    assert "/nowhere/\\udce9.sock: there is no folder /nowhere" in said


def test_an_early_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import bird\n")
    (tmp_path / "bird.py").write_text("from time import sleep\n")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{tmp_path}")
    assert "imported before gevent's patch, and blocks: bird.sleep" in python(DOCTOR.format(arguments=[]))
