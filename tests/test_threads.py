import numpy as np
import sklearn.neighbors  # noqa: F401 - brings OpenMP
from threadpoolctl import threadpool_info, threadpool_limits

from mmf.threads import single_threaded


def threads(user_api: str) -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == user_api}


def test_libraries_compute_on_one_thread_meanwhile_and_as_before_afterwards() -> None:
    np.eye(2) @ np.eye(2)
    with threadpool_limits(2):
        for _ in range(2):  # found once, limited each time
            with single_threaded("blas"):
                assert threads("blas") == {1}
                assert threads("openmp") == {2}
            with single_threaded():
                assert threads("blas") | threads("openmp") == {1}
            assert threads("blas") | threads("openmp") == {2}
