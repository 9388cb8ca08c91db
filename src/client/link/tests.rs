//! Links against a server that says exactly what a test wants.
