"""The scoreboard: shared memory in which workers show what they do, readable by the master after they died.

One board a generation, on an anonymous file whose descriptor is handed on. It has `seats` seats of `cores` cores each;
a seat belongs to one worker process at a time, a core to one running request. Each seat begins on a page of its own:

    head      stage i32, number i32, pid i64, generation i64, heartbeat f64,   64 bytes
              monitor f64
    counters  u64 for each word of METRICS                                     up to the next 64 bytes
    cores     started f64, deadline f64, line 240 bytes                        256 bytes each
    programs  pid i64, started i64: the CGI programs that run                  16 bytes for each core

Behind the last seat stand, once, the counters of all that are dead: `Scoreboard.past`, kept by the master. The last
word of that page says that the server stops: `Scoreboard.closing`, written by the master too.

Nothing is locked: every field has one writer and is an aligned word, so a reader sees the old value or the new one. A
core runs a request when `started` is not 0.

Hot path: `Seat.begin` and `Seat.end` run once a request. Budget 1 us for both; measured 0.51 us with CPython 3.11, and
0.17 us for one `seat.counters[REQUESTS] += 1`. What makes it so: each is one bound `Struct.pack_into` kept in a module
global, and its "240s" cuts and pads the line in C.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from greenwsgi.shared.metrics import GAUGES, METRICS, WORD_NAMES, WORDS

_HEAD = struct.Struct("@iiqqdd")
_HEAD_SIZE = 64
_STAGE = struct.Struct("@i")
_PID = struct.Struct("@q")
_PID_AT = 8
_BEAT = struct.Struct("@d")
_BEAT_AT = 24
_MONITOR_AT = 32
_CORE = struct.Struct("@dd240s")
_CORE_SIZE = _CORE.size
_STARTED = struct.Struct("@d")
_CLOSING = struct.Struct("@Q")
_PROGRAM = struct.Struct("@qq")

_ACCOUNT = struct.Struct("@4Q")

_begin_core = _CORE.pack_into
_account = _ACCOUNT.pack_into
_end_core = _STARTED.pack_into
_beat = _BEAT.pack_into


LAYOUT = f"{_HEAD_SIZE} {_CORE_SIZE} {_PROGRAM.size} {' '.join(WORD_NAMES)}"
"""Boards of the same layout can be read, whichever greenwsgi made them."""


class Stage(IntEnum):
    """What a seat's worker is doing, in the order of its life."""

    FREE = 0
    BOOTING = 1
    READY = 2
    DRAINING = 3


@dataclass(frozen=True, slots=True)
class RunningRequest:
    """A request that has begun and not ended: `started` and `deadline` in monotonic seconds, infinite for no deadline.

    The texts are those given to `Seat.begin`; a line too long for its core lost its end, so `protocol` may be empty.
    """

    core: int
    started: float
    deadline: float
    addr: str
    method: str
    uri: str
    protocol: str


