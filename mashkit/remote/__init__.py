"""Run components in other processes: a worker, in its own virtual environment, serves the same interfaces.

:func:`mashkit.remote.proxies.isolated` makes one; :mod:`mashkit.remote.install` makes the environment.
"""
