"""`python -m tests.exchange`: the loopback exchange in a process of its own, until stdin is closed.

The first line on stdout is the base URL, the last one what was seen, as JSON. The folder must be the repository's root.
"""

import argparse
import sys
from json import dumps
from pathlib import Path

import polars as pl

from mmf.bars import BAR_SCHEMA, Series
from tests.exchange.faults import Faults
from tests.exchange.rate_limit import RateLimit
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import walk_bars


def main() -> None:
    options = _options()
    series = Series.parse(options.series)
    limit = RateLimit(options.limit, ban_s=options.ban) if options.limit else None
    faults = Faults(limit=limit, seed=options.seed, dropped=options.dropped, unavailable=options.unavailable)
    market = Market(series, _bars(options.bars, series))
    with LoopbackExchange([market], faults=faults, latency_s=options.latency, port=options.port) as exchange:
        print(exchange.url, flush=True)
        sys.stdin.read()
        times = [request.time_s for request in exchange.requests]
        seen = {
            "n_requests": len(times),
            "busiest_5s": exchange.busiest_window(),
            "n_bans": exchange.n_bans,
            "span_s": max(times) - min(times) if times else 0.0,
        }
        print(dumps(seen), flush=True)


# ------------------------------------------------------------------------------------


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.exchange", description=__doc__.splitlines()[0])
    parser.add_argument("--bars", default="10000", help="a Parquet file, or how many bars to make up")
    parser.add_argument("--series", default="bybit:linear:BTCUSDT:1")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--limit", type=int, default=600, help="requests in any 5 seconds; 0 lifts it")
    parser.add_argument("--ban", type=float, default=600.0, help="seconds")
    parser.add_argument("--dropped", type=float, default=0.0, help="probability")
    parser.add_argument("--unavailable", type=float, default=0.0, help="probability")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    return parser.parse_args()


def _bars(bars: str, series: Series) -> pl.DataFrame:
    if bars.isdecimal():
        return walk_bars(int(bars), interval=series.interval)
    return pl.read_parquet(Path(bars), columns=list(BAR_SCHEMA))


if __name__ == "__main__":
    main()
