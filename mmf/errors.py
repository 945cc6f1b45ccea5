"""Errors that MMF raises knowingly; each message ends with what to do next."""


class MMFError(Exception):
    """Root of every error that MMF raises on purpose."""


class CallError(MMFError):
    """The call is wrong: an argument, an option or a name."""


class DataError(MMFError):
    """The data is wrong or not enough; the call may be right."""


class LeakError(MMFError):
    """A fit was handed rows on which it would later be judged."""
