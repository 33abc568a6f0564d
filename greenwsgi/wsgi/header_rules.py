"""Headers that the operator adds to all answers, and takes out of them."""

from __future__ import annotations

from collections.abc import Callable

from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.table.responses import ResponsesOptions
from greenwsgi.wire import response_head
from greenwsgi.wsgi.response import ResponseError, check_headers
from greenwsgi.wsgi.types import Headers

HeaderRules = Callable[[Headers], Headers]


def header_rules(options: ResponsesOptions) -> HeaderRules | None:
    """What `add-header` and `del-header` make of an answer's headers; None when there is neither.

    What is taken out is what the application said, never what is added here. Raises UsageError for a header that must
    not be sent, or that only the protocol may.
    """
    gone = frozenset(name.strip().lower() for name in options.del_header)
    if "content-length" in gone:
        raise UsageError("del-header Content-Length: the answer would have no end", Origin("del-header"))
    more = [(name.strip(), value.strip()) for name, _, value in (one.partition(":") for one in options.add_header)]
    try:
        more, declared = check_headers(more)
    except ResponseError as error:
        raise UsageError(f"add-header: {error}", Origin("add-header")) from None
    if declared >= 0:
        raise UsageError("add-header Content-Length: each answer has its own", Origin("add-header"))
    for name, _ in more:
        if response_head.meaning(name) in (response_head.DROP, response_head.UPGRADE):
            raise UsageError(f"add-header {name}: only the protocol may say that", Origin("add-header"))
    if not gone and not more:
        return None
    return lambda headers: [one for one in headers if one[0].lower() not in gone] + more
