"""From correlated series: errors, autocorrelation, starts."""
