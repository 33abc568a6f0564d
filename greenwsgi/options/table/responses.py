"""What is added to the application's answers, and taken out of them."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import option
from greenwsgi.options.value_kinds import HEADERS, PATHS


@dataclass(frozen=True, kw_only=True)
class ResponsesOptions:
    """Responses"""

    add_header: tuple[str, ...] = option(
        "add-header",
        kind=HEADERS,
        default=(),
        help="Add this header to every answer of the application. May be repeated.",
    )
    del_header: tuple[str, ...] = option(
        "del-header",
        "rem-header",
        metavar="NAME",
        kind=PATHS,
        default=(),
        help="Take this header out of the application's answers. May be repeated.",
    )
