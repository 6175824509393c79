"""Training algorithms with DomainBed's two-method contract."""
