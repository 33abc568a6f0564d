"""Processes, reloading, privileges and hooks: what there is no value for."""

from __future__ import annotations

from greenwsgi.options.option_spec import Reason
from greenwsgi.options.uwsgi_only.by_value import loop
from greenwsgi.options.uwsgi_only.row_format import accepted, later, refused

_COMMAND = "Nothing is done at that moment; hook-as-root, hook-as-user, hook-pre-app and others are"
_ISOLATION = "the server would not be shut in; let systemd or a container do it"

ROWS = (
    *later(
        "Not yet",
        """
        pidfile2 =: write the process id there, as the user | use pidfile
        safe-pidfile =: the same, once the server runs | use pidfile
        safe-pidfile2 =: the same, as the user | use pidfile
        reload-on-exception: replace a worker after an exception
        reload-on-exception-type =: the same, for this type
        reload-on-exception-value =: the same, for this text
        reload-on-exception-repr =: the same, for this type and text
        reload-on-fd =: reload when a descriptor has something to read
        brutal-reload-on-fd =: the same, without mercy
        exit-on-reload: end when a reload is asked for
        touch-mules-reload =: reload the mules
        touch-spoolers-reload =: reload the spoolers
        touch-exec =: run a command when a file is touched
        touch-signal =: raise a uwsgi signal then
        fs-reload =: reload when the filesystem tells of a change
        fs-brutal-reload =: the same, without mercy
        fs-signal =: raise a uwsgi signal then
        notify-socket =: log what is sent to this socket
            | readiness is told to systemd without it, if NOTIFY_SOCKET is in the environment
        mule-reload-mercy =: how long a mule may take to end
        harakiri-graceful-timeout =: how long a worker has after the first signal
            | the request alone is ended, not its worker
        harakiri-graceful-signal =: what that signal is
        harakiri-queue-threshold =: no harakiri while fewer connections wait
        cap =: the capabilities that root keeps | AmbientCapabilities= of systemd
        no-initgroups: leave out the user's further groups
        file-write =: write a file at the start
        never-swap: keep all memory out of the swap | MemorySwapMax=0 of systemd
        ksm [=]: let the kernel merge equal pages
        check-mountpoint mountpoint-check check-mount mount-check =: end when a filesystem is gone
            | BindsTo= of systemd
        wait-for-interface wait-interface wait-for-iface wait-iface =: wait for a network interface
            | After= of systemd
        wait-for-interface-timeout wait-interface-timeout wait-for-iface-timeout wait-iface-timeout =: how long
            | After= of systemd
        wait-for-fs wait-for-file wait-for-dir wait-for-mountpoint =: wait for a file, a folder or a mount
            | After= of systemd
        wait-for-fs-timeout =: how long | After= of systemd
        wait-for-socket =: wait for a socket | After= of systemd
        wait-for-socket-timeout =: how long | After= of systemd
        """,
    ),
    *refused(
        "two servers could run where one must; flock FILE greenwsgi ... holds it",
        """
        flock flock2 =: hold this file's lock, or do not start
        flock-wait flock-wait2 =: wait for this file's lock
        """,
    ),
    *later(
        _COMMAND,
        """
        exec-post-jail =: run a command after it
        hook-post-jail =: run an action after it
        hook-accepting-once =: the same, at the first start alone
        hook-accepting1-once =: the same, at the first start alone
        hook-master-start =: run an action when the master starts
        hook-touch =: run an action when a file is touched
        hook-as-mule =: run an action in each mule
        """,
    ),
    *refused(
        _ISOLATION,
        """
        chroot =: make this folder the root | RootDirectory= of systemd
        pivot-root pivot_root pivot =: change the root
        namespace ns =: a namespace with this root
        namespace-net ns-net =: give the server interfaces of its own
        unshare unshare2 =: leave parts of the namespace
        setns =: join another one's namespace
        setns-socket =: offer the own namespace
        cgroup =: a control group to run in | Slice= of systemd
        immediate-uid =: be this user at once | use uid
        immediate-gid =: be this group at once | use gid
        """,
    ),
    *refused(
        "filesystems are not mounted; fstab or systemd can",
        """
        mount-asap =: mount at once
        mount-pre-jail =: mount before the isolation
        mount-post-jail =: mount after it
        mount-in-jail =: mount inside
        mount-as-root =: mount before privileges are dropped
        umount-asap =: unmount at once
        umount-pre-jail =: unmount before the isolation
        umount-post-jail =: unmount after it
        umount-in-jail =: unmount inside
        umount-as-root =: unmount before privileges are dropped
        """,
    ),
    *refused(
        "C functions cannot be called; write it in the application",
        """
        call-asap =: call a C function at once
        call-pre-jail =: call a C function before the isolation
        call-post-jail =: call a C function after it
        call-in-jail =: call a C function inside
        call-as-root =: call a C function before privileges are dropped
        call-as-user =: call a C function after it
        call-as-user-atexit =: call a C function at the end
        call-pre-app =: call a C function before the application is loaded
        call-post-app =: call a C function after it
        """,
    ),
    *refused(
        "there is one loop, gevent's",
        """
        loop =: the loop engine
        """,
        judge=loop,
    ),
    *refused(
        "another program would run in the server's place",
        """
        privileged-binary-patch =: become another program, as root
        unprivileged-binary-patch =: become another program, as the user
        privileged-binary-patch-arg =: the same, with arguments
        unprivileged-binary-patch-arg =: the same, with arguments
        no-server: run no server | the server would run
        command-mode: run no server | the server would run
        """,
    ),
    *accepted(
        Reason.TUNES,
        """
        cgroup-opt =: a value of the cgroup
        cgroup-dir-mode =: the mode of its folder
        namespace-keep-mount =: a mount to keep in the namespace
        setns-socket-skip setns-skip =: what not to offer
        setns-preopen: open the namespaces early
        jailed: run the hooks of isolation
        """,
    ),
    *accepted(
        Reason.DESIGN,
        """
        check-interval =: how often the master looks around | it is told of what happens
        forkbomb-delay =: how long to wait when workers die at once | the delay grows with each death
        refork re-fork: fork again after dropping privileges
        refork-as-root re-fork-as-root: fork again before
        refork-post-jail re-fork-post-jail: fork again inside
        safe-fd fd-safe =: leave a descriptor open
        no-fd-passing: do not pass descriptors
        skip-zero: do not look at descriptor 0
        skip-atexit: leave out the hooks at the end
        skip-atexit-teardown: leave out Python's own end
        use-abort: abort at a crash | the Python stack is written then
        backtrace-depth =: how much of the C stack to log | the Python stack is written
        binary-path =: what to run at a reload
        binsh =: the shell for hooks
        propagate-touch: pass touches on to other processes
        force-gateway: run a router without a master
        lock-engine =: how locks are made
        ftok =: the key of System V semaphores
        persistent-ipcsem: keep System V semaphores at the end
        clock =: what tells the time
        harakiri-no-arh no-harakiri-arh no-harakiri-after-req-hook: the watchdog rests once the answer is out
        """,
    ),
    *accepted(
        Reason.SAFER,
        """
        master-as-root: leave the master root | nothing but the binding of sockets is done as root
        drop-after-init: drop privileges late | the application is always loaded as the user
        drop-after-apps: drop privileges when the application is loaded | the application is always loaded as the user
        """,
    ),
    *accepted(
        Reason.ALWAYS,
        """
        honour-stdin: leave standard input open
        no-orphans: end workers whose master is gone
        auto-procname: name processes by what they do
        """,
    ),
)
