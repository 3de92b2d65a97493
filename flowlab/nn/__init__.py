"""Small networks: window networks on lattices, masked linear layers."""
