"""The results of runs and sweeps as text, CSV and one HTML page, read from run folders alone. Imports no torch."""
