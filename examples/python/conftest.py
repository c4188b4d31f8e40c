"""Tells pytest of the fixtures."""

pytest_plugins = ["sandbox"]
