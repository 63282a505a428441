"""Networks, compiled: manifests, sessions and the formats they come in; nothing about people."""
