"""Which request ends the workers? A path that was running at several deaths in a row is probably it.

Deaths of all workers of the server count together, in the order in which the master learns of them: it is chance
which worker gets the next such request. A path is the method and the URI without its query. That it was running is a
fact, that it is to blame is not: the log says only the first. After a re-exec the count begins again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from greenwsgi.shared.scoreboard import RunningRequest

DEATHS = 3
"""Deaths in a row at which a path is named; it is named again whenever their number has doubled."""

MOST_NAMED = 5


class CrashSuspects:
    """Counts, for each path that was running at the last death, the deaths in a row at which it was."""

    def __init__(self) -> None:
        self._deaths: dict[str, int] = {}
        self._last: deque[str] = deque(maxlen=DEATHS)

    def died(self, how: str, running: Iterable[RunningRequest]) -> list[str]:
        """A worker died that was not told to leave. how: which one and how, for the log. Returns the lines to log."""
        paths = {f"{one.method} {one.uri.partition('?')[0]}" for one in running}
        self._deaths = {path: self._deaths.get(path, 0) + 1 for path in paths}
        self._last.append(how)
        named = sorted(path for path, deaths in self._deaths.items() if _is_due(deaths))
        lines = [
            f"{path} was running at each of the last {self._deaths[path]} deaths of workers, at last: "
            f"{', '.join(self._last)}"
            for path in named[:MOST_NAMED]
        ]
        if len(named) > MOST_NAMED:
            lines.append(f"and so were {len(named) - MOST_NAMED} other paths")
        return lines


def _is_due(deaths: int) -> bool:
    times, rest = divmod(deaths, DEATHS)
    return times > 0 and not rest and not times & (times - 1)
