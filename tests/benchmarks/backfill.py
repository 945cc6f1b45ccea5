"""A two-year backfill of 1m bars from a loopback exchange with 60 ms latency and Bybit's real limit.

The exchange is a process of its own. A reader goes on reading meanwhile, and its latency is compared with that after
the backfill. The baseline of the rate is the limit itself: 600 requests in any 5 seconds, else a ban.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from subprocess import Popen

from tests.exchange.process import exchange_process
from warehouse import SeriesKey, Warehouse

N_BARS = 1_051_200
ALLOWED_PER_S = 600 / 5.0
KEY = SeriesKey("bybit", "linear", "BTCUSDT", "1")


@dataclass(frozen=True)
class Backfill:
    """What was measured."""

    wall_s: float
    n_requests: int
    request_span_s: float
    busiest_5s: int
    n_bans: int
    n_stored: int
    read_ms: float
    slowest_read_ms: float
    idle_read_ms: float

    @property
    def share_of_allowed(self) -> float:
        """Requests a second from the first to the last, over what is allowed."""
        return self.n_requests / self.request_span_s / ALLOWED_PER_S


def measure_backfill(mmf: str, folder: Path, /) -> Backfill:
    """Run `mmf ingest bybit` once, in an empty folder."""
    with exchange_process("--bars", str(N_BARS), "--latency", "0.06", "--limit", "600") as exchange:
        command = [mmf, "ingest", "bybit", "BTCUSDT", "--interval", "1", "--start", "2024-01-01"]
        with (folder / "output.txt").open("w") as output:
            began = time.perf_counter()
            with Popen([*command, "--base-url", exchange.url], cwd=folder, stdout=output, stderr=output) as process:
                reads = _read_until(process, folder / "mmf_data")
            wall_s = time.perf_counter() - began
        if process.returncode:
            raise RuntimeError((folder / "output.txt").read_text())
    idle = [_read(folder / "mmf_data") for _ in range(20)]
    with Warehouse.open(folder / "mmf_data") as warehouse, warehouse.pin() as snapshot:
        n_stored = sum(file.n_rows for file in snapshot.files("bars", KEY))
    seen = exchange.seen
    return Backfill(
        wall_s=wall_s,
        n_requests=int(seen["n_requests"]),
        request_span_s=seen["span_s"],
        busiest_5s=int(seen["busiest_5s"]),
        n_bans=int(seen["n_bans"]),
        n_stored=n_stored,
        read_ms=median(reads),
        slowest_read_ms=max(reads),
        idle_read_ms=median(idle),
    )


# ------------------------------------------------------------------------------------


def _read_until(process: "Popen[bytes]", root: Path) -> list[float]:
    """Latencies in ms of reads until the process ends."""
    reads = []
    while process.poll() is None:
        if (root / "catalog.sqlite").exists():
            reads.append(_read(root))
        time.sleep(0.05)
    return reads


def _read(root: Path) -> float:
    """Open the warehouse, pin the newest snapshot and read the newest closes."""
    began = time.perf_counter()
    with Warehouse.open(root) as warehouse, warehouse.pin() as snapshot:
        if files := snapshot.files("bars", KEY):
            snapshot.scan("bars", KEY, start=files[-1].start).select("close").collect()
    return (time.perf_counter() - began) * 1_000
