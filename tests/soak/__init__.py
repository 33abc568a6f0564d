"""Long runs of what the live tests show in seconds: `make soak`, whose figures stand in docs/reliability.md."""
