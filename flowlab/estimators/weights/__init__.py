"""From log weights: free energies, ESS, evidence."""
