"""One thread for the numerical libraries, asked for so often that finding them must not be paid each time."""

from contextlib import AbstractContextManager
from functools import cache
from typing import Literal

from threadpoolctl import ThreadpoolController


def single_threaded(user_api: Literal["blas", "openmp"] | None = None, /) -> AbstractContextManager[object]:
    """Let BLAS and OpenMP, or one of them, compute on one thread meanwhile: results are the same on any machine.

    `threadpoolctl.threadpool_limits` looks through all loaded libraries on each call, some 3 ms: as long as a small
    prediction takes. Here they are looked up once, when the first estimator is asked, and by then all are loaded.
    """
    return _controller().limit(limits=1, user_api=user_api)


# ------------------------------------------------------------------------------------


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
