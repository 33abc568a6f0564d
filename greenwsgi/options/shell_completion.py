"""Completion for bash and zsh, made from the option table: the options that do something, their words, files."""

from __future__ import annotations

from collections.abc import Mapping

from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.help import working
from greenwsgi.options.option_spec import Option
from greenwsgi.options.value_kinds import Argument

_BASH = """\
# bash completion for greenwsgi: eval "$(greenwsgi completion bash)"
_greenwsgi() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    COMPREPLY=()
    if [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    if [[ $word == = ]]; then before=${{COMP_WORDS[COMP_CWORD-1]}} word=; fi
    case $before in
{words}        {folders}) COMPREPLY=($(compgen -d -- "$word")); return ;;
        {files}) COMPREPLY=($(compgen -f -- "$word")); return ;;
        {anything}) return ;;
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "{options}" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
        if ((COMP_CWORD == 1)); then COMPREPLY+=($(compgen -W "{subcommands}" -- "$word")); fi
    fi
}}
complete -o filenames -F _greenwsgi greenwsgi
"""

_BASH_WORDS = """\
        {names}) COMPREPLY=($(compgen -W "{words}" -- "$word")); return ;;
"""

_ZSH = """\
#compdef greenwsgi
# zsh completion for greenwsgi: a file _greenwsgi in a folder of $fpath, or eval "$(greenwsgi completion zsh)"
_greenwsgi() {{
    local -a subcommands=(
{subcommands}    )
    if ((CURRENT == 2)) && [[ $words[CURRENT] != -* ]]; then _describe subcommand subcommands; fi
    _arguments -s \\
{options}        '*:file or module:_files'
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _greenwsgi "$@"; else compdef _greenwsgi greenwsgi; fi
"""


def bash(subcommands: Mapping[str, str]) -> str:
    """A script for bash. `subcommands`: each name and its help."""
    options = _options()
    required = [one for one in options if one.metavar and one.kind.argument is Argument.REQUIRED]
    words = [one for one in options if _words(one)]
    plain = [one for one in required if one not in words]
    return _BASH.format(
        words="".join(
            f'        {_names([one])}) COMPREPLY=($(compgen -W "{_words(one)}" -- "$word")); return ;;\n'
            for one in words
        ),
        folders=_names([one for one in plain if one.metavar == "FOLDER"]),
        files=_names([one for one in plain if one.metavar in ("FILE", "PATH", "ADDRESS")]),
        anything=_names([one for one in plain if one.metavar not in ("FOLDER", "FILE", "PATH", "ADDRESS")]),
        options=" ".join(f"--{name}" for one in options for name in one.names),
        subcommands=" ".join(subcommands),
    )


def zsh(subcommands: Mapping[str, str]) -> str:
    """A script for zsh. `subcommands`: each name and its help."""
    rows = "".join(f"        {_quoted(_escaped(name) + ':' + help)}\n" for name, help in subcommands.items())
    return _ZSH.format(
        subcommands=rows,
        options="".join(f"        {_quoted(text)} \\\n" for one in _options() for text in _specifications(one)),
    )


def _options() -> list[Option]:
    return [entry.option for entry in OPTIONS if working(entry)]


def _words(option: Option) -> str:
    """The words that are the option's value, if those are few."""
    return option.kind.wanted.partition(" of ")[2].replace(",", "") if option.kind.name.startswith("choice") else ""


def _names(options: list[Option]) -> str:
    found = [
        *(f"--{name}" for one in options for name in one.names),
        *(f"-{one.short}" for one in options if one.short),
    ]
    return "|".join(found) or "''"


def _specifications(option: Option) -> list[str]:
    """One `--name=[help]:what:how` for each name, as _arguments of zsh wants it."""
    help = _escaped(option.help.removesuffix("."))
    how = {"FOLDER": "_files -/", "FILE": "_files", "PATH": "_files", "ADDRESS": "_files"}.get(option.metavar, "")
    words = _words(option)
    value = f":{_escaped(option.metavar)}:{f'({words})' if words else how}" if option.metavar else ""
    if option.metavar and option.kind.argument is Argument.OPTIONAL:
        return [f"*--{name}=-[{help}]:{value}" for name in option.names]
    mark = "=" if option.metavar else ""
    short = [f"*-{option.short}{'+' if option.metavar else ''}[{help}]{value}"] if option.short else []
    return [*(f"*--{name}{mark}[{help}]{value}" for name in option.names), *short]


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "[]:\\" else c for c in text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
