"""What is done at certain moments: hooks, and commands that are executed."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import ChangeNeeds, option
from greenwsgi.options.value_kinds import ACTIONS, COMMANDS


@dataclass(frozen=True, kw_only=True)
class HookOptions:
    """Hooks"""

    hook_asap: tuple[str, ...] = option(
        "hook-asap",
        kind=ACTIONS,
        default=(),
        help="Do this before anything else of the start. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    hook_pre_jail: tuple[str, ...] = option(
        "hook-pre-jail",
        kind=ACTIONS,
        default=(),
        help="Do this as root, before sockets are bound. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    hook_in_jail: tuple[str, ...] = option(
        "hook-in-jail",
        kind=ACTIONS,
        default=(),
        help="Do this as root, after pre-jail; there is no jail. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    hook_as_root: tuple[str, ...] = option(
        "hook-as-root",
        kind=ACTIONS,
        default=(),
        help="Do this as root, after in-jail. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    hook_as_user: tuple[str, ...] = option(
        "hook-as-user",
        kind=ACTIONS,
        default=(),
        help="Do this as the user of uid, when the sockets are bound. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    hook_as_user_atexit: tuple[str, ...] = option(
        "hook-as-user-atexit",
        kind=ACTIONS,
        default=(),
        help="Do this at the server's end, whatever the others come to. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    hook_pre_app: tuple[str, ...] = option(
        "hook-pre-app",
        kind=ACTIONS,
        default=(),
        help="Do this in each generation once, before the application is loaded. May be repeated.",
    )

    hook_post_app: tuple[str, ...] = option(
        "hook-post-app",
        kind=ACTIONS,
        default=(),
        help="Do this in each generation once, when the application is loaded. May be repeated.",
    )

    hook_post_fork: tuple[str, ...] = option(
        "hook-post-fork",
        kind=ACTIONS,
        default=(),
        help="Do this in each worker, right after its fork. May be repeated.",
    )

    hook_accepting: tuple[str, ...] = option(
        "hook-accepting",
        kind=ACTIONS,
        default=(),
        help="Do this in each worker, when it begins to accept. May be repeated.",
    )

    hook_accepting1: tuple[str, ...] = option(
        "hook-accepting1",
        kind=ACTIONS,
        default=(),
        help="Do this in the first worker alone, when it begins to accept. May be repeated.",
    )

    exec_asap: tuple[str, ...] = option(
        "exec-asap",
        kind=COMMANDS,
        default=(),
        help="Run this command before anything else of the start. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    exec_pre_jail: tuple[str, ...] = option(
        "exec-pre-jail",
        kind=COMMANDS,
        default=(),
        help="Run this command as root, before sockets are bound. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    exec_in_jail: tuple[str, ...] = option(
        "exec-in-jail",
        kind=COMMANDS,
        default=(),
        help="Run this command as root, after pre-jail; there is no jail. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    exec_as_root: tuple[str, ...] = option(
        "exec-as-root",
        kind=COMMANDS,
        default=(),
        help="Run this command as root, after in-jail. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    exec_as_user: tuple[str, ...] = option(
        "exec-as-user",
        kind=COMMANDS,
        default=(),
        help="Run this command as the user of uid, when the sockets are bound. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    exec_as_user_atexit: tuple[str, ...] = option(
        "exec-as-user-atexit",
        kind=COMMANDS,
        default=(),
        help="Run this command at the server's end, whatever the others come to. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )

    exec_pre_app: tuple[str, ...] = option(
        "exec-pre-app",
        kind=COMMANDS,
        default=(),
        help="Run this command in each generation once, before the application is loaded. May be repeated.",
    )

    exec_post_app: tuple[str, ...] = option(
        "exec-post-app",
        kind=COMMANDS,
        default=(),
        help="Run this command in each generation once, when the application is loaded. May be repeated.",
    )
