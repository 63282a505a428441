"""MQTT: the sink, and how to reach a broker."""
