"""Parts of tests/bench/run: processes, certificates, measurements, the report. Standard library only."""
