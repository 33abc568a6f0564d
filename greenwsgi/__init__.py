"""greenwsgi: a preforking gevent server for WSGI applications that speaks uwsgi and HTTP.

Keep this module empty of imports: the zygote loads it before it patches the standard library.
"""

__version__ = "0.1.0"
