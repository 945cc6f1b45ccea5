"""The Alpha Council: three voters choose the columns that experts may use."""

from mmf.alpha_council.council import AlphaCouncil
from mmf.alpha_council.voters import Ballot, Voter

__all__ = ["AlphaCouncil", "Ballot", "Voter"]
