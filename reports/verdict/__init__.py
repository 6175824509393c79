"""Claims, how they are decided, and the sentences that say so."""
