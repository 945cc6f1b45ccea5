"""The prose of the catalogue page."""

INTRODUCTION = """\
# Features

The catalogue of every column that MMF computes. It is generated from the registry (`just catalogue`), and a test
holds it against the code.

`core` holds {n_core} columns; with their lags {lags} they make {n_logical}. Lags are never stored: they are read as
shifts. A row stamped t reads bars up to t. W is a window in stored bars of one series: {windows}, where a line does
not say otherwise. A hole is not filled, and the return across it is one return.

- **earlier bars**: how many bars before its own a row reads. A finite column reads exactly so many; a recursive one
  ("fading") reads on, but a bar that far back moves it by less than 2^-24 of the column's scale. A row is warm when
  the longest of a set, {memory} for `core`, lie behind it.
- **undefined**: where the column is null. It is never infinite and never NaN.
- **oracle**: an independent implementation that the tests compare every column with, to the relative **tolerance**,
  on walks, constants, jumps, extreme prices, holes and real bars.

```console
$ mmf features list --family chaos
$ mmf features show hurst_200
```

`show` also measures what the column costs on the machine at hand. The charts show the last 400 hours of 5,600 bars
of the [simulated market](simulated_market.md).
"""

FAMILIES = {
    "price": "Closed forms of one bar and the close before it. The three shadow ratios add up to 1.",
    "volatility": """\
How far prices move. `atr_W` is in units of price and drifts with its level; `natr_W`, `bb_bandwidth_W` and
`volatility_W` do not.""",
    "momentum": "Where the close stands against the recent past, and how fast it got there.",
    "trend": """\
Direction and its strength. `slope_W` is in units of price per bar and drifts with the level; the distances are
ratios. `adx_200` fades slowest of all columns: measured, it needs up to 5,005 earlier bars, and it declares all of the
5,120 that a chunk reads.""",
    "volume": """\
Volume signed by the price. Totals run over a window: one since the start of history is not reproducible from a
part.""",
    "statistics": """\
Moments of the close over a window. `rolling_mean_W` and `rolling_std_W` drift with the price level.""",
    "chaos": """\
Persistence, disorder and roughness. `hurst_W` reads log-returns, not prices: R/S on price levels, as often seen, sits
near 0.8 whatever the market does. `fdi_W` is 1 for a line, 1.5 for a random walk, 2 for noise.

**What entropy tells.** A histogram between the smallest and the largest return of the window is stretched by one large
return: the others then share few bins. On real BTCUSDT bars `entropy_W` therefore lies in 0.47 to 0.85, far from 1, and
follows minus the kurtosis of the same returns (correlation -0.97). Read it as the absence of outliers rather than as
disorder of direction.""",
}

BEYOND = """\
`core_stationary` is `core` without what drifts with the level of price or volume: amounts of price stand in percent
of the close, amounts of volume as a share of the window's volume. `atr_W` is left out, since `natr_W` is that already,
and so is `rolling_mean_W`. It also holds `entropy_sigma_W`, whose bins follow the rolling deviation rather than the
extremes."""

AFTER = """\
## Audits

Three promises are measured, not believed. No column sees a later bar: later bars are changed and taken away, and no
row may move. Bars that arrive in any order (appended, put before the first, filled into holes, revised) lead to the
same bits as a build from scratch. No column remembers more than it declares. Beside these the same bars must give
the same bits again. The audit knows nothing of how a column is computed, so it holds for yours as well.

```console
$ mmf features audit --feature chaos --html audit.html
```

Without `--feature` it audits the whole set in some ten seconds; `--series` takes stored bars in place of simulated
ones. A column that fails gets a verdict that says what to mend, and the command ends with exit code 1. What an
audit cannot see: a leak in rows rarer than the 80 that it cuts at, and a clock that stands still while it runs,
such as today's date.
"""

EXAMPLE_SETTINGS = """\
[features]
file = "my_features.py"

[features.sets]
mine = ["core", "user"]
brisk = ["*_14", "chaos", "!hurst_*", "efficiency_20"]
"""

OWN = """\
## Write a feature of your own

`mmf features new` writes a file to start from, and an `mmf.toml` that names it where there is none:

```console
$ mmf features new my_features.py
$ mmf features list --set mine
$ mmf features show efficiency_20
$ mmf features audit --set mine --feature user
```

This is the file:

```python
{example}
```

And this is `mmf.toml`. A set is a selection: columns, globs, families, other sets, and with `!` before it what to
leave out. `user` stands for all that the file declares.

```toml
{settings}
```

Build it like any other. `plan` tells the cost before anything runs; `diff` compares two tables, of one set or of two:

```console
$ mmf ingest simulated --symbol TOURUSDT --bars 9000 --seed 11
$ mmf features plan simulated:linear:TOURUSDT:60 --set mine
$ mmf features build simulated:linear:TOURUSDT:60 --set mine
$ mmf features build simulated:linear:TOURUSDT:60
$ mmf features versions
$ mmf features diff core@v1 mine@v1
```

- The column is called like the function, or NAME_W for each of the `windows`.
- The arguments of a kernel name the bar columns that it reads: open high low close volume turnover. It gets float64
  arrays and returns one of the same length, NaN where undefined. Without arguments a function returns a Polars
  expression.
- Declare `lookback` where a row reads exactly so many earlier bars, `memory` where they fade. Rolling sums and
  means of Polars carry the rounding of older bars along, so they fade too: declare `memory`. The longest is 5,120.
- Several columns from one pass: put `Feature` records that share a `Computation` (`mmf.features.record`) into a
  tuple called FEATURES.
- The hash of a definition covers the function and all that it uses, in your file and in MMF: helpers, kernels,
  constants, closures. Comments and docstrings stay out. An edit makes a new version, such as `mine@v2`, and the old
  one stays readable. What is reached by `getattr`, `globals()` or `eval` is not covered; neither is a file that a
  feature reads.
- The file is code that runs with your rights. MMF loads it by the path in `mmf.toml` and from nowhere else.
"""
