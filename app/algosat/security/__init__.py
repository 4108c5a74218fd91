"""Who may do what: identity, sessions, limits on clients."""
