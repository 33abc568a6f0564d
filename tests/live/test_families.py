"""The configurations of docs/migrating-from-uwsgi.md, each started with a stub and asked on all of its sockets."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.live.mapped import Mapped
from tests.live.server import ROOT

FAMILIES = ROOT / "tests/config/families"

FOLDERS = {
    "healthchecks.ini": "srv/healthchecks",
    "label-studio.ini": "srv/label-studio",
    "searxng.ini": "usr/local/searxng/searx",
    "dispatcharr.ini": "app",
    "django.ini": "srv/shop",
    "django-moved.ini": "srv/shop",
    "flask.ini": "",
}
"""Where each finds itself."""

VARIABLES = {
    "label-studio.ini": {"APP_WEBSERVER": "uwsgi"},
    "dispatcharr.ini": {"DJANGO_SETTINGS_MODULE": "dispatcharr.settings"},
    "django.ini": {"DJANGO_SETTINGS_MODULE": "shop.settings"},
    "django-moved.ini": {"DJANGO_SETTINGS_MODULE": "shop.settings"},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_it_answers_on_its_sockets(name: str) -> None:
    with TemporaryDirectory(prefix="gw-") as folder, Mapped(FAMILIES / name, Path(folder)) as site:
        told = list(site.ask())
        assert told
        for one in told:
            assert one.error == "", (one.address, site.log)
            assert one.stub["cwd"] == str(site.root / FOLDERS[name])
            assert VARIABLES.get(name, {}).items() <= one.stub["env"].items()


def test_healthchecks_migrates_first() -> None:
    with TemporaryDirectory(prefix="gw-") as folder, Mapped(FAMILIES / "healthchecks.ini", Path(folder)) as site:
        assert [one.error for one in site.ask()] == [""]
        assert site.log.count("manage.py migrate\n") == 2  # that it is run, and what it says


def test_every_one_is_here() -> None:
    assert FOLDERS.keys() == {path.name for path in FAMILIES.iterdir()}
