"""Sites for one test, closed behind it; certificates for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.serve.site import Site

Make = Callable[..., Site]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes sites: `make(application, cores=1, ...)`."""
    sites: list[Site] = []

    def site(application: Any, **options: Any) -> Site:
        sites.append(Site(application, **options))
        return sites[-1]

    yield site
    for one in sites:
        one.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))
