from pathlib import Path
from tempfile import TemporaryDirectory

from tests.warehouse.frames import memory_folder
from tests.warehouse.kill_worker import price_of, study


def test_after_each_kill_the_latest_snapshot_reads_back_whole() -> None:
    with TemporaryDirectory(dir=memory_folder()) as folder:
        deaths = study(Path(folder) / "data", n_deaths=12, seed=20240115)
    assert deaths.n_deaths == 12
    assert deaths.n_snapshots > 30  # the writers did commit
    assert deaths.n_strays > 0  # and some died with a file half done


def test_the_model_of_the_writer() -> None:
    assert [price_of(6, piece) for piece in range(4)] == [4.0, 5.0, 6.0, 3.0]
    assert [price_of(2, piece) for piece in range(4)] == [None, 1.0, 2.0, None]
