"""`make audit`: how hardened a server is, by other people's yardsticks."""
