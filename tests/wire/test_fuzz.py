"""The fuzzer, short and deterministic, and properties that hypothesis tries to break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.driving import TABLES, drive, fingerprint, forget, make
from tests.wire.fuzz import Mutator, fuzz

KEEPS = ("http", "fastcgi", "fastcgi-nph")
DATA = {protocol: sorted({case.data for case in cases if len(case.data) < 3000}) for protocol, cases in TABLES.items()}


@pytest.mark.parametrize("protocol", TABLES)
def test_fuzz(protocol: str) -> None:
    """Some thousand inputs; `python -m tests.wire.fuzz` runs millions."""
    outcomes = fuzz(protocol, seed=1, inputs=6000)
    assert outcomes.total() == 6000
    assert {"kept" if protocol in KEEPS else "closed", "gone", "400"} <= outcomes.keys()
    assert ("501" if protocol in ("http", "uwsgi") else "431") in outcomes


@pytest.mark.parametrize(
    ("parser", "expected"),
    [
        ("proxy", {"told", "local", "more", "refused"}),
        ("sniff", {"more", "refused", "proxy", "tls", "uwsgi", "scgi", "fastcgi", "http"}),
    ],
)
def test_fuzz_what_comes_before_a_protocol(parser: str, expected: set[str]) -> None:
    assert fuzz(parser, seed=1, inputs=6000).keys() == expected


@pytest.mark.parametrize("protocol", TABLES)
def test_the_fuzzer_is_deterministic(protocol: str) -> None:
    """The same seed gives the same inputs, another one others."""
    first, again, other = (Mutator(protocol, seed) for seed in (1, 1, 2))
    inputs = [first.next() for _ in range(50)]
    assert inputs == [again.next() for _ in range(50)]
    assert inputs != [other.next() for _ in range(50)]


@pytest.mark.parametrize("protocol", TABLES)
@given(data=st.data())
def test_splits_change_nothing(protocol: str, data: st.DataObject) -> None:
    """However a stream of cases is split, the same requests reach the application and the end is the same."""
    stream = b"".join(data.draw(st.lists(st.sampled_from(DATA[protocol]), min_size=1, max_size=3)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True) if start < stop]
    assert fingerprint(drive(make(protocol), pieces)) == fingerprint(drive(make(protocol), [stream]))


@pytest.mark.parametrize("protocol", TABLES)
@given(data=st.data())
def test_memory_changes_nothing(protocol: str, data: st.DataObject) -> None:
    """What was seen before on other connections changes no outcome."""
    stream = data.draw(st.sampled_from(DATA[protocol]))
    earlier = data.draw(st.lists(st.sampled_from(DATA[protocol]), max_size=5))
    forget()
    cold = fingerprint(drive(make(protocol), [stream]))
    for other in earlier:
        drive(make(protocol), [other])
    assert fingerprint(drive(make(protocol), [stream])) == cold


@pytest.mark.parametrize("protocol", TABLES)
@given(noise=st.binary(max_size=300))
def test_noise_is_refused_or_waited_for(protocol: str, noise: bytes) -> None:
    """Random bytes never raise anything else (drive lets it through)."""
    drive(make(protocol), [noise])