class Seat:
    """One worker's place on the board: the worker writes it, the master reads it and wipes it after its death."""

    __slots__ = ("_at", "_board", "_core_at", "_cores", "_counters_at", "_programs_at", "counters", "index")

    def __init__(self, board: memoryview, index: int, cores: int) -> None:
        self.index = index
        self._cores = cores
        self._at = at = index * _seat_size(cores)
        self._core_at = at + _cores_offset()
        self._programs_at = self._core_at + cores * _CORE_SIZE
        self._counters_at = at + _HEAD_SIZE
        self.move(board)

    def move(self, board: memoryview) -> None:
        """Be on this board, which has the same measures."""
        self._board = board
        self.counters = board[self._counters_at : self._counters_at + 8 * WORDS].cast("Q")

    def begin(self, core: int, started: float, deadline: float, line: bytes) -> None:
        """A request starts.

        started, deadline: monotonic seconds, infinite for none. line: ADDR, METHOD, URI and PROTOCOL with tabs
        between; its end is cut if it does not fit.
        """
        _begin_core(self._board, self._core_at + core * _CORE_SIZE, started, deadline, line)

    def end(self, core: int) -> None:
        """The request has ended and its access line was written."""
        _end_core(self._board, self._core_at + core * _CORE_SIZE, 0.0)

    def postpone(self, core: int, deadline: float) -> None:
        """The core's request has another deadline now, in monotonic seconds."""
        _STARTED.pack_into(self._board, self._core_at + core * _CORE_SIZE + _STARTED.size, deadline)

    def account(self, requests: int, running_us: int, tx: int, in_flight: int) -> None:
        """The worker's new REQUESTS, RUNNING_TIME_US, TX and IN_FLIGHT; 0.2 us, as one `counters[...] +=` alone."""
        _account(self._board, self._counters_at, requests, running_us, tx, in_flight)

    def beat(self, now: float) -> None:
        """The worker's loop turns; `now` in monotonic seconds."""
        _beat(self._board, self._at + _BEAT_AT, now)

    def heartbeat(self) -> float:
        """When the loop last turned, in monotonic seconds; 0 before it began."""
        (beat,) = _BEAT.unpack_from(self._board, self._at + _BEAT_AT)
        return float(beat)

    def beat_monitor(self, now: float) -> None:
        """The worker's monitor looks; `now` in monotonic seconds."""
        _beat(self._board, self._at + _MONITOR_AT, now)

    def monitor_heartbeat(self) -> float:
        """When the monitor last looked, in monotonic seconds; 0 before it began."""
        (beat,) = _BEAT.unpack_from(self._board, self._at + _MONITOR_AT)
        return float(beat)

    def running(self) -> list[RunningRequest]:
        """The requests that have begun and not ended."""
        cores = self._board[self._core_at : self._core_at + self._cores * _CORE_SIZE]
        return [
            _request(core, started, deadline, line)
            for core, (started, deadline, line) in enumerate(_CORE.iter_unpack(cores))
            if started
        ]

    @property
    def places(self) -> int:
        """How many programs can be noted at a time."""
        return self._cores

    def note_program(self, place: int, pid: int, started: int) -> None:
        """A CGI program runs, the leader of its process group, or with a pid of 0 none does. `started` as in start_of.

        One that is not noted any more has been reaped: its pid may be another's.
        """
        _PROGRAM.pack_into(self._board, self._programs_at + place * _PROGRAM.size, pid, started)

    def programs(self) -> list[tuple[int, int]]:
        """(pid, started) of those that were noted."""
        places = self._board[self._programs_at : self._programs_at + self._cores * _PROGRAM.size]
        return [(pid, started) for pid, started in _PROGRAM.iter_unpack(places) if pid]

    def occupy(self, number: int, generation: int, pid: int) -> None:
        """The seat is worker `number`'s now, and it boots. All else was wiped when its last worker left."""
        _HEAD.pack_into(self._board, self._at, Stage.BOOTING, number, pid, generation, 0.0, 0.0)

    def wipe(self) -> None:
        """Free the seat: nothing runs, nothing is counted. Only for the one who knows that its worker is dead."""
        for request in self.running():
            self.end(request.core)
        if self.programs():
            size = self._cores * _PROGRAM.size
            self._board[self._programs_at : self._programs_at + size] = bytes(size)
        head = self._core_at - self._at
        self._board[self._at : self._core_at] = bytes(head)

    @property
    def stage(self) -> Stage:
        return Stage(_STAGE.unpack_from(self._board, self._at)[0])

    @stage.setter
    def stage(self, stage: Stage) -> None:
        _STAGE.pack_into(self._board, self._at, stage)

    @property
    def number(self) -> int:
        """The worker's number, 1..N; 0 on a free seat."""
        return int(_HEAD.unpack_from(self._board, self._at)[1])

    @property
    def pid(self) -> int:
        return int(_PID.unpack_from(self._board, self._at + _PID_AT)[0])

    @property
    def generation(self) -> int:
        return int(_HEAD.unpack_from(self._board, self._at)[3])


