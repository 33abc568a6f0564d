"""The application's part of a traceback: the frames of the server above it are left out."""

from __future__ import annotations

import os
import traceback
from types import TracebackType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def of_application(error: BaseException) -> str:
    """The error with its traceback from the first frame on that is neither ours nor importlib's.

    An error that never reached the application's code (a SyntaxError, a defect of ours) keeps what it has.
    """
    inner = error.__traceback__
    while inner is not None and _is_ours(inner):
        inner = inner.tb_next
    if inner is None and not isinstance(error, SyntaxError):
        inner = error.__traceback__
    lines = traceback.TracebackException(type(error), error, inner)
    return "".join(lines.format())


def _is_ours(one: TracebackType) -> bool:
    name = one.tb_frame.f_code.co_filename
    return name.startswith((_OURS, "<frozen importlib"))
