"""A protocol whose calls and events are checked against the tables of wire/states.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenwsgi.errors import PeerError
from greenwsgi.wire.protocol import WireProtocol
from greenwsgi.wire.states import CALLS, EVENTS, AnswerState, RequestState


class IllegalCallError(AssertionError):
    """A call that the state of the answer does not allow, or an event that the state of the request does not."""


class Checked:
    """Passes everything on to a protocol, and raises IllegalCallError for what the tables do not allow."""

    def __init__(self, wire: WireProtocol) -> None:
        self._wire = wire
        self.request = RequestState.HEAD
        self.answer = AnswerState.NOTHING

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wire, name)
        return self._checked(name, found) if name in CALLS else found

    def next_event(self) -> Any:
        try:
            event = self._wire.next_event()
        except PeerError:
            self.request = RequestState.FAULT
            raise
        if event is not None:
            kind = type(event).__name__
            after = RequestState.OVER if self._wire.body_done else RequestState.BODY
            if kind in ("Reply", "EndOfRequest") and self.request is RequestState.HEAD and not self._wire.body_done:
                after = RequestState.HEAD
            if after not in EVENTS[kind].get(self.request, ()):
                raise IllegalCallError(f"{kind} leads from {self.request} to {after}")
            self.request = after
        return event

    def _checked(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*arguments: Any, **named: Any) -> Any:
            if self.answer not in CALLS[name]:
                raise IllegalCallError(f"{name} after {self.answer.value}")
            if name == "next_request":
                if not self._wire.reusable:
                    raise IllegalCallError("next_request of a connection that cannot be used again")
                self.request = RequestState.HEAD
            made = call(*arguments, **named)
            self.answer = CALLS[name][self.answer]
            return made

        return checked