class Scoreboard:
    """All seats of one generation. `fd` may be handed to another process, which opens the same board with it.

    past: what workers counted that have left their seats, of this generation and those before; with the seats' own
    counters it gives the server's, as far as this generation knows.
    """

    def __init__(self, fd: int, seats: int, cores: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, _board_size(seats, cores))
        self._view = memoryview(self._map)
        self.seats = [Seat(self._view, index, cores) for index in range(seats)]
        self._past_at = seats * _seat_size(cores)
        self.past = self._past()

    @classmethod
    def create(cls, seats: int, cores: int) -> Scoreboard:
        """A new, empty board; pages that are not touched take no memory.

        Raises OSError or MemoryError.
        """
        fd = anonymous_file("greenwsgi-scoreboard")
        try:
            os.ftruncate(fd, _board_size(seats, cores))
            return cls(fd, seats, cores)
        except BaseException:
            os.close(fd)
            raise

    @property
    def closing(self) -> bool:
        """The whole server stops: after these workers no process accepts what waits in the listeners' queues."""
        return bool(_CLOSING.unpack_from(self._view, len(self._view) - _CLOSING.size)[0])

    @closing.setter
    def closing(self, closing: bool) -> None:
        _CLOSING.pack_into(self._view, len(self._view) - _CLOSING.size, closing)

    def _past(self) -> memoryview:
        return self._view[self._past_at : self._past_at + 8 * WORDS].cast("Q")

    def detach(self) -> None:
        """From now on this process has an empty board of its own, on the same objects."""
        self._map = mmap.mmap(-1, len(self._map), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._view = memoryview(self._map)
        for seat in self.seats:
            seat.move(self._view)
        self.past = self._past()

    def close(self) -> None:
        """Give the memory and the descriptor back; the seats cannot be used afterwards."""
        for seat in self.seats:
            seat.counters.release()
        self.past.release()
        self._view.release()
        self._map.close()
        os.close(self.fd)


class Totals:
    """What each worker number counted in all its lives, over processes and generations; it never goes backwards."""

    def __init__(self) -> None:
        self._folded: dict[int, list[int]] = {}

    def fold(self, seat: Seat) -> None:
        """Keep a dead worker's counters. Call it once, before the seat is wiped."""
        dead = [0 if word in GAUGES else count for word, count in enumerate(seat.counters)]
        self._folded[seat.number] = _add(self._folded.get(seat.number, []), dead)

    @classmethod
    def of_living(cls, seats: Iterable[Seat]) -> Totals:
        """What the living have counted until now, and will count on."""
        totals = cls()
        for seat in seats:
            if seat.number:
                totals.fold(seat)
        return totals

    def named(self) -> dict[int, dict[str, int]]:
        """By worker number and metric, for another image of the master."""
        return {number: dict(zip(WORD_NAMES, values, strict=True)) for number, values in self._folded.items()}

    def restore(self, named: Mapping[int, Mapping[str, int]]) -> None:
        """Add what was `named`; metrics that are unknown here are forgotten."""
        for number, counts in named.items():
            values = [counts.get(name, 0) for name in WORD_NAMES]
            for metric in METRICS:
                if metric.label:  # an older greenwsgi may have counted it without its label
                    values[metric.first] += counts.get(metric.name, 0)
            self._folded[number] = _add(self._folded.get(number, []), values)

    def past(self) -> list[int]:
        """What all the dead counted together."""
        return [sum(column) for column in zip([0] * WORDS, *self._folded.values(), strict=True)]

    def of(self, number: int, seats: Iterable[Seat]) -> list[int]:
        """Worker `number`'s values, word by word: the dead's and its living seats' (two in a handover)."""
        values = self._folded.get(number, [0] * WORDS)
        for seat in seats:
            if seat.number == number:
                values = _add(values, seat.counters)
        return values


def anonymous_file(name: str) -> int:
    """A file that has no place in the file system and ends with its last descriptor; not inheritable."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    import tempfile  # only where there is no memfd: it pulls in much

    fd, path = tempfile.mkstemp(prefix=name)
    os.unlink(path)
    return fd


def _add(left: Sequence[int], right: Sequence[int]) -> list[int]:
    return [sum(pair) for pair in zip(left, right, strict=True)] if left else list(right)


def _request(core: int, started: float, deadline: float, line: bytes) -> RunningRequest:
    addr, _, rest = line.rstrip(b"\0").decode("latin-1").partition("\t")
    method, _, rest = rest.partition("\t")
    uri, _, protocol = rest.partition("\t")
    return RunningRequest(core, started, deadline, addr, method, uri, protocol)


def _cores_offset() -> int:
    return _round_up(_HEAD_SIZE + 8 * WORDS, 64)


def _seat_size(cores: int) -> int:
    return _round_up(_cores_offset() + cores * (_CORE_SIZE + _PROGRAM.size), mmap.PAGESIZE)


def _board_size(seats: int, cores: int) -> int:
    return seats * _seat_size(cores) + mmap.PAGESIZE


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step
