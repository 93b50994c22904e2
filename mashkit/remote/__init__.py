"""Components in other processes: the same interfaces, run by a worker in a virtual environment of its own.

:func:`mashkit.remote.proxies.isolated` makes one; :mod:`mashkit.remote.install` makes the environment.
"""
