"""Compiled sweeps over spins, and the graph of couplings that they run on."""
