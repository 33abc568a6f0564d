"""The states of a request and of its answer, and what may follow what: the order of calls that WireProtocol demands.

The protocols do not check the order in production: exchanges keep it. The conformance tests check each call and each
event of every protocol against these tables, and an illegal one raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class RequestState(Enum):
    """How much of a request has been received."""

    HEAD = "head"
    """Its head is not whole."""
    BODY = "body"
    """Its body is not whole."""
    OVER = "over"
    """All of it is here."""
    FAULT = "fault"
    """It was refused, and every byte after it is forgotten."""


class AnswerState(Enum):
    """How much of an answer has been made."""

    NOTHING = "nothing"
    HEAD = "head"
    """Its head, and perhaps a part of its body."""
    ENDED = "ended"


EVENTS: Mapping[str, Mapping[RequestState, tuple[RequestState, ...]]] = {
    "RequestHead": {RequestState.HEAD: (RequestState.BODY, RequestState.OVER)},
    "bytes": {RequestState.BODY: (RequestState.BODY, RequestState.OVER)},
    "EndOfRequest": {
        RequestState.BODY: (RequestState.OVER,),
        RequestState.OVER: (RequestState.OVER,),
        RequestState.HEAD: (RequestState.HEAD, RequestState.OVER),  # after a Reply: the connection is to be closed
    },
    "Reply": {
        RequestState.HEAD: (RequestState.HEAD, RequestState.OVER),
        RequestState.BODY: (RequestState.BODY, RequestState.OVER),
        RequestState.OVER: (RequestState.OVER,),
    },
}
"""For each event that `next_event` gives: the states in which it may come, and those it may lead to."""

CALLS: Mapping[str, Mapping[AnswerState, AnswerState]] = {
    "interim": {AnswerState.NOTHING: AnswerState.NOTHING},
    "head": {AnswerState.NOTHING: AnswerState.HEAD},
    "chunk": {AnswerState.HEAD: AnswerState.HEAD},
    "pieces": {AnswerState.HEAD: AnswerState.HEAD},
    "end": {AnswerState.HEAD: AnswerState.ENDED, AnswerState.ENDED: AnswerState.ENDED},
    "refuse": {
        AnswerState.NOTHING: AnswerState.ENDED,
        AnswerState.HEAD: AnswerState.HEAD,  # it gives nothing: the head is out
        AnswerState.ENDED: AnswerState.ENDED,
    },
    "next_request": {AnswerState.ENDED: AnswerState.NOTHING},
}
"""For each call that makes an answer: the states in which it is allowed, and the state after it."""
