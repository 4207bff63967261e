"""The terms of joint training. Pure functions; padding does not exist (texts are packed)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def embedding_distance(student_BD: Tensor, teacher_BD: Tensor) -> Tensor:
    """1 - mean cosine of L2-normalised embeddings. 0 = the dense original's embeddings."""
    return 1 - (student_BD * teacher_BD).sum(dim=1).mean()


def hidden_distance(student_TD: Tensor, teacher_TD: Tensor) -> Tensor:
    """Mean squared error relative to the teacher's variance. 0 = the same hidden states."""
    return F.mse_loss(student_TD, teacher_TD) / teacher_TD.var()


def router_regression(logits_TE: Tensor, norms_TE: Tensor) -> Tensor:
    """How badly the router predicts the experts' contributions (norms, without gradient): the absolute norms
    relative to their mean square, plus the shares of the token's largest, which the thresholds compare."""
    target_TE = norms_TE.detach()
    absolute = (torch.exp(logits_TE.clamp(max=8.0)) - target_TE).pow(2).mean() / target_TE.pow(2).mean()
    target_share_TE = target_TE / target_TE.amax(dim=1, keepdim=True)
    share_TE = torch.exp(logits_TE - logits_TE.amax(dim=1, keepdim=True))
    relative = (share_TE - target_share_TE).pow(2).mean() / target_share_TE.pow(2).mean()
    return absolute + relative


def concentration(norms_TE: Tensor) -> Tensor:
    """Participation ratio of the contributions: 1 = all experts contribute alike, 1/E = one does everything."""
    n_experts = norms_TE.shape[1]
    return (norms_TE.sum(dim=1).pow(2) / norms_TE.pow(2).sum(dim=1)).mean() / n_experts


def imbalance(norms_TE: Tensor) -> Tensor:
    """Variance between experts of their mean contribution, relative to the mean. 0 = evenly used."""
    mean_E = norms_TE.mean(dim=0)
    return (mean_E / mean_E.mean() - 1).pow(2).mean()
