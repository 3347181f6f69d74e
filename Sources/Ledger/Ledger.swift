// Ledger: see CONTRIBUTING.md for what lives in this room.
