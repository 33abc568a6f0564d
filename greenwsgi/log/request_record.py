"""What is known of a request at its end: one record, from which all lines and figures about it are made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How a request ended. The status alone does not tell: an application may answer 504 itself."""

    OK = "ok"
    """The application answered, with whatever status."""
    ABORTED = "aborted"
    """The client left before it had the whole answer."""
    TIMEOUT = "timeout"
    """Harakiri ended it."""
    KILLED = "killed"
    """Its worker died."""
    REFUSED = "refused"
    """Its body was malformed, too large or too slow."""


@dataclass(slots=True)
class RequestRecord:
    """One request that has ended. It is only made when something wants it."""

    addr: str
    """The client's address."""
    method: str
    uri: str
    """REQUEST_URI: path and query as the client sent them."""
    protocol: str
    user: str
    """REMOTE_USER, which the application may have set."""
    variables: int
    """How many CGI variables the request had."""
    packet: int
    """Bytes of the request's head on the wire."""
    started: float
    """Wall clock, seconds since the epoch."""
    duration: float
    """Seconds."""
    status: str
    """The three digits of the answer's status; or what ended the request: 499, 504, `killed`."""
    sent: int
    """Bytes of the answer's body."""
    headers: int
    """How many headers the answer had."""
    head_size: int
    """Bytes of the answer's head."""
    switches: int
    """How often its greenlet waited for the client."""
    core: int
    """The slot that it had."""
    outcome: Outcome = Outcome.OK
    request: int = 0
    """The number of this request among those of its worker."""
    total: int = 0
    """The number of requests that the whole server has had."""
