"""What an exchange can refuse; each message says what to do next."""

from mmf.errors import MMFError


class ExchangeError(MMFError):
    """An exchange did not answer, or not as it should; what was fetched before stands, and a rerun goes on from it."""


class RefusedError(ExchangeError):
    """The exchange does not know what was asked: a symbol, an interval or another parameter."""


class UnknownSymbolError(RefusedError):
    """The exchange does not know the symbol, or no longer."""


class OutOfReachError(ExchangeError):
    """The exchange answers nothing at all any more, whatever is asked: no connection, a block or a ban.

    It ends a run over many series; every other `ExchangeError` concerns the one series that was asked for.
    """


class BlockedError(OutOfReachError):
    """The exchange does not serve this place (a geo block or a firewall); asking again is of no use."""


class BannedError(OutOfReachError):
    """The exchange has banned this IP address for a while.

    Attributes
    ----------
    wait_s : float
        Seconds until the ban ends.
    """

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s
