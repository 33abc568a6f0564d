"""The application and its Python: what there is no value for."""

from __future__ import annotations

from greenwsgi.options.option_spec import Reason
from greenwsgi.options.uwsgi_only.by_value import plugins
from greenwsgi.options.uwsgi_only.row_format import accepted, later, refused

ROWS = (
    *accepted(
        Reason.PLUGIN,
        """
        plugins plugin need-plugins need-plugin =: load plugins
        """,
        judge=plugins,
    ),
    *accepted(
        Reason.PLUGIN,
        """
        plugins-dir plugin-dir =: look for plugins in this folder
        autoload: find the plugins that unknown options belong to
        """,
    ),
    *later(
        "Not yet",
        """
        worker-mount =: an application below a path, loaded by one worker alone | use mount
        ignore-script-name: find the application without SCRIPT_NAME
        """,
    ),
    *refused(
        "one server serves one application, whatever the host; run a server for each, and let nginx choose",
        """
        vhost: keep applications apart by SERVER_NAME
        vhost-host: keep applications apart by Host
        """,
    ),
    *later(
        "Not yet",
        """
        spooler-import spooler-pyimport spooler-py-import spooler-python-import =: what spoolers import first
            | it comes with the spooler
        py-programname py-program-name =: the name that Python thinks it has
            | nothing but sys.executable depends on it
        optimize -O =: Python's -O | start with PYTHONOPTIMIZE=1 in the environment
        eval =: Python code that makes the application | put it into a file, for wsgi-file
        paste =: an application made by a PasteDeploy file
            | a file with application = paste.deploy.loadapp(...), for wsgi-file
        paste-logger: set logging up from the PasteDeploy file | call logging.config.fileConfig in the application
        pecan =: an application made by a Pecan file
            | a file with application = pecan.deploy.deploy(...), for wsgi-file
        ini-paste ini-paste-logged =: a PasteDeploy file with a [uwsgi] section
            | write ini = FILE, and a file with application = paste.deploy.loadapp(...), for wsgi-file
        py-tracebacker =: a socket that tells each thread's stack | use py-spy dump --pid PID
        py-auto-reload py-autoreload python-auto-reload python-autoreload =: reload when a module's file has changed
            | a file watcher (watchfiles, entr) that sends SIGHUP
        py-auto-reload-ignore =: modules that py-auto-reload does not watch | it comes with py-auto-reload
        exception-handler =: a plugin that is told of exceptions | a WSGI middleware, such as Sentry's
        profiler =: profile the application | use py-spy record --pid PID
        mode =: a word for uwsgi.mode | it comes with the uwsgi module
        upload-progress =: write how far an upload is into a folder's files
        py-sharedarea =: a shared memory area over a bytearray | it comes with the shared areas
        """,
    ),
    *refused(
        "no Python framework needs it any more; serve a WSGI application with module or wsgi-file",
        """
        web3 =: an application of the web3 protocol
        pump =: an application of the Pump protocol
        wsgi-lite =: an application of the WSGI Lite protocol
        python-raw =: Python code for raw requests
        raw-socket =: a socket without any protocol
        raw-modifier1 =: who answers raw requests
        raw-modifier2 =: who answers raw requests
        """,
    ),
    *refused(
        "only Python applications are served here",
        """
        php-app =: a PHP script that answers all requests
        php-docroot =: a folder of PHP scripts
        php-index =: the PHP script that stands for a folder
        psgi =: a Perl application
        rack =: a Ruby application
        rails =: a Rails application
        lua =: a Lua application
        """,
    ),
    *refused(
        "it would run something other than the server; run that by itself",
        """
        pyshell [=]: a Python shell in the worker
        pyshell-oneshot [=]: the same, once
        python py pyrun =: run a script inside the server
        python-worker-override =: run a script in the worker's place
        worker-exec worker-exec2 =: run a command in the worker's place
        test -J =: try to import a module and end | run python -c 'import MODULE'
        """,
    ),
    *refused(
        "C code inside the server is not possible; write it in the application",
        """
        symcall =: a C function that answers requests
        symcall-use-next: find the C function in later libraries
        symcall-register-rpc =: a C function for RPC
        symcall-post-fork =: a C function called after each fork
        dlopen =: open a .so file in the server | load it in the application, by ctypes.CDLL
        after-request-hook after-request-call =: a C function called after each request | a WSGI middleware can do it
        """,
    ),
    *accepted(
        Reason.GEVENT,
        """
        enable-threads -T: let the application start threads
        gevent-monkey-patch: patch the standard library | it is patched before anything else is imported
        gevent-early-monkey-patch: patch it before the application is loaded
            | it is patched before anything else is imported
        gevent-wait-for-hub: wait for the hub at the end
        ugreen: run requests in coroutines
        ugreen-stacksize =: the stack of each coroutine
        no-threads-wait: do not wait for threads at the end
        threads-stacksize thread-stacksize thread-stack-size threads-stack-size =: the stack of each thread
        reaper -r: collect dead child processes after each request
        """,
    ),
    *accepted(
        Reason.ALWAYS,
        """
        py-call-osafterfork: tell Python of each fork
        py-call-uwsgi-fork-hooks: tell Python of each fork
        reload-os-env: fill os.environ again for each request | the process's environment is os.environ
        wsgi-strict: keep to the WSGI standard
        wsgi-accept-buffer wsgi-accept-buffers: take memoryview and bytearray for response bytes
        close-on-exec: keep connections out of child processes
        close-on-exec2: keep listening sockets out of child processes
        """,
    ),
    *accepted(
        Reason.SAFER,
        """
        catch-exceptions: show the client the traceback of an error | it is in the log
        allowed-modifiers =: which uwsgi request types are answered | none but WSGI and pings are
        """,
    ),
    *accepted(
        Reason.DESIGN,
        """
        single-interpreter -i: use one Python interpreter | there is one in each process
        wsgi-env-behaviour wsgi-env-behavior =: how environ is allocated | each request has its own
        max-apps =: how many applications a worker can have
        cgi-mode -c: answer as CGI does, for other plugins
        no-site: start Python without the site module | Python is running already
        start_response-nodelay start: send the headers before there is a body | PEP 3333 forbids it
        """,
    ),
)
