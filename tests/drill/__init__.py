"""The drill: each fault on a real server under load, and what must be true during it and after it.

Orders are placed all the time. A fault is injected; a person must be told within 60 seconds, or 15 if it
stops exits. A position is closed and trading halted while the fault lasts, then the fault is lifted.
Afterwards the server must be healthy by itself, the position flat, the halt in force, and no acknowledged
order lost or doubled.

Needs the trial server of `make up`, which it changes: limits are widened, and its store is moved to a small
disk in memory. `make down` removes it.
"""
