"""The HTTP API: routes with their access level, request and response models, and problem details."""
