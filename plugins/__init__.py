"""One file per implementation, named role_method; vendor libraries are imported here and nowhere else."""
