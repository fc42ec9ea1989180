//! Does everything that a module must not, one thing per call: what the sandbox is tested with.
