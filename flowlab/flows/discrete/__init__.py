"""Flows of spins and Potts states: bijections of a finite set."""
