"""Tensor-Flex, the refinery: many correlated columns become few latents that tell different things."""

from mmf.tensor_flex.identity import ArtifactIdentity, why_not_reusable
from mmf.tensor_flex.refinery import Mode, TensorFlex
from mmf.tensor_flex.store import StoredTensorFlex, load, save

__all__ = ["ArtifactIdentity", "Mode", "StoredTensorFlex", "TensorFlex", "load", "save", "why_not_reusable"]
