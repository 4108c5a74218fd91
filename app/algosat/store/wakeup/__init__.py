"""Wake-up signals between the processes of one store."""
