"""What came of runs and sweeps, as text, CSV and one HTML page: reads run folders only. Imports no torch."""
