"""What only another zone reaches is carried there: asked through the ledger, sealed on the way."""
