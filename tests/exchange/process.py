"""Starts the loopback exchange in a process of its own, so that it shares no interpreter with its client."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from json import loads
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class ExchangeProcess:
    """`seen` is filled when the context ends: n_requests, busiest_5s, n_bans, span_s."""

    url: str
    seen: dict[str, float] = field(default_factory=dict)


@contextmanager
def exchange_process(*options: str) -> Iterator[ExchangeProcess]:
    """Run `python -m tests.exchange OPTIONS`, such as `"--bars", "1051200", "--latency", "0.06"`."""
    command = [sys.executable, "-m", "tests.exchange", *options]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"{' '.join(command)} ended without printing a URL; see its stderr above")
            exchange = ExchangeProcess(url)
            yield exchange
            out, _ = process.communicate(timeout=30)
            exchange.seen.update(loads(out))
        finally:
            process.kill()
