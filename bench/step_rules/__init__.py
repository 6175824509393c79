"""Step rules: how an algorithm's gradient becomes an optimizer step."""
