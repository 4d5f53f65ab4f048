select exists (select from links where vehicle = $1)
