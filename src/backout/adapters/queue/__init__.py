"""The doorbell of workers, on Procrastinate: it says that somebody should look at a run."""
