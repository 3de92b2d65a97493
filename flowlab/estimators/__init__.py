"""Numbers with errors, from plain arrays: importance weights, mode dropping, the independence chain, observables."""

from flowlab.estimators.information.information import (
    binary_information,
    conditional_entropy,
    conditional_kurtosis,
    explained_variance,
    mutual_information,
    predictability,
    quantile_bins,
)
from flowlab.estimators.information.power_law import PowerLaw, log_slope, power_law
from flowlab.estimators.information.response import Response, response
from flowlab.estimators.information.self_similarity import Agreement, kernel_alignment, mask_agreement
from flowlab.estimators.information.work import Work, work, work_distribution
from flowlab.estimators.observables.correlation import correlation_function
from flowlab.estimators.observables.correlation_length import CorrelationLength, correlation_length
from flowlab.estimators.observables.defects import TopologyDistance, defects, placements, topology_distance
from flowlab.estimators.observables.domain_walls import WallOverlap, domain_walls, spins_from_walls, wall_overlap
from flowlab.estimators.observables.fields import (
    equation_of_motion,
    field_observables,
    function_of_means,
    momentum_two_point,
    time_slices,
    two_point,
    two_point_along,
)
from flowlab.estimators.observables.glasses import glass_observables
from flowlab.estimators.observables.overlaps import (
    Overlaps,
    dip_depth,
    folded_histogram,
    overlap_distribution,
    overlaps,
    peak_position,
    total_variation,
    total_variation_floor,
)
from flowlab.estimators.observables.spins import magnetization_observables, spin_observables
from flowlab.estimators.observables.triangles import Triangles, triangle_fractions, triangles
from flowlab.estimators.observables.walls import box_sizes, wall_bonds, wall_clusters, wall_dimension, wall_length
from flowlab.estimators.series.blocks import majority, overlap
from flowlab.estimators.series.chains import ChainEstimate, chain_agreement, chain_mean, chain_observables
from flowlab.estimators.series.gamma import mean, tau_int
from flowlab.estimators.series.jackknife import block_sums, jackknife
from flowlab.estimators.series.tempering import (
    Thermalisation,
    Thermodynamics,
    log_z_bennett,
    log_z_integration,
    round_trips,
    swap_acceptance,
    thermalisation,
    thermodynamics,
)
from flowlab.estimators.weights.divergences import divergences
from flowlab.estimators.weights.evaluation import columns, evaluation, scalars
from flowlab.estimators.weights.evidence import (
    EquationOfMotionWarning,
    Evidence,
    LostSignWarning,
    LowESSWarning,
    UntrustedWarning,
    Verdict,
    verdict,
)
from flowlab.estimators.weights.independence import (
    Chain,
    acceptance,
    independence_chain,
    longest_rejection_run,
    rejection_run_distribution,
    rejection_runs,
    tau_int_bound,
    tau_int_rejections,
)
from flowlab.estimators.weights.mode_collapse import ModeCollapse, mode_collapse
from flowlab.estimators.weights.mode_dropping import (
    ForwardCheck,
    ModeDropping,
    effective_mode_dropping,
    forward_check,
    log_z_from_target,
    support_threshold,
)
from flowlab.estimators.weights.pareto import k_threshold, low_ess, pareto_k, pareto_smoothed, weights_problem
from flowlab.estimators.weights.symmetry import (
    positive_fraction,
    sign_lost,
    sign_note,
    site_magnetizations,
    symmetry_breaking,
)
from flowlab.estimators.weights.weights import Estimate, ess, log_z, log_z_bound, reweighted

__all__ = [
    "Agreement",
    "Chain",
    "ChainEstimate",
    "CorrelationLength",
    "EquationOfMotionWarning",
    "Estimate",
    "Evidence",
    "ForwardCheck",
    "LostSignWarning",
    "LowESSWarning",
    "ModeCollapse",
    "ModeDropping",
    "Overlaps",
    "PowerLaw",
    "Response",
    "Thermalisation",
    "Thermodynamics",
    "TopologyDistance",
    "Triangles",
    "UntrustedWarning",
    "Verdict",
    "WallOverlap",
    "Work",
    "acceptance",
    "binary_information",
    "block_sums",
    "box_sizes",
    "chain_agreement",
    "chain_mean",
    "chain_observables",
    "columns",
    "conditional_entropy",
    "conditional_kurtosis",
    "correlation_function",
    "correlation_length",
    "defects",
    "dip_depth",
    "divergences",
    "domain_walls",
    "effective_mode_dropping",
    "equation_of_motion",
    "ess",
    "evaluation",
    "explained_variance",
    "field_observables",
    "folded_histogram",
    "forward_check",
    "function_of_means",
    "glass_observables",
    "independence_chain",
    "jackknife",
    "k_threshold",
    "kernel_alignment",
    "log_slope",
    "log_z",
    "log_z_bennett",
    "log_z_bound",
    "log_z_from_target",
    "log_z_integration",
    "longest_rejection_run",
    "low_ess",
    "magnetization_observables",
    "majority",
    "mask_agreement",
    "mean",
    "mode_collapse",
    "momentum_two_point",
    "mutual_information",
    "overlap",
    "overlap_distribution",
    "overlaps",
    "pareto_k",
    "pareto_smoothed",
    "peak_position",
    "placements",
    "positive_fraction",
    "power_law",
    "predictability",
    "quantile_bins",
    "rejection_run_distribution",
    "rejection_runs",
    "response",
    "reweighted",
    "round_trips",
    "scalars",
    "sign_lost",
    "sign_note",
    "site_magnetizations",
    "spin_observables",
    "spins_from_walls",
    "support_threshold",
    "swap_acceptance",
    "symmetry_breaking",
    "tau_int",
    "tau_int_bound",
    "tau_int_rejections",
    "thermalisation",
    "thermodynamics",
    "time_slices",
    "topology_distance",
    "total_variation",
    "total_variation_floor",
    "triangle_fractions",
    "triangles",
    "two_point",
    "two_point_along",
    "verdict",
    "wall_bonds",
    "wall_clusters",
    "wall_dimension",
    "wall_length",
    "wall_overlap",
    "weights_problem",
    "work",
    "work_distribution",
]
