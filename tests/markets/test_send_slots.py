import asyncio
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.markets.pacing import Pacer
from mmf.markets.send_slots import FOLDER_VARIABLE, SendSlot, slot_path
from tests.exchange.faults import Faults
from tests.exchange.process import ROOT
from tests.exchange.rate_limit import RateLimit
from tests.exchange.server import LoopbackExchange
from tests.markets.patience import VirtualClock
from tests.markets.test_pacing import most_in_a_window, with_stalls

LIMIT, WINDOW_S = 100, 1.0


def sent_by_turns(pacers: list[Pacer], clock: VirtualClock, order: np.ndarray, busy_s: np.ndarray) -> np.ndarray:
    """Instants at which turns were taken by senders of one machine, each on its own pacer."""

    async def send() -> list[float]:
        times = []
        for who, seconds in zip(order, busy_s, strict=True):
            await pacers[who].turn()
            times.append(clock.now_s)
            clock.now_s += seconds
        return times

    return np.array(asyncio.run(send()))


@given(seed=st.integers(0, 2**32 - 1), n_senders=st.integers(2, 4))
@settings(max_examples=30)
def test_pacers_on_one_file_keep_the_limit_of_one(tmp_path_factory: pytest.TempPathFactory, seed, n_senders):
    path, clock = tmp_path_factory.mktemp("pacing") / "host", VirtualClock(1_000.0)
    pacers = [Pacer(50, 1.0, slot=SendSlot(path), clock=clock, sleep=clock.sleep) for _ in range(n_senders)]
    order = np.random.default_rng(seed).integers(0, n_senders, 200)
    sent = sent_by_turns(pacers, clock, order, with_stalls(seed, 200, pacers[0].spacing_s))
    assert most_in_a_window(sent, 1.0) <= 50


def test_while_one_is_told_to_wait_nobody_has_a_turn(tmp_path: Path):
    clock = VirtualClock(1_000.0)
    one, other = (Pacer(50, 1.0, slot=SendSlot(tmp_path / "a"), clock=clock, sleep=clock.sleep) for _ in range(2))
    one.hold(7.0)
    asyncio.run(other.turn())
    assert clock.now_s == pytest.approx(1_007.0)


def worker(url: str, folder: Path, n_requests: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.markets.pacing_worker", url, str(n_requests), str(LIMIT), str(WINDOW_S)]
    environment = {**os.environ, FOLDER_VARIABLE: str(folder)}
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)


def test_processes_that_download_at_once_are_never_banned_and_one_that_is_killed_holds_nobody(tmp_path: Path):
    with LoopbackExchange([], faults=Faults(limit=RateLimit(LIMIT, WINDOW_S))) as exchange:
        with worker(exchange.url, tmp_path, 2_000) as killed:
            assert killed.stdout.readline() == "started\n"
            with worker(exchange.url, tmp_path, 80) as one, worker(exchange.url, tmp_path, 160) as other:
                assert one.wait(60) == 0
                killed.send_signal(signal.SIGKILL)
                assert other.wait(60) == 0
        assert exchange.n_bans == 0
        assert 240 < len(exchange.requests) < 2_000
        assert exchange.busiest_window(WINDOW_S) <= LIMIT


def test_an_instant_from_before_a_restart_of_the_machine_holds_nobody(tmp_path: Path):
    with SendSlot(tmp_path / "a") as slot:
        slot.next_s = time.monotonic() + 1_000.0
    with SendSlot(tmp_path / "a") as slot:
        assert slot.next_s == float("-inf")


def test_a_folder_that_cannot_be_made_leaves_the_process_alone(tmp_path: Path):
    (tmp_path / "file").touch()
    with SendSlot(tmp_path / "file" / "pacing") as slot:
        slot.next_s = 5.0
    with SendSlot(tmp_path / "file" / "pacing") as slot:
        assert slot.next_s == float("-inf")


def test_the_folder_is_that_of_the_environment_else_of_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert slot_path("https://api.bybit.com", 600, 5.0) == tmp_path / "https-api.bybit.com-600-in-5s"
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert slot_path("http://a", 1, 0.5).parent == tmp_path / "cache" / "mmf" / "pacing"


def test_a_user_without_a_home_is_paced_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def no_entry(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    for name in ("HOME", "XDG_CACHE_HOME", FOLDER_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    assert slot_path("http://a", 1, 0.5) is None
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert slot_path("http://a", 1, 0.5).parent == tmp_path
