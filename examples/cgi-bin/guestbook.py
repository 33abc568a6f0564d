"""A form that answers itself. It needs no executable bit: --cgi-helper .py=python3 runs it."""

import html
import os
import sys
from urllib.parse import parse_qs

FORM = """<!doctype html><title>guestbook</title>
<p>{greeting}</p>
<form method="post"><input name="name"><button>sign</button></form>
"""

length = int(os.environ.get("CONTENT_LENGTH") or 0)
name = parse_qs(sys.stdin.read(length)).get("name", [""])[0]
print("Content-Type: text/html; charset=utf-8")
print()
print(FORM.format(greeting=html.escape(f"hello, {name}" if name else "who are you?")))
