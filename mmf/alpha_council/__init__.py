"""The Alpha Council: three voters choose the columns that experts may use."""

from mmf.alpha_council.council import AlphaCouncil

__all__ = ["AlphaCouncil"]
