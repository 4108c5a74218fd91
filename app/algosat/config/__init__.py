"""Settings: the two YAML files of a server, read once into frozen types."""
