"""What is read out of a density or a chain, as Datasets with names and units."""
