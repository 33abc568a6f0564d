"""The manual page greenwsgi(1), made from the option table: `greenwsgi manpage > greenwsgi.1`."""

from __future__ import annotations

from collections.abc import Mapping

from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.help import working
from greenwsgi.options.option_spec import Option
from greenwsgi.options.value_kinds import Argument

_HEAD = """\
.TH GREENWSGI 1 "" "greenwsgi {version}"
.SH NAME
greenwsgi \\- serve WSGI applications over HTTP and uwsgi, with gevent
.SH SYNOPSIS
.B greenwsgi
[\\fIOPTION\\fR ...] [\\fIFILE.ini\\fR | \\fIAPP.py\\fR | \\fIPACKAGE.MODULE:NAME\\fR]
.br
.B greenwsgi
\\fISUBCOMMAND\\fR [\\fIARGUMENT\\fR ...]
.SH DESCRIPTION
A master process binds the sockets, and keeps worker processes running that serve many requests each at the same time.
Every option can stand in a configuration file too, as \\fIname = value\\fR; uWSGI's files are read as they are.
\\fBgreenwsgi options\\fR tells what becomes of each option of uWSGI.
"""
_TAIL = """\
.SH SIGNALS
SIGHUP reloads gracefully; SIGTERM and SIGINT stop.
.SH EXIT STATUS
0: a stop that was asked for; 2: a mistake in the options; 22: the application cannot be loaded.
"""


def manpage(version: str, subcommands: Mapping[str, str]) -> str:
    """The page in man's own language."""
    parts = [_HEAD.format(version=_escaped(version))]
    if subcommands:
        parts.append(".SH SUBCOMMANDS\n")
        parts += [f".TP\n.B {_escaped(name)}\n{_line(help)}\n" for name, help in subcommands.items()]
    parts.append(".SH OPTIONS\n")
    for section, title in OPTIONS.titles.items():
        options = [entry.option for entry in OPTIONS.section(section) if working(entry)]
        if options:
            parts.append(f".SS {_escaped(title)}\n")
            parts += map(_entry, options)
    return "".join(parts) + _TAIL


def _entry(option: Option) -> str:
    names = [f"-{option.short}"] * bool(option.short) + [f"--{name}" for name in option.names]
    shown = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in names)
    if option.metavar:
        value = f"\\fI{_escaped(option.metavar)}\\fR"
        shown += f"[={value}]" if option.kind.argument is Argument.OPTIONAL else f" {value}"
    default = ", ".join(option.kind.texts(option.default)) if option.default is not False else ""
    told = [option.help, option.note, f"The default is {default}." if default else ""]
    return f".TP\n{shown}\n{_line(' '.join(filter(None, told)))}\n"


def _line(text: str) -> str:
    """A line of text; a dot or quote in front would be a command."""
    escaped = _escaped(text)
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")
