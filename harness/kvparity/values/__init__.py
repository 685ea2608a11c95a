"""Cache entries: reading any key/value object by its structure, copying it, telling two apart."""
