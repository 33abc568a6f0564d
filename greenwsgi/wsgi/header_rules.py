"""Header rules: the headers that the operator adds to all answers and removes from them (add-header, del-header)."""

from __future__ import annotations

from collections.abc import Callable

from greenwsgi.options.table.responses import ResponsesOptions
from greenwsgi.wsgi.types import Headers

HeaderRules = Callable[[Headers], Headers]


def header_rules(options: ResponsesOptions) -> HeaderRules | None:
    """What `add-header` and `del-header` do to an answer's headers; None when neither is given.

    The headers that are added are not removed. The options are valid: config/option_rules.py has checked them.
    """
    removed = frozenset(name.strip().lower() for name in options.del_header)
    added = [(name.strip(), value.strip()) for name, _, value in (one.partition(":") for one in options.add_header)]
    if not removed and not added:
        return None
    return lambda headers: [one for one in headers if one[0].lower() not in removed] + added
