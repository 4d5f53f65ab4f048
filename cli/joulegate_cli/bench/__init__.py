"""`joulegate bench`: measures joulegate on this machine with real parts that it starts itself, beside a baseline of the same run."""
