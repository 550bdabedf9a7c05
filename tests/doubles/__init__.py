"""Verified fakes, used by the tests of several packages."""
