"""Wake-up channels between the processes of one store."""
