"""Numbers with errors, from plain arrays: importance weights, mode dropping, the independence chain, observables."""

from flowlab.estimators.correlation import correlation_function
from flowlab.estimators.entropy import conditional_entropy
from flowlab.estimators.evaluation import LowESSWarning, evaluation, scalars
from flowlab.estimators.gamma import mean, tau_int
from flowlab.estimators.independence import (
    Chain,
    acceptance,
    independence_chain,
    longest_rejection_run,
    rejection_runs,
    tau_int_rejections,
)
from flowlab.estimators.mode_dropping import (
    ForwardCheck,
    ModeDropping,
    effective_mode_dropping,
    forward_check,
    log_z_from_target,
    support_threshold,
)
from flowlab.estimators.spins import magnetization_observables, spin_observables
from flowlab.estimators.weights import Estimate, ess, log_z, log_z_bound, reweighted

__all__ = [
    "Chain",
    "Estimate",
    "ForwardCheck",
    "LowESSWarning",
    "ModeDropping",
    "acceptance",
    "conditional_entropy",
    "correlation_function",
    "effective_mode_dropping",
    "ess",
    "evaluation",
    "forward_check",
    "independence_chain",
    "log_z",
    "log_z_bound",
    "log_z_from_target",
    "longest_rejection_run",
    "magnetization_observables",
    "mean",
    "rejection_runs",
    "reweighted",
    "scalars",
    "spin_observables",
    "support_threshold",
    "tau_int",
    "tau_int_rejections",
]
