"""Provide test classes with the requirements for components of each kind.

A plugin's whole contract test is::

    from mashkit.testing import StretcherContract


    class TestAcme(StretcherContract):
        component = "acme"

The component is created by name through the registry, so the entry point is tested too; if the component is not
available, its tests are skipped with the reason. Checks cannot be overridden. Checks of the quality of the results
("sanity") may be excused, and are then expected to fail::

    class TestAcme(StretcherContract):
        component = "acme"
        xfail = {"test_channels_do_not_leak": "stretches mid and side"}
"""
