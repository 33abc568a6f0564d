"""What the master executes to make a zygote: `python -P exec_zygote.py DESCRIPTOR`. First of all, patch.

Run by its path, from the package that the master runs from: an installed one or a checkout. The package's folder is on
sys.path only while the package itself is imported, so that nothing beside it (a queue.py, a random.py) can stand in for
the standard library before it is patched; afterwards the package finds its modules by itself.

The guard keeps a program that the application starts with multiprocessing's "spawn", which runs this file again under
another name, from being a zygote too.
"""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/", 3)[0])
    import greenwsgi  # noqa: F401

    del sys.path[0]
    from greenwsgi.serve import monkeypatch
    from greenwsgi.serve.fork_hook import ForkHook

    forks = ForkHook()
    forks.register()  # before the patch, which imports threading
    monkeypatch.patch()

    from greenwsgi.worker import zygote

    zygote.main(int(sys.argv[1]), forks)
