"""The HTTP API: routes with their access level, bodies and answers; one way for every error."""
