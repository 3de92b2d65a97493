"""What the variables of a run's records are: long name and unit."""

DESCRIBE = {
    "loss": ("mean of ln q - log weight at the annealed couplings", "nats"),
    "log_z_bound": ("lower bound on ln Z, mean of log weight - ln q", "nats"),
    "log_z_bound_error": ("standard error of log_z_bound", "nats"),
    "ess": ("effective sample size of the batch as a fraction", "1"),
    "energy_mean": ("mean energy of the lattice", "J"),
    "action_mean": ("mean action of the lattice", "1"),
    "log_q_mean": ("mean ln q", "nats"),
    "acceptance": ("acceptance of the independence chain", "1"),
    "grad_norm": ("gradient norm before clipping", "1"),
    "learning_rate": ("learning rate of the base", "1"),
    "inverse_temperature": ("inverse temperature trained at", "1/J"),
    "trained_kappa": ("hopping parameter trained at", "1"),
    "trained_lam": ("quartic coupling trained at", "1"),
    "trained_mass": ("mass trained at", "1"),
    "stage": ("stage of training", "1"),
    "stage_ess": ("effective sample size of the batch on the stage's own target", "1"),
    "stage_acceptance": ("acceptance of the independence chain on the stage's own target", "1"),
    "wall_time": ("time spent", "s"),
}
