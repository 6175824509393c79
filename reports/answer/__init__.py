"""The answer of a run folder, before any table: one word, one sentence, and one matrix of gains."""
