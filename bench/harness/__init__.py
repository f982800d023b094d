"""What bench/compare, bench/queued and bench/scale share. Standard library only."""
