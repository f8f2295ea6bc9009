"""The one exception that is the user's to mend."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(ValueError):
    """The user's mistake, told in one line: the value seen, what was expected, the remedy.

    The command line prints the line and ends with status 2; every other exception is a bug.
    """
