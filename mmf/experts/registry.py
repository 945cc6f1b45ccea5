"""The experts there are, by name."""

from collections.abc import Callable, Iterable

from mmf.errors import CallError
from mmf.experts.graph_visionary import GraphVisionary
from mmf.experts.protocol import Expert
from mmf.experts.range import RangeExpert
from mmf.experts.stress import StressExpert
from mmf.experts.temporal_cnn import TemporalCNN
from mmf.experts.trend import TrendExpert

EXPERTS: dict[str, Callable[[], Expert]] = {
    "trend": lambda: TrendExpert(graph=GraphVisionary()),
    "range": RangeExpert,
    "stress": StressExpert,
    "cnn": TemporalCNN,
}


def build_experts(names: Iterable[str] = tuple(EXPERTS), /) -> dict[str, Expert]:
    """Return unfitted experts with their default parameters.

    Raises
    ------
    CallError
        A name is not in the registry.

    Examples
    --------
    >>> build_experts(["range"])
    {'range': RangeExpert()}
    """
    experts: dict[str, Expert] = {}
    for name in names:
        if name not in EXPERTS:
            raise CallError(f"expert {name!r} is unknown. Use some of {', '.join(EXPERTS)}.")
        experts[name] = EXPERTS[name]()
    return experts
