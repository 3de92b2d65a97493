"""Small networks: in windows on lattices, by convolutions or a transformer; causal convolutions, masked layers."""
