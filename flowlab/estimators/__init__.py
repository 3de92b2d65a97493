"""Numbers with errors, from plain arrays: importance weights, mode dropping, the independence chain, observables."""

from flowlab.estimators.chains import ChainEstimate, chain_agreement, chain_mean, chain_observables
from flowlab.estimators.correlation import correlation_function
from flowlab.estimators.correlation_length import CorrelationLength
from flowlab.estimators.divergences import divergences
from flowlab.estimators.entropy import conditional_entropy
from flowlab.estimators.evaluation import (
    EquationOfMotionWarning,
    LostSignWarning,
    LowESSWarning,
    columns,
    evaluation,
    scalars,
)
from flowlab.estimators.fields import equation_of_motion, field_observables, momentum_two_point, time_slices, two_point
from flowlab.estimators.gamma import mean, tau_int
from flowlab.estimators.independence import (
    Chain,
    acceptance,
    independence_chain,
    longest_rejection_run,
    rejection_run_distribution,
    rejection_runs,
    tau_int_bound,
    tau_int_rejections,
)
from flowlab.estimators.mode_collapse import ModeCollapse, mode_collapse
from flowlab.estimators.mode_dropping import (
    ForwardCheck,
    ModeDropping,
    effective_mode_dropping,
    forward_check,
    log_z_from_target,
    support_threshold,
)
from flowlab.estimators.overlaps import Overlaps, overlap_distribution, overlaps, total_variation
from flowlab.estimators.pareto import low_ess, pareto_k, pareto_smoothed, weights_problem
from flowlab.estimators.spins import magnetization_observables, spin_observables
from flowlab.estimators.symmetry import positive_fraction, sign_lost, sign_note, site_magnetizations, symmetry_breaking
from flowlab.estimators.tempering import (
    Thermalisation,
    log_z_bennett,
    log_z_integration,
    swap_acceptance,
    thermalisation,
    thermodynamics,
)
from flowlab.estimators.triangles import Triangles, triangle_fractions, triangles
from flowlab.estimators.weights import Estimate, ess, log_z, log_z_bound, reweighted

__all__ = [
    "Chain",
    "ChainEstimate",
    "CorrelationLength",
    "EquationOfMotionWarning",
    "Estimate",
    "ForwardCheck",
    "LostSignWarning",
    "LowESSWarning",
    "ModeCollapse",
    "ModeDropping",
    "Overlaps",
    "Thermalisation",
    "Triangles",
    "acceptance",
    "chain_agreement",
    "chain_mean",
    "chain_observables",
    "columns",
    "conditional_entropy",
    "correlation_function",
    "divergences",
    "effective_mode_dropping",
    "equation_of_motion",
    "ess",
    "evaluation",
    "field_observables",
    "forward_check",
    "independence_chain",
    "log_z",
    "log_z_bennett",
    "log_z_bound",
    "log_z_from_target",
    "log_z_integration",
    "longest_rejection_run",
    "low_ess",
    "magnetization_observables",
    "mean",
    "mode_collapse",
    "momentum_two_point",
    "overlap_distribution",
    "overlaps",
    "pareto_k",
    "pareto_smoothed",
    "positive_fraction",
    "rejection_run_distribution",
    "rejection_runs",
    "reweighted",
    "scalars",
    "sign_lost",
    "sign_note",
    "site_magnetizations",
    "spin_observables",
    "support_threshold",
    "swap_acceptance",
    "symmetry_breaking",
    "tau_int",
    "tau_int_bound",
    "tau_int_rejections",
    "thermalisation",
    "thermodynamics",
    "time_slices",
    "total_variation",
    "triangle_fractions",
    "triangles",
    "two_point",
    "weights_problem",
]
