select version from bindings_version
