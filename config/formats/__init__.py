"""How dates are written, by language: Django reads the module `formats` of each (FORMAT_MODULE_PATH)."""
