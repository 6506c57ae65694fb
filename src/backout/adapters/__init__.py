"""What fills the seams: transports, the lease, the journal, the clock, the terminal."""
