"""The developer's verbs behind the Makefile. Nothing here is installed on a server."""
