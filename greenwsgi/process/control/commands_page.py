"""COMMANDS as the table in docs/operating.md: `python -m greenwsgi.process.control.commands_page` prints it."""

from __future__ import annotations

from greenwsgi.process.control.commands import COMMANDS


def table() -> str:
    """A row for each command: its name, signals and letters, and what it does."""
    lines = ["| command | signal | fifo | what it does |", "|---|---|---|---|"]
    for row in COMMANDS:
        signals = ", ".join(signal.name for signal in row.signals)
        letters = ", ".join(f"`{letter}`" for letter in row.letters)
        lines.append(f"| `{row.name}` | {signals} | {letters} | {row.help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
