"""What works on lines while a configuration is read, and has done its work then: so there is no value for it."""

from __future__ import annotations

from greenwsgi.options.uwsgi_only.row_format import works

ROWS = works(
    """
    ini =: read options from [uwsgi] in FILE; FILE:NAME is another section, :NAME one of the same file, - standard input
    yaml yml -y =: the same from YAML
    json js -j =: the same from JSON
    xml xmlconfig -x =: the same from XML
    toml =: the same from TOML, also from [tool.greenwsgi] as in pyproject.toml
    include =: read this file here, whatever its format; its extension tells
    config =: read this file here, whatever its format
    inherit =: read this file when all others are read, so that its values come last
    fallback-config =: serve with this configuration when the given one cannot be served
    declare-option declare-option2 =: NAME=OPTION=TEXT;OPTION=TEXT...: make an option of others; $1 is its first word
    resolve =: NAME=HOST: set a placeholder to the address of a host
    set -S =: NAME=TEXT: set an option or a placeholder
    set-placeholder set-ph =: NAME=TEXT: set a placeholder, which is no option's name
    envdir early-envdir =: set a variable for each file of this folder; an empty file removes it
    for =: repeat each line until endfor for each of these words, with the word for %(_)
    for-glob =: the same for each file that matches
    for-times =: the same so often, with 1, 2, 3 ... for %(_)
    for-readline =: the same for each line of a file
    endfor end-for end [=]: the end of for
    if-opt =: the lines until endif count if NAME is set, or if NAME=TEXT is what was set first
    if-not-opt =: the same if not
    if-env ifenv =: they count if the variable NAME is set, or is NAME=TEXT; its text is %(_)
    if-not-env =: the same if not
    if-reload: they count in a reload
    if-not-reload: they count at the start
    if-hostname =: they count on this host
    if-not-hostname =: they count on others
    if-hostname-match =: they count on hosts whose name has this regular expression
    if-not-hostname-match =: they count on others
    if-exists ifexists =: they count if this path exists
    if-not-exists =: they count if it does not
    if-plugin ifplugin =: they count if that plugin of uWSGI was asked for, or its work is done here without
    if-not-plugin =: they count if not
    if-file =: they count if this file exists
    if-not-file =: they count if it does not
    if-dir ifdir if-directory =: they count if this folder exists
    if-not-dir =: they count if it does not
    endif end-if [=]: the end of if-...
    """
)
