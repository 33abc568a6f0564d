"""For every option that works, a test of what it does, not of how it is read: `file::function`, below tests/."""

from __future__ import annotations

_LIMITS = "live/test_options.py::test_limits"
_TIMEOUTS = "live/test_options.py::test_timeouts"
_PROXIES = "live/test_options.py::test_proxies"
_FOUND = "live/test_environment.py::test_what_the_application_finds"
_LOGGED = "live/test_environment.py::test_which_requests_are_logged"
_LINES = "log/test_access.py::test_which_requests_get_a_line"
_ADDRESSES = "live/test_addresses.py::test_many_sockets_at_once"
_TUNED = "process/test_binding.py::test_socket_options"
_PRINTED = "test_cli.py::test_prints_and_does_not_serve"
_ASKED = "live/test_commands.py::test_each_way_has_its_effect"

BEHAVIOUR = {
    "wsgi-file": "wsgi/test_loader.py::test_names_and_factories",
    "module": "live/test_environment.py::test_what_the_application_finds",
    "callable": "wsgi/test_loader.py::test_names_and_factories",
    "mount": _FOUND,
    "manage-script-name": _FOUND,
    "no-default-app": "wsgi/test_applications.py::test_what_fits_no_mount",
    "import": _FOUND,
    "pymodule-alias": _FOUND,
    "pyargv": _FOUND,
    "py-executable": _FOUND,
    "chdir2": _FOUND,
    "wsgi-disable-file-wrapper": _FOUND,
    "pythonpath": (
        "wsgi/test_loader.py::test_neighbours_can_be_imported_from_the_files_folder_the_current_one_and_pythonpath"
    ),
    "virtualenv": "wsgi/test_loader.py::test_the_packages_of_a_virtualenv_come_in",
    "env": "live/test_processes.py::test_the_application_sees_its_environment_and_folder",
    "chdir": "live/test_processes.py::test_the_application_sees_its_environment_and_folder",
    "http-socket": _ADDRESSES,
    "http": "live/test_addresses.py::test_ipv6",
    "uwsgi-socket": _ADDRESSES,
    "fastcgi-socket": "live/test_fronts.py::test_facts",
    "fastcgi-nph-socket": "live/test_fastcgi.py::test_fastcgi_nph_socket",
    "fastcgi-stderr": "live/test_fastcgi.py::test_fastcgi_stderr",
    "scgi-socket": "live/test_fronts.py::test_facts",
    "scgi-nph-socket": "live/test_options.py::test_scgi_nph_socket",
    "socket": _ADDRESSES,
    "shared-socket": _ADDRESSES,
    "protocol": "live/test_addresses.py::test_protocol_is_for_plain_sockets",
    "underscore-headers": _LIMITS,
    "listen": "process/test_binding.py::test_listen_is_the_backlog",
    "chmod-socket": "live/test_addresses.py::test_a_stale_socket_is_replaced_and_files_have_their_mode",
    "chown-socket": "live/test_addresses.py::test_chown",
    "abstract-socket": "process/test_binding.py::test_abstract",
    "vacuum": "live/test_addresses.py::test_without_vacuum_files_stay",
    "map-socket": "live/test_addresses.py::test_map_socket",
    "reuse-port": "live/test_addresses.py::test_reuse_port_lets_a_second_server_in",
    "freebind": "process/test_binding.py::test_freebind",
    "defer-accept": "process/test_binding.py::test_defer_accept_leaves_silent_connections_in_the_kernel",
    "tcp-fast-open": _TUNED,
    "tcp-nodelay": "process/test_binding.py::test_accepted_connections_do_not_wait_for_acknowledgements",
    "so-keepalive": _TUNED,
    "so-sndbuf": _TUNED,
    "so-rcvbuf": _TUNED,
    "so-send-timeout": "serve/test_stream.py::test_send_timeout_is_for_room_to_write_alone",
    "umask": "live/test_addresses.py::test_umask_is_everybodys",
    "processes": "live/test_processes.py::test_titles",
    "async": "live/test_harakiri.py::test_one_of_a_hundred_is_ended_alone",
    "lazy-apps": "live/test_processes.py::test_lazy_apps_import_in_each_worker",
    "max-requests": "live/test_options.py::test_max_requests",
    "reload-mercy": "process/test_plan.py::test_why_a_worker_is_killed_names_the_option",
    "worker-reload-mercy": "process/test_plan.py::test_why_a_worker_is_killed_names_the_option",
    "uid": "live/test_processes.py::test_privileges_are_dropped_after_the_sockets_are_bound",
    "gid": "live/test_processes.py::test_privileges_are_dropped_after_the_sockets_are_bound",
    "pidfile": "live/test_stop.py::test_unix_socket_and_pidfile_go_with_the_server",
    "master-fifo": _ASKED,
    "control-socket": _ASKED,
    "sigterm-reloads": "live/test_commands.py::test_sigterm_reloads_if_that_is_wanted",
    "trusted-proxy": _PROXIES,
    "trusted-proxy-headers": _PROXIES,
    "trusted-proxy-count": _PROXIES,
    "dynamic-apps": "live/test_options.py::test_dynamic_apps",
    "uwsgi-allow": "live/test_options.py::test_uwsgi_allow",
    "harakiri": "live/test_harakiri.py::test_one_of_a_hundred_is_ended_alone",
    "harakiri-verbose": "serve/test_harakiri.py::test_verbose_names_the_neighbours",
    "harakiri-for": "live/test_watchdogs.py::test_harakiri_by_route_and_by_the_application",
    "blocked-loop-warning": (
        "live/test_watchdogs.py::test_a_blocked_loop_is_reported_with_its_request_and_place_and_not_stopped"
    ),
    "buffer-size": _LIMITS,
    "limit-post": _LIMITS,
    "socket-timeout": _TIMEOUTS,
    "header-timeout": _TIMEOUTS,
    "keepalive-timeout": _TIMEOUTS,
    "body-min-rate": "serve/test_armour.py::test_a_body_that_trickles",
    "queue-size": "serve/test_armour.py::test_what_finds_no_place_in_line_is_503_at_once",
    "queue-timeout": "serve/test_armour.py::test_what_waits_too_long_in_line_is_503",
    "connections-per-address": "serve/test_armour.py::test_an_address_may_hold_so_many_connections_and_no_more",
    "end-on-disconnect": "serve/test_departure.py::test_by_option_the_greenlet_is_ended",
    "logto": "test_cli.py::test_logto_takes_all_output_until_the_end",
    "daemonize": "live/test_daemon.py::test_the_server_goes_to_the_background",
    "disable-logging": _LOGGED,
    "log-4xx": _LINES,
    "log-5xx": _LOGGED,
    "log-zero": _LINES,
    "log-slow": _LINES,
    "log-big": _LINES,
    "log-micros": _LOGGED,
    "memory-report": _LOGGED,
    **dict.fromkeys(
        (
            "procname-prefix-spaced",
            "cpu-affinity",
            "prio",
            "limit-as",
            "limit-nproc",
            "max-fd",
            "add-header",
            "del-header",
        ),
        "live/test_options.py::test_shares_of_the_machine_names_and_headers",
    ),
    **dict.fromkeys(
        ("procname", "procname-master", "procname-prefix", "procname-append"), "shared/test_title.py::test_names"
    ),
    "add-gid": "live/test_options.py::test_add_gid",
    "ini": "live/test_processes.py::test_a_reload_reads_the_configuration_again",
    "strict": "config/test_settings.py::test_refused",
    "show-config": _PRINTED,
    "reload": _ASKED,
    "stop": _ASKED,
    "pause": _ASKED,
    "resume": _ASKED,
    "connect-and-read": "live/test_commands.py::test_connect_and_read_prints_what_a_socket_says",
    "version": _PRINTED,
    "help": "test_cli.py::test_help_lists_the_subcommands",
    "help-all": "test_cli.py::test_the_table_is_told",
}

UNTESTED = {
    *("max-requests-delta", "min-worker-lifetime", "max-worker-lifetime", "max-worker-lifetime-delta"),
    *("reload-on-as", "reload-on-rss", "evil-reload-on-as", "evil-reload-on-rss", "mem-collector-freq"),
    *("boot-timeout", "touch-reload", "touch-workers-reload", "touch-chain-reload"),
}
"""Options that came without a test of what they do. This set only shrinks."""
