"""What one training run is asked to do."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from mmf.bars import Interval
from mmf.errors import CallError, DataError
from mmf.evaluation.backtest import Costs, Rules
from mmf.evaluation.threshold import Constraints
from mmf.experts.names import EXPERTS
from mmf.features.lags import LAGS
from mmf.labels import LabelConfig


@dataclass(frozen=True, kw_only=True)
class Trading:
    """How the predictions are traded in the backtest.

    Attributes
    ----------
    exit : {"label", "horizon", "barriers"}
        What ends a position: what the label asks for, the horizon, or take-profit and stop-loss before it. Barriers in
        multiples of the ATR end a label, but no position: there the horizon does.
    at_once : int
        Positions that may be open at the same time.
    """

    exit: Literal["label", "horizon", "barriers"] = "label"
    at_once: int = 1


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of a run; every field is written into its card.

    Attributes
    ----------
    feature_set : str
        Name of the feature set to build and read.
    lags : tuple of int
        Lags of each base column, in bars.
    context : tuple of str
        Longer intervals whose base columns are read beside those of the series, such as `("240",)`.
    days : int or None
        Length of the range, counted back from the newest bar; None for all.
    label : LabelConfig
        What is predicted.
    test_share : float
        Share of the newest rows that judge the model.
    top_ratio : float
        Share of columns that each voter of the Alpha Council approves.
    max_features : int or None
        Size of the elite list; None keeps all that passed.
    one_per_family : bool
        Whether only the best of a base feature and its lags passes.
    use_tensor_flex : bool
        Whether the experts read what the refinery distils, rather than the council's columns themselves.
    experts : tuple of str
        Which experts the gate mixes.
    trading : Trading
        How the predictions are traded.
    costs : Costs
        What a fill costs.
    threshold : Constraints
        What the threshold must leave on training rows.
    seed : int
        Seed of everything random.
    """

    feature_set: str = "core"
    lags: tuple[int, ...] = LAGS
    context: tuple[str, ...] = ()
    days: int | None = 730
    label: LabelConfig = field(default_factory=LabelConfig)
    test_share: float = 0.2
    top_ratio: float = 0.5
    max_features: int | None = None
    one_per_family: bool = False
    use_tensor_flex: bool = True
    experts: tuple[str, ...] = EXPERTS
    trading: Trading = field(default_factory=Trading)
    costs: Costs = field(default_factory=Costs)
    threshold: Constraints = field(default_factory=Constraints)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.05 <= self.test_share <= 0.5:
            raise CallError(f"test_share {self.test_share} is not between 0.05 and 0.5. The usual share is 0.2.")
        if not 0 < self.top_ratio <= 1:
            raise CallError(f"top_ratio {self.top_ratio} is not in (0, 1]. The usual ratio is 0.5.")
        if self.days is not None and self.days < 1:
            raise CallError(f"--days {self.days} is not a number of days. The usual range is 730.")
        if unknown := [name for name in self.experts if name not in EXPERTS]:
            raise CallError(f"expert {unknown[0]!r} is unknown. Use some of {', '.join(EXPERTS)}.")
        if not self.experts or len(set(self.experts)) != len(self.experts):
            raise CallError(f"experts {list(self.experts)}: name one at least, and each once.")
        if self.experts == ("cnn",) and not self.use_tensor_flex:
            raise CallError("the cnn reads the refinery's latents: leave out --no-tensor-flex, or name others too.")
        if not self.lags or min(self.lags) < 1 or len(set(self.lags)) != len(self.lags):
            raise CallError(f"lags {list(self.lags)} must be distinct positive numbers of bars, such as 1 2 3 5 8 13.")
        if len({Interval.parse(name) for name in self.context}) != len(self.context):
            raise CallError(f"context {list(self.context)} names an interval twice. Name each once, such as 240 D.")

    @property
    def rules(self) -> Rules:
        """When a position is opened and closed."""
        label, exit_ = self.label, self.trading.exit
        if exit_ == "label":
            exit_ = "barriers" if label.kind == "triple_barrier" and label.barrier == "percent" else "horizon"
        return Rules(
            horizon=label.horizon,
            exit=exit_,
            take_profit=label.take_profit,
            stop_loss=label.stop_loss,
            at_once=self.trading.at_once,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], /) -> Self:
        """Read what `as_dict` wrote, out of a run card; a setting that an older card lacks takes its default.

        Raises
        ------
        DataError
            A setting is unknown to this code, or its value is none.
        """
        try:
            if unknown := sorted(set(stored) - {field.name for field in fields(cls)}):
                raise DataError(f"a stored configuration holds {unknown[0]!r}, which this code does not know.")
            parts = {name: kind(**stored[name]) for name, kind in _PARTS.items() if name in stored}
            lists = {name: tuple(stored[name]) for name in ("lags", "context", "experts") if name in stored}
            settings: dict[str, Any] = {**stored, **parts, **lists}
            return cls(**settings)
        except (CallError, TypeError, ValueError) as error:
            raise DataError(f"a stored configuration is not readable: {error}") from error


# ------------------------------------------------------------------------------------

_PARTS = {"label": LabelConfig, "trading": Trading, "costs": Costs, "threshold": Constraints}
