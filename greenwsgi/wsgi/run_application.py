"""Run one request: call the application, send what it yields, close what it returned (PEP 3333).

This module must stay interpreted: the frame of `run` is the mark of a request on a stack (serve/current_request.py).
"""

from __future__ import annotations

from greenwsgi.shared.descriptor_numbers import close as close_descriptor
from greenwsgi.wsgi.file_wrapper import FileWrapper, SendFile
from greenwsgi.wsgi.response import Response
from greenwsgi.wsgi.types import Application, Environ


def run(
    application: Application,
    environ: Environ,
    response: Response,
    sendfile: SendFile | None = None,
    request: object = None,
) -> None:
    """Run the application to the end of its answer.

    sendfile: sends the bytes of a file without reading them; None if the connection cannot do that. request: what runs
    it. It is only kept in this frame, where the loop monitor, another thread, finds it while the loop is blocked. So
    this module must stay interpreted, even if the others of the request path are compiled.

    Exceptions of the application and of the connection pass. `close` of the result is called in every case (PEP 3333:
    "regardless of whether the request was completed normally, or terminated early").
    """
    result = application(environ, response.start_response)
    if type(result) is list and len(result) == 1 and not response.begun:
        response.only(result[0])
        return
    try:
        part = result.part() if type(result) is FileWrapper and sendfile is not None else None
        if part is not None and sendfile is not None:
            try:
                if not response.begun:
                    response.file(part, sendfile)
                    return
            finally:
                close_descriptor(part.fd)
        for piece in result:
            response.write(piece)
        response.finish()
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
