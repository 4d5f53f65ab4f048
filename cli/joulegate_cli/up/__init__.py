"""`joulegate up`: everything on this machine, supervised."""
